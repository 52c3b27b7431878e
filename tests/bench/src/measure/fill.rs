//! What a download costs Archway, SHA-256 and the write to disk included, when the origin sets no
//! limit.

use super::least;
use crate::client::herd;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

const CLIENTS: [usize; 2] = [1, 32];

/// What it may cost, in proportion to the one thread.
const MOST: f64 = 1.15;

#[derive(Default)]
struct Figures {
    time: Samples,
    fetched: Samples,
    memory: Samples,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let setup = Setup::in_front_of(&origin.url());
    let gigabytes = place.content.large.len() as f64 / 1e9;
    let mut least = Figures::default();
    let mut downloads: [Figures; CLIENTS.len()] = Default::default();
    for run in 0..place.runs {
        place.say_run(run, "one thread, then Archway with one client and with 32");
        let thread = least::download(place, &origin, &place.content.large)?;
        least.time.push(thread.time);
        least.fetched.push(thread.cpu / gigabytes);
        for (clients, figures) in CLIENTS.into_iter().zip(&mut downloads) {
            measure(place, &setup, clients, figures)?;
        }
    }
    Ok(vec![table(&least, &downloads)])
}

fn table(least: &Figures, downloads: &[Figures; CLIENTS.len()]) -> Table {
    let mut table = Table::new(
        "Download of 512 MiB from an origin without limits: CPU s/GB",
        "CPU includes fetching, SHA-256, writing and sending. Per GB fetched; with 32 clients 32 times as much is sent. \
         The thread only fetches, hashes and writes, on the server's core and in the same run.",
        [
            "who downloads",
            "all done s",
            "CPU s/GB fetched",
            "/ the thread",
            "anon MiB at most",
            "judged",
        ],
    );
    let mut bars = vec![("one thread", least.fetched.median())];
    let mut row = <[String; 6]>::default();
    row[0] = "one thread".into();
    row[1] = least.time.show(2);
    row[2] = least.fetched.show(2);
    table.row(row);
    for (clients, figures) in CLIENTS.into_iter().zip(downloads) {
        let ratio = figures.fetched.over(&least.fetched).median();
        if clients == 1 {
            bars.push(("Archway", figures.fetched.median()));
        }
        table.row([
            format!("Archway, clients: {clients}"),
            figures.time.show(2),
            figures.fetched.show(2),
            match clients {
                1 => Goal::AtMost(MOST).judge(ratio),
                _ => format!("{ratio:.2}"),
            },
            figures.memory.show(1),
            Goal::AtMost(40.0).judge(figures.memory.median()),
        ]);
    }
    table.bars("512 MiB for one client".to_owned(), &bars);
    table
}

fn measure(
    place: &Place,
    setup: &Setup,
    clients: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let large = &place.content.large;
    let archway = setup.start_with_manifest(place)?;
    let before = archway.cpu();
    let path = large.blob_path();
    let pull = || herd::pull(archway.address, &path, large, clients);
    let (pulled, anon) = archway.peak_anon(pull);
    let cpu = archway.cpu() - before;
    figures.time.push(pulled?.last.as_secs_f64());
    figures.fetched.push(cpu / (large.len() as f64 / 1e9));
    figures.memory.push(mib(anon));
    Ok(())
}
