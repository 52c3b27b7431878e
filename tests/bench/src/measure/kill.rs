//! Archway itself is killed (`kill -9`) three times during one download, and started again on what
//! it left.

use std::net::SocketAddr;

use anyhow::ensure;
use manifest_model::{Algorithm, Hasher};

use crate::client::pull::{self, Answer};
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table};

/// Percent of the blob the client has when the next kill comes, and the end.
const STAGES: [u64; 4] = [30, 60, 90, 100];

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::FAR)?;
    let setup = Setup::in_front_of(&origin.url());
    let large = &place.content.large;
    let (mut bytes, mut requests) = <[Samples; 2]>::default().into();
    for run in 0..place.runs {
        place.say_run(run, "512 MiB with three kills");
        origin.take_bytes();
        origin.take_requests();
        let folder = place.folder("archway")?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut have = 0;
        for percent in STAGES {
            let archway = setup.start_in(place, &folder)?;
            let stop = large.len() * percent / 100;
            have = continue_to(archway.address, large, have, stop, &mut hasher)?;
            if percent < 100 {
                archway.kill();
            } else {
                ensure!(hasher.finish() == large.digest, "the pieces do not add up");
                pull::verify(archway.address, &large.blob_path(), large)?;
                break;
            }
        }
        bytes.push(origin.take_bytes() as f64 / large.len() as f64);
        requests.push(origin.take_requests() as f64);
    }
    let mut table = Table::new(
        "512 MiB from the far origin, Archway killed at 30 %, 60 % and 90 %",
        "The client goes on with `Range` after each restart and checks the digest of the whole, then pulls it once more.",
        ["origin GETs", "origin bytes / blob", "judged"],
    );
    table.row([
        requests.show(0),
        bytes.show(3),
        Goal::AtMost(1.05).judge(bytes.median()),
    ]);
    Ok(vec![table])
}

/// Reads on from `have` until at least `stop` bytes are there; says how many are.
fn continue_to(
    address: SocketAddr,
    large: &Object,
    mut have: u64,
    stop: u64,
    hasher: &mut Hasher,
) -> anyhow::Result<u64> {
    let range = (have > 0).then(|| format!("bytes={have}-"));
    let answer = Answer::get(address, &large.blob_path(), range.as_deref())?;
    answer.expect(if have > 0 { 206 } else { 200 }, large.len() - have)?;
    answer.read(|piece| {
        hasher.update(piece);
        have += piece.len() as u64;
        have < stop
    })?;
    Ok(have)
}
