//! Stored blobs over TLS 1.3: what encrypting costs nginx with OpenSSL, and Archway with rustls.

use crate::client::plain::Ask;
use crate::client::tls::{load, trusting};
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::nginx::Nginx;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

const CLIENTS: [usize; 3] = [1, 8, 64];

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let nginx = Nginx::start(place)?;
    let setup = Setup::in_front_of(&origin.url()).tls(&nginx.certificate);
    let archway = setup.start(place)?;
    let config = trusting(&nginx.certificate)?;
    let mut table = Table::new(
        "Stored blobs, TLS 1.3 and HTTP/1.1: CPU s/GB of the server",
        "The client decrypts, so its cores bound the rate; the server's CPU is what is compared.",
        [
            "blob",
            "clients",
            "nginx MB/s",
            "Archway MB/s",
            "nginx CPU s/GB",
            "Archway CPU s/GB",
            "Archway / nginx",
        ],
    );
    let measured = |server, address, object: &Object, clients| {
        let path = object.blob_path();
        let ask = Ask {
            address,
            path: &path,
            length: object.len(),
        };
        load(server, &config, ask, clients)
    };
    for object in [&place.content.middle, &place.content.large] {
        // Fills Archway's cache.
        measured(&archway, archway.address, object, 1)?;
        for clients in CLIENTS {
            let name = format!("{} MiB", mib(object.len()));
            let mut rates: [Samples; 2] = Default::default();
            let mut costs: [Samples; 2] = Default::default();
            for run in 0..place.runs {
                place.say_run(run, &format!("{name}, {clients} clients"));
                let systems = [(&nginx.server, nginx.tls), (&archway, archway.address)];
                for (index, (server, address)) in systems.into_iter().enumerate() {
                    let window = measured(server, address, object, clients)?;
                    rates[index].push(window.megabytes_per_second());
                    costs[index].push(window.cpu_per_gigabyte());
                }
            }
            let bars = ["nginx", "Archway"].into_iter().zip(&costs);
            let bars: Vec<_> = bars.map(|(who, cpu)| (who, cpu.median())).collect();
            table.bars(format!("{name}, {clients} clients"), &bars);
            table.row([
                name,
                clients.to_string(),
                rates[0].show(0),
                rates[1].show(0),
                costs[0].show(3),
                costs[1].show(3),
                Goal::AtMost(0.5).judge(costs[1].over(&costs[0]).median()),
            ]);
        }
    }
    Ok(vec![table])
}
