//! `make attacks`: what clients that are hostile or careless can hold, spend, read or evict, each
//! attack on a running Archway with one core and judged by its bound.
//!
//! An attack is one file in `attack/`. The doubles, the driver of Archway and the honest clients are
//! those of the integration tests; nginx stands beside Archway where the bound is relative to it.
//! The table goes to standard output, progress to standard error. `--document` writes the table
//! between its marks in a page. The program ends with 1 if a bound does not hold. `run.sh` builds
//! all of it and gives it a network and a process space of its own.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is what this program is for"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "figures for people: 52 bits are enough"
)]

mod attack;
mod document;
mod nginx;
mod options;
mod place;
mod site;
mod table;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use futures_util::FutureExt;

use options::Options;
use place::Place;
use table::{Row, Table};

fn main() -> ExitCode {
    let options = Options::parse();
    // Before the runtime: its threads stay where this one is.
    let place = Arc::new(Place::new());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let table = runtime.block_on(all(&options, &place));
    println!("{table}");
    if let Some(path) = &options.document {
        document::write(path, &table);
    }
    if table.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn all(options: &Options, place: &Arc<Place>) -> Table {
    let mut played = Vec::new();
    for attack in attack::ALL {
        if !options.wants(attack.name) {
            continue;
        }
        place.say(attack.name);
        let rows = AssertUnwindSafe((attack.run)(Arc::clone(place)));
        // An attack that breaks is a row that does not hold.
        let rows = rows.catch_unwind().await;
        let rows = rows.unwrap_or_else(|_| vec![Row::broken(attack.name)]);
        for row in &rows {
            place.say(&row.to_string());
        }
        played.extend(rows);
    }
    // Last: some of it is seen when Archway starts.
    let mut table = Table::new(place.facts());
    table.add(played);
    table
}
