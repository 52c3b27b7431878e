//! A thousand clients that take 100 KB/s each: nobody may wait, and memory must not grow with them.

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::pull;
use crate::client::slow::{self, Slow};
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::nginx::Nginx;
use crate::peers::process::Server;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

const CLIENTS: Slow = Slow {
    clients: 1000,
    rate: 100_000,
    time: Duration::from_secs(10),
};

#[derive(Default)]
struct Figures {
    answered: Samples,
    median: Samples,
    least: Samples,
    anon: Samples,
    cpu: Samples,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let (mut nginx, mut archway) = (Figures::default(), Figures::default());
    let setup = Setup::in_front_of(&origin.url());
    let large = &place.content.large;
    for run in 0..place.runs {
        place.say_run(run, "1,000 clients");
        // A server of its own for each run, so that no peak is an earlier one's.
        let server = Nginx::start(place)?.server;
        measure(&server, server.address, &large.blob_path(), &mut nginx)?;
        let server = setup.start(place)?;
        pull::verify(server.address, &large.blob_path(), large)?;
        measure(&server, server.address, &large.blob_path(), &mut archway)?;
    }
    let mut table = Table::new(
        "1,000 clients at 100 KB/s each on a stored blob of 512 MiB, for ten seconds",
        "Plain HTTP/1.1; each client has a receive buffer of 128 KiB.",
        [
            "server",
            "answered",
            "median KB/s",
            "least KB/s",
            "anon MiB at most",
            "judged",
            "CPU s",
        ],
    );
    row(&mut table, "nginx", &nginx, |_| String::new());
    row(&mut table, "Archway", &archway, |anon| {
        Goal::AtMost(50.0).judge(anon)
    });
    Ok(vec![table])
}

fn measure(
    server: &Server,
    address: SocketAddr,
    path: &str,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let before = server.cpu();
    let (outcome, anon) = server.peak_anon(|| slow::run(address, path, CLIENTS));
    let outcome = outcome?;
    figures.answered.push(outcome.answered as f64);
    figures.median.push(outcome.median / 1e3);
    figures.least.push(outcome.least / 1e3);
    figures.anon.push(mib(anon));
    figures.cpu.push(server.cpu() - before);
    Ok(())
}

fn row(table: &mut Table, server: &str, figures: &Figures, judge: impl Fn(f64) -> String) {
    table.row([
        server.to_owned(),
        figures.answered.show(0),
        figures.median.show(1),
        figures.least.show(1),
        figures.anon.show(1),
        judge(figures.anon.median()),
        figures.cpu.show(2),
    ]);
}
