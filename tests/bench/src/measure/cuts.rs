//! The origin breaks the connection five times during one blob: the client must not notice.

use anyhow::ensure;

use crate::client::pull;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table};

const CUTS: u64 = 5;

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let large = &place.content.large;
    let (mut bytes, mut requests, mut seconds) = <[Samples; 3]>::default().into();
    for run in 0..place.runs {
        place.say_run(run, "512 MiB with five cuts");
        let positions = (1..=CUTS).map(|cut| large.len() / (CUTS + 1) * cut);
        let origin = Origin::start_with_cuts(&place.content, Shape::FAR, positions.collect())?;
        let archway = Setup::in_front_of(&origin.url()).start_with_manifest(place)?;
        let begun = std::time::Instant::now();
        pull::verify(archway.address, &large.blob_path(), large)?;
        seconds.push(begun.elapsed().as_secs_f64());
        let left = origin.cuts_left();
        ensure!(left == 0, "{left} of the cuts were never reached");
        bytes.push(origin.take_bytes() as f64 / large.len() as f64);
        requests.push(origin.take_requests() as f64);
    }
    let mut table = Table::new(
        "512 MiB that is not stored, five broken connections of the far origin",
        "The client makes one request and checks the digest of what it gets.",
        ["done s", "origin GETs", "origin bytes / blob", "judged"],
    );
    table.row([
        seconds.show(2),
        requests.show(0),
        bytes.show(3),
        Goal::AtMost(1.02).judge(bytes.median()),
    ]);
    Ok(vec![table])
}
