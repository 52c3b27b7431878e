//! Parallel open-ended ranges on a blob that is not stored, as containerd 2.1 asks for a layer.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use anyhow::anyhow;

use crate::client::pull::{self, Answer, Gulp};
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table};

const PARTS: u64 = 4;

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::FAR)?;
    let setup = Setup::in_front_of(&origin.url());
    let large = &place.content.large;
    let (mut one, mut four, mut bytes, mut requests) = <[Samples; 4]>::default().into();
    for run in 0..place.runs {
        place.say_run(run, "one client, then four ranges");
        let archway = setup.start_with_manifest(place)?;
        let pulled = pull::pull(archway.address, &large.blob_path(), large)?;
        one.push(pulled.last.as_secs_f64());
        archway.kill();
        let archway = setup.start_with_manifest(place)?;
        origin.take_bytes();
        origin.take_requests();
        let begun = Instant::now();
        quarters(archway.address, large)?;
        four.push(begun.elapsed().as_secs_f64());
        // The whole of it arrives before the counting ends, whoever has left.
        pull::verify(archway.address, &large.blob_path(), large)?;
        bytes.push(origin.take_bytes() as f64 / large.len() as f64);
        requests.push(origin.take_requests() as f64);
    }
    let mut table = Table::new(
        "Four parallel open-ended ranges on 512 MiB that is not stored, the far origin",
        "`bytes=N-` from each quarter; each client reads its quarter and closes. Against one plain client.",
        [
            "one client s",
            "four ranges s",
            "judged",
            "origin GETs",
            "origin bytes / blob",
            "judged",
        ],
    );
    table.row([
        one.show(2),
        four.show(2),
        Goal::AtMost(1.1).judge(four.over(&one).median()),
        requests.show(0),
        bytes.show(3),
        Goal::AtMost(1.05).judge(bytes.median()),
    ]);
    Ok(vec![table])
}

fn quarters(address: SocketAddr, large: &Object) -> anyhow::Result<()> {
    let part = large.len() / PARTS;
    let path = large.blob_path();
    thread::scope(|scope| {
        let running: Vec<_> = (0..PARTS)
            .map(|number| {
                let (from, path) = (number * part, &path);
                scope.spawn(move || -> anyhow::Result<()> {
                    let (range, mut gulp) = (format!("bytes={from}-"), Gulp::new());
                    let answer = Answer::get(address, path, Some(&range))?;
                    answer.expect(206, large.len() - from)?;
                    answer.discard(part, &mut gulp)?;
                    Ok(())
                })
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
    })
}
