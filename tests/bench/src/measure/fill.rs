//! What a download costs Archway, SHA-256 and the write to disk included, when the origin sets no limit.

use crate::client::herd;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

const CLIENTS: [usize; 2] = [1, 32];

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let setup = Setup::in_front_of(&origin.url());
    let large = &place.content.large;
    let mut table = Table::new(
        "Download of 512 MiB from an origin without limits",
        "CPU includes fetching, SHA-256, writing and sending. Per GB fetched; with 32 clients 32 times as much is sent.",
        [
            "clients",
            "all done s",
            "CPU s/GB fetched",
            "CPU s/GB sent",
            "judged",
            "anon MiB at most",
            "judged",
        ],
    );
    for clients in CLIENTS {
        let (mut time, mut fetched, mut sent, mut memory) = <[Samples; 4]>::default().into();
        for run in 0..place.runs {
            place.say_run(run, &format!("{clients} clients"));
            let archway = setup.start_with_manifest(place)?;
            let before = archway.cpu();
            let path = large.blob_path();
            let pull = || herd::pull(archway.address, &path, large, clients);
            let (pulled, anon) = archway.peak_anon(pull);
            let gigabytes = large.len() as f64 / 1e9;
            let cpu = archway.cpu() - before;
            time.push(pulled?.last.as_secs_f64());
            fetched.push(cpu / gigabytes);
            sent.push(cpu / gigabytes / clients as f64);
            memory.push(mib(anon));
        }
        table.row([
            clients.to_string(),
            time.show(2),
            fetched.show(2),
            sent.show(3),
            match clients {
                1 => Goal::AtMost(1.2).judge(fetched.median()),
                _ => String::new(),
            },
            memory.show(1),
            Goal::AtMost(40.0).judge(memory.median()),
        ]);
    }
    Ok(vec![table])
}
