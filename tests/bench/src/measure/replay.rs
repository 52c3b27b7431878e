//! The replay of small answers below hyper: what it saves, against the same server without it.

use anyhow::bail;

use crate::client::crowd::Window;
use crate::client::{h2load, plain, tls};
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::nginx::Nginx;
use crate::peers::process::Server;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table};

const CONNECTIONS: [usize; 2] = [32, 256];

/// As the table names it.
const HTTP_2: &str = "TLS 1.3, HTTP/2";

/// How much less of the processor a replayed answer has to take for the replay to stay.
const SAVED: f64 = 1.3;

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let nginx = Nginx::start(place)?;
    let trusting = tls::trusting(&nginx.certificate)?;
    let mut table = Table::new(
        "Replay of small answers: req/s",
        "Archway with and without `server.replay`, HTTP/1.1 with keep-alive and HTTP/2 with one request at a time, each with a JSON access log and metrics.",
        [
            "what",
            "over",
            "connections",
            "req/s with",
            "req/s without",
            "µs CPU/req with",
            "µs CPU/req without",
            "CPU without / with",
        ],
    );
    for transport in ["plain", "TLS 1.3", HTTP_2] {
        let mut setup = Setup::in_front_of(&origin.url());
        if transport != "plain" {
            setup = setup.tls(&nginx.certificate);
        }
        let without = setup.clone().server_line("replay = false");
        if !without.is_known_to(place)? {
            bail!("this Archway has no `server.replay`");
        }
        let servers = [setup.start(place)?, without.start_beside(place)?];
        let load = |server: &Server, path: &str, object: &Object, connections| {
            let ask = plain::Ask {
                address: server.address,
                path,
                length: object.len(),
            };
            match transport {
                "plain" => plain::load(server, &place.cores, ask, connections),
                HTTP_2 => {
                    let shape = h2load::Streams {
                        connections,
                        each: 1,
                        windows: h2load::Windows::Go,
                    };
                    h2load::load(server, &place.cores, ask, shape)
                }
                _ => tls::load(server, &trusting, ask, connections),
            }
        };
        compare(place, transport, &servers, &mut table, load)?;
    }
    Ok(vec![table])
}

fn compare(
    place: &Place,
    transport: &str,
    servers: &[Server; 2],
    table: &mut Table,
    load: impl Fn(&Server, &str, &Object, usize) -> anyhow::Result<Window>,
) -> anyhow::Result<()> {
    for (what, path, object) in place.content.small_asks() {
        for connections in CONNECTIONS {
            let label = format!("{what}, {transport}, {connections} connections");
            let mut rates: [Samples; 2] = Default::default();
            let mut costs: [Samples; 2] = Default::default();
            for run in 0..place.runs {
                place.say_run(run, &label);
                for (index, server) in servers.iter().enumerate() {
                    let window = load(server, &path, object, connections)?;
                    rates[index].push(window.answers_per_second());
                    costs[index].push(window.cpu_micros_per_answer());
                }
            }
            let saved = costs[1].over(&costs[0]).median();
            table.bars(
                label,
                &[("with", rates[0].median()), ("without", rates[1].median())],
            );
            table.row([
                what.to_owned(),
                transport.to_owned(),
                connections.to_string(),
                rates[0].show(0),
                rates[1].show(0),
                costs[0].show(1),
                costs[1].show(1),
                Goal::AtLeast(SAVED).judge(saved),
            ]);
        }
    }
    Ok(())
}
