//! A cache with a million blobs and a hundred thousand tags: starting with it and asking it must
//! cost no more than with an empty one.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::client::plain::{Ask, load};
use crate::client::pull;
use crate::content::Object;
use crate::origin::{Origin, Shape};
use crate::peers::archway::{self, Setup};
use crate::peers::process::Server;
use crate::place::Place;
use crate::stats::{Samples, percentile};
use crate::table::{Goal, Table, mib};

const BLOBS: &str = "1000000";
const TAGS: &str = "100000";
const CONNECTIONS: usize = 8;

#[derive(Default)]
struct Figures {
    ready: Samples,
    resident: Samples,
    tag: Latency,
    blob: Latency,
}

#[derive(Default)]
struct Latency {
    p50: Samples,
    cpu: Samples,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let Some(populate) = &place.populate else {
        place.say("  no program to fill a cache with (--populate): left out");
        return Ok(Vec::new());
    };
    let origin = Origin::start(&place.content, Shape::default())?;
    let setup = Setup::in_front_of(&origin.url());
    let large = place.folder("scale")?;
    let empty = place.folder("archway")?;
    place.say(&format!(
        "  filling a cache with {BLOBS} blobs and {TAGS} tags"
    ));
    let mut command = Command::new(populate);
    command.arg(archway::cache(&large)).args([BLOBS, TAGS]);
    // Its progress is for people; the report has standard output.
    command.stdout(std::io::stderr());
    let status = command
        .status()
        .with_context(|| populate.display().to_string())?;
    ensure!(status.success(), "{}: {status}", populate.display());
    let (mut small_figures, mut large_figures) = (Figures::default(), Figures::default());
    for run in 0..place.runs {
        place.say_run(run, "start and ask");
        measure(place, &setup.start_in(place, &empty)?, &mut small_figures)?;
        measure(place, &setup.start_in(place, &large)?, &mut large_figures)?;
    }
    let mut table = Table::new(
        "1,000,000 blobs and 100,000 tags",
        "Against a cache that holds what is asked for and nothing else: a manifest by tag and a blob of 5 KiB, \
         8 connections.",
        [
            "cache",
            "first answer ms",
            "/ empty",
            "RSS MiB",
            "judged",
            "tag: p50 µs",
            "µs CPU/req",
            "blob: p50 µs",
            "µs CPU/req",
        ],
    );
    row(
        &mut table,
        "empty",
        &small_figures,
        <[String; 2]>::default(),
    );
    let slower = large_figures.ready.over(&small_figures.ready).median();
    let judged = [
        Goal::AtMost(6.0).judge(slower),
        Goal::AtMost(100.0).judge(large_figures.resident.median()),
    ];
    row(&mut table, "large", &large_figures, judged);
    Ok(vec![table])
}

fn measure(place: &Place, server: &Server, figures: &mut Figures) -> anyhow::Result<()> {
    let content = &place.content;
    figures.ready.push(server.ready.as_secs_f64() * 1e3);
    figures.resident.push(mib(server.memory().resident));
    let [_, by_tag] = content.manifest_paths();
    let blob = content.small.blob_path();
    ask(place, server, &by_tag, &content.manifest, &mut figures.tag)?;
    ask(place, server, &blob, &content.small, &mut figures.blob)
}

fn ask(
    place: &Place,
    server: &Server,
    path: &str,
    object: &Object,
    latency: &mut Latency,
) -> anyhow::Result<()> {
    pull::verify(server.address, path, object)?;
    let ask = Ask {
        address: server.address,
        path,
        length: object.len(),
    };
    let mut window = load(server, &place.cores, ask, CONNECTIONS)?;
    let nanoseconds = percentile(&mut window.latencies, 50).unwrap_or_default();
    latency.p50.push(f64::from(nanoseconds) / 1e3);
    latency.cpu.push(window.cpu_micros_per_answer());
    Ok(())
}

fn row(table: &mut Table, cache: &str, figures: &Figures, [slower, memory]: [String; 2]) {
    table.row([
        cache.to_owned(),
        figures.ready.show(1),
        slower,
        figures.resident.show(1),
        memory,
        figures.tag.p50.show(0),
        figures.tag.cpu.show(1),
        figures.blob.p50.show(0),
        figures.blob.cpu.show(1),
    ]);
}
