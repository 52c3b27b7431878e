//! `make bench`: what Archway costs and gives, side by side with what it is compared with.
//!
//! Every server has one core for itself, the client (and the origin, where there is one) has the
//! others. A measure runs its contenders in turn, [`Options::runs`] times, and shows medians; only
//! ratios within one run carry over to another machine. The report goes to standard output as
//! Markdown, progress to standard error.
//!
//! A measure is one file in `measure/`. `peers/` starts the servers, `client/` loads them, `origin`
//! is the registry that Archway pulls from. `run.sh` builds all of it and gives it a network and a
//! process space of its own, so nothing outlives it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a report is what this program is for"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "figures for people: 52 bits are enough"
)]

mod chart;
mod client;
mod content;
mod machine;
mod measure;
mod options;
mod origin;
mod peers;
mod place;
mod report;
mod stats;
mod table;

use std::fmt::Write;

use anyhow::Context;
use clap::Parser;

use options::Options;
use place::Place;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let place = Place::new(&options)?;
    let mut text = machine::facts(&options, &place)?;
    machine::touch_memory(&place)?;
    println!("{text}");
    for measure in measure::ALL {
        if !options.wants(measure.name) {
            continue;
        }
        place.say(&format!("{}: {}", measure.name, measure.about));
        let tables = (measure.run)(&place);
        let mut tables = tables.with_context(|| format!("measure `{}`", measure.name))?;
        if let Some(path) = &options.output {
            report::draw(path, &mut tables)?;
        }
        for table in tables {
            println!("{table}");
            writeln!(text, "{table}")?;
        }
    }
    if let Some(path) = &options.output {
        report::write(path, &text)?;
    }
    Ok(())
}
