//! Stored blobs over plain HTTP: what sendfile gives nginx, and what Archway and docker-registry
//! make of it.

use crate::client::plain::{Ask, load};
use crate::client::pull;
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::nginx::Nginx;
use crate::peers::process::Server;
use crate::peers::registry;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

const CLIENTS: [usize; 3] = [1, 8, 64];
/// nginx, Archway, docker-registry: in this order everywhere below.
const SYSTEMS: usize = 3;

#[derive(Default)]
struct Figures {
    rate: Samples,
    cpu: Samples,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let nginx = Nginx::start(place)?;
    let archway = Setup::in_front_of(&origin.url()).start(place)?;
    let registry = registry::start(place, &origin.url())?;
    let systems: [&Server; SYSTEMS] = [&nginx.server, &archway, &registry];
    let head = [
        "blob",
        "clients",
        "nginx",
        "Archway",
        "docker-registry",
        "Archway / nginx",
    ];
    let mut rates = Table::new(
        "Stored blobs, plain HTTP/1.1: MB/s",
        "Keep-alive, one blob again and again. nginx: static files by sendfile.",
        head,
    );
    let mut costs = Table::new(
        "Stored blobs, plain HTTP/1.1: CPU s/GB of the server",
        "User and system time of all its threads, in the same runs.",
        head,
    );
    for object in [&place.content.middle, &place.content.large] {
        for server in systems {
            pull::verify(server.address, &object.blob_path(), object)?;
        }
        for clients in CLIENTS {
            let name = format!("{} MiB", mib(object.len()));
            let [nginx, archway, registry] = compare(place, systems, object, clients, &name)?;
            let rate = archway.rate.over(&nginx.rate).median();
            let cpu = archway.cpu.over(&nginx.cpu).median();
            let of = format!("{name}, {clients} clients");
            let all = [&nginx, &archway, &registry];
            rates.bars(of.clone(), &bars(all.map(|figures| &figures.rate)));
            costs.bars(of, &bars(all.map(|figures| &figures.cpu)));
            rates.row([
                name.clone(),
                clients.to_string(),
                nginx.rate.show(0),
                archway.rate.show(0),
                registry.rate.show(0),
                Goal::AtLeast(0.95).judge(rate),
            ]);
            costs.row([
                name,
                clients.to_string(),
                nginx.cpu.show(3),
                archway.cpu.show(3),
                registry.cpu.show(3),
                Goal::AtMost(1.05).judge(cpu),
            ]);
        }
    }
    Ok(vec![rates, costs])
}

fn bars([nginx, archway, registry]: [&Samples; SYSTEMS]) -> [(&'static str, f64); SYSTEMS] {
    [
        ("nginx", nginx.median()),
        ("Archway", archway.median()),
        ("docker-registry", registry.median()),
    ]
}

fn compare(
    place: &Place,
    systems: [&Server; SYSTEMS],
    object: &Object,
    clients: usize,
    name: &str,
) -> anyhow::Result<[Figures; SYSTEMS]> {
    let path = object.blob_path();
    let mut all: [Figures; SYSTEMS] = Default::default();
    for run in 0..place.runs {
        place.say_run(run, &format!("{name}, {clients} clients"));
        for (server, figures) in systems.iter().zip(&mut all) {
            let ask = Ask {
                address: server.address,
                path: &path,
                length: object.len(),
            };
            let window = load(server, &place.cores, ask, clients)?;
            figures.rate.push(window.megabytes_per_second());
            figures.cpu.push(window.cpu_per_gigabyte());
        }
    }
    Ok(all)
}
