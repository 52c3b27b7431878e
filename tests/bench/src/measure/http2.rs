//! HTTP/2 over TLS 1.3, which containerd, docker and podman speak: blobs and small answers.

use crate::client::crowd::Window;
use crate::client::h2load::{Streams, Windows, load};
use crate::client::plain::Ask;
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::nginx::Nginx;
use crate::peers::process::Server;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

/// Connections, and requests at a time on each.
const BLOB_LOADS: [(usize, usize); 3] = [(1, 1), (8, 1), (1, 8)];
const CONNECTIONS: [usize; 2] = [32, 256];

/// nginx and Archway, in this order everywhere below.
#[derive(Default)]
struct Pair {
    rate: [Samples; 2],
    cpu: [Samples; 2],
}

/// What is looked at of a window.
type Figure = fn(&Window) -> f64;

struct Contest<'a> {
    place: &'a Place,
    nginx: &'a Nginx,
    archway: &'a Server,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let nginx = Nginx::start(place)?;
    let setup = Setup::in_front_of(&origin.url()).tls(&nginx.certificate);
    let archway = setup.start(place)?;
    let contest = Contest {
        place,
        nginx: &nginx,
        archway: &archway,
    };
    Ok(vec![contest.blobs()?, contest.small_answers()?])
}

impl Contest<'_> {
    fn blobs(&self) -> anyhow::Result<Table> {
        let mut table = Table::new(
            "Stored blobs, TLS 1.3 and HTTP/2",
            "By `h2load`, which decrypts on the client's cores; with its own windows, and with those of Go's client.",
            [
                "blob",
                "connections × streams",
                "windows",
                "nginx MB/s",
                "Archway MB/s",
                "Archway / nginx",
                "nginx CPU s/GB",
                "Archway CPU s/GB",
                "Archway / nginx",
            ],
        );
        let object = &self.place.content.middle;
        let path = object.blob_path();
        let name = format!("{} MiB", mib(object.len()));
        for (connections, streams) in BLOB_LOADS {
            for windows in [Windows::Wide, Windows::Go] {
                let shape = Streams {
                    connections,
                    each: streams,
                    windows,
                };
                let load = format!("{connections} × {streams}");
                let label = format!("{name}, {load}, windows of {}", windows.name());
                let rate = Window::megabytes_per_second;
                let cpu = Window::cpu_per_gigabyte;
                let pair = self.compare(&label, &path, object, shape, (rate, cpu))?;
                table.bars(label, &pair.bars());
                table.row([
                    name.clone(),
                    load,
                    windows.name().to_owned(),
                    pair.rate[0].show(0),
                    pair.rate[1].show(0),
                    Goal::AtLeast(1.4).judge(pair.rate[1].over(&pair.rate[0]).median()),
                    pair.cpu[0].show(3),
                    pair.cpu[1].show(3),
                    Goal::AtMost(0.6).judge(pair.cpu[1].over(&pair.cpu[0]).median()),
                ]);
            }
        }
        Ok(table)
    }

    fn small_answers(&self) -> anyhow::Result<Table> {
        let mut table = Table::new(
            "Small answers, TLS 1.3 and HTTP/2: req/s",
            "By `h2load`, one request at a time on each connection. Both with an access log.",
            [
                "what",
                "connections",
                "nginx req/s",
                "Archway req/s",
                "Archway / nginx",
                "nginx µs CPU/req",
                "Archway µs CPU/req",
            ],
        );
        for (what, path, object) in self.place.content.small_asks() {
            for connections in CONNECTIONS {
                let shape = Streams {
                    connections,
                    each: 1,
                    windows: Windows::Go,
                };
                let label = format!("{what}, {connections} connections");
                let rate = Window::answers_per_second;
                let cpu = Window::cpu_micros_per_answer;
                let pair = self.compare(&label, &path, object, shape, (rate, cpu))?;
                table.bars(label, &pair.bars());
                table.row([
                    what.to_owned(),
                    connections.to_string(),
                    pair.rate[0].show(0),
                    pair.rate[1].show(0),
                    Goal::AtLeast(1.0).judge(pair.rate[1].over(&pair.rate[0]).median()),
                    pair.cpu[0].show(1),
                    pair.cpu[1].show(1),
                ]);
            }
        }
        Ok(table)
    }

    fn compare(
        &self,
        label: &str,
        path: &str,
        object: &Object,
        shape: Streams,
        (rate, cpu): (Figure, Figure),
    ) -> anyhow::Result<Pair> {
        let measured = |server, address| {
            let ask = Ask {
                address,
                path,
                length: object.len(),
            };
            load(server, &self.place.cores, ask, shape)
        };
        let systems = [
            (&self.nginx.server, self.nginx.tls),
            (self.archway, self.archway.address),
        ];
        // Fills Archway's cache.
        measured(self.archway, self.archway.address)?;
        let mut pair = Pair::default();
        for run in 0..self.place.runs {
            self.place.say_run(run, label);
            for (index, (server, address)) in systems.into_iter().enumerate() {
                let window = measured(server, address)?;
                pair.rate[index].push(rate(&window));
                pair.cpu[index].push(cpu(&window));
            }
        }
        Ok(pair)
    }
}

impl Pair {
    fn bars(&self) -> [(&'static str, f64); 2] {
        [
            ("nginx", self.rate[0].median()),
            ("Archway", self.rate[1].median()),
        ]
    }
}
