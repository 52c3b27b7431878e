//! Small answers: what one costs the server, and how long it takes.

use std::net::SocketAddr;

use crate::client::plain::{Ask, load};
use crate::client::pull;
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::nginx::Nginx;
use crate::peers::process::Server;
use crate::place::Place;
use crate::stats::{Samples, percentile};
use crate::table::{Goal, Table};

const CONNECTIONS: [usize; 2] = [32, 256];

struct Contender<'a> {
    name: &'static str,
    server: &'a Server,
    address: SocketAddr,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    rate: Samples,
    cpu: Samples,
    p50: Samples,
    p99: Samples,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let nginx = Nginx::start(place)?;
    let archway = Setup::in_front_of(&origin.url()).start(place)?;
    let mut table = Table::new(
        "Small answers, plain HTTP/1.1 with keep-alive: req/s",
        "nginx: static files of the same bytes, open files kept, with a buffered access log, and without one at all. \
         Archway: with a JSON access log to a file and with metrics.",
        [
            "what",
            "connections",
            "server",
            "req/s",
            "p50 ms",
            "p99 ms",
            "µs CPU/req",
            "Archway / it",
        ],
    );
    for (what, path, object) in place.content.small_asks() {
        for address in [nginx.server.address, nginx.unlogged, archway.address] {
            pull::verify(address, &path, object)?;
        }
        for connections in CONNECTIONS {
            let mut contenders = [
                contender("nginx", &nginx.server, nginx.server.address),
                contender("nginx, no log", &nginx.server, nginx.unlogged),
                contender("Archway", &archway, archway.address),
            ];
            let label = format!("{what}, {connections} connections");
            compare(place, &mut contenders, &path, object, connections, &label)?;
            let bars = contenders.each_ref();
            let bars = bars.map(|one| (one.name, one.figures.rate.median()));
            table.bars(label, &bars);
            add_rows(&mut table, what, connections, &contenders);
        }
    }
    Ok(vec![table])
}

fn contender<'a>(name: &'static str, server: &'a Server, address: SocketAddr) -> Contender<'a> {
    Contender {
        name,
        server,
        address,
        figures: Figures::default(),
    }
}

fn compare(
    place: &Place,
    contenders: &mut [Contender],
    path: &str,
    object: &Object,
    connections: usize,
    label: &str,
) -> anyhow::Result<()> {
    for run in 0..place.runs {
        place.say_run(run, label);
        for contender in &mut *contenders {
            let ask = Ask {
                address: contender.address,
                path,
                length: object.len(),
            };
            let mut window = load(contender.server, &place.cores, ask, connections)?;
            let figures = &mut contender.figures;
            figures.rate.push(window.answers_per_second());
            figures.cpu.push(window.cpu_micros_per_answer());
            for (percent, samples) in [(50, &mut figures.p50), (99, &mut figures.p99)] {
                let nanoseconds = percentile(&mut window.latencies, percent).unwrap_or_default();
                samples.push(f64::from(nanoseconds) / 1e6);
            }
        }
    }
    Ok(())
}

fn add_rows(table: &mut Table, what: &str, connections: usize, contenders: &[Contender; 3]) {
    let archway = &contenders[2].figures;
    for (index, contender) in contenders.iter().enumerate() {
        let figures = &contender.figures;
        let ratio = archway.rate.over(&figures.rate).median();
        table.row([
            what.to_owned(),
            connections.to_string(),
            contender.name.to_owned(),
            figures.rate.show(0),
            figures.p50.show(2),
            figures.p99.show(2),
            figures.cpu.show(1),
            match index {
                0 => Goal::AtLeast(1.2).judge(ratio),
                1 => format!("{ratio:.2}"),
                _ => String::new(),
            },
        ]);
    }
}
