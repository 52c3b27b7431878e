//! What a download costs at least: one thread that only fetches, hashes and writes.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use anyhow::ensure;
use manifest_model::{Algorithm, Hasher};

use crate::client::pull::Answer;
use crate::content::Object;
use crate::origin::Origin;
use crate::peers::usage;
use crate::place::Place;

/// What the thread took, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    /// Of the clock.
    pub(super) time: f64,
    /// Of the processor.
    pub(super) cpu: f64,
}

/// Downloads `object` from `origin` on the server's core, with nothing around it.
pub(super) fn download(place: &Place, origin: &Origin, object: &Object) -> anyhow::Result<Least> {
    let begun = Instant::now();
    let cpu = place.cores.on_server(|| bare(place, origin, object))??;
    Ok(Least {
        time: begun.elapsed().as_secs_f64(),
        cpu,
    })
}

fn bare(place: &Place, origin: &Origin, object: &Object) -> anyhow::Result<f64> {
    let mut file = File::create(place.folder("bare")?.join("blob"))?;
    let before = usage::cpu_of_this_thread();
    let answer = Answer::get(origin.address, &object.blob_path(), None)?;
    answer.expect(200, object.len())?;
    let (mut hasher, mut written) = (Hasher::new(Algorithm::Sha256), Ok(()));
    answer.read(|piece| {
        hasher.update(piece);
        written = file.write_all(piece);
        written.is_ok()
    })?;
    written?;
    ensure!(hasher.finish() == object.digest, "another blob");
    Ok(usage::cpu_of_this_thread() - before)
}
