//! What a download costs Archway, SHA-256 and the write to disk included, when the origin sets no
//! limit.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use anyhow::ensure;
use manifest_model::{Algorithm, Hasher};

use crate::client::herd;
use crate::client::pull::Answer;
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::usage;
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
        "CPU includes fetching, SHA-256, writing and sending. Per GB fetched; with 32 clients 32 times as much is sent. \
         The last row is what fetching, SHA-256 and writing cost this machine at least: one thread that does only that.",
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
    table.row(least(place, &origin)?);
    Ok(vec![table])
}

/// The row of no Archway at all.
fn least(place: &Place, origin: &Origin) -> anyhow::Result<[String; 7]> {
    let large = &place.content.large;
    let (mut time, mut cpu) = <[Samples; 2]>::default().into();
    for run in 0..place.runs {
        place.say_run(run, "no Archway");
        let begun = Instant::now();
        let seconds = place.cores.on_server(|| bare(place, origin, large))??;
        time.push(begun.elapsed().as_secs_f64());
        cpu.push(seconds / (large.len() as f64 / 1e9));
    }
    let mut row = <[String; 7]>::default();
    row[0] = "none".into();
    row[1] = time.show(2);
    row[2] = cpu.show(2);
    Ok(row)
}

/// Fetches, hashes and writes a blob with nothing around it: the processor time it took, in
/// seconds.
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
