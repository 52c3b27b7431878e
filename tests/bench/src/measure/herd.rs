//! Many clients at once on a blob that is not stored: one download must do for all.

use super::least;
use crate::client::herd::{self, Herd};
use crate::client::pull;
use crate::origin::{Origin, Shape};
use crate::peers::archway::{PARALLEL_OFF, Setup};
use crate::peers::nginx::Nginx;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

const CLIENTS: usize = 32;

#[derive(Default)]
struct Figures {
    direct_first: Samples,
    one: Samples,
    all: Samples,
    first: Samples,
    bytes: Samples,
    requests: Samples,
    anon: Samples,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::FAR)?;
    let near = Origin::start(&place.content, Shape::default())?;
    let nginx = Nginx::start(place)?;
    let mut least = Samples::default();
    let usual = Setup::in_front_of(&origin.url());
    let single = usual.clone().upstream_line(PARALLEL_OFF);
    let mut setups = vec![("on", usual, Figures::default())];
    if single.is_known_to(place)? {
        setups.push(("off", single, Figures::default()));
    }
    for run in 0..place.runs {
        place.say_run(run, "nginx and one thread, then one client, then 32");
        least.push(at_least(place, &nginx, &near)?);
        for (_, setup, figures) in &mut setups {
            measure(place, &origin, setup, figures)?;
        }
    }
    let mut table = Table::new(
        "32 clients at once on 512 MiB that is not stored, the far origin",
        "32 blobs are 17 GB, and what one core can send bounds the herd where parallel fetching is on: it stands against \
         the time of nginx for as many bytes plus that of one thread that only fetches, hashes and writes. Without \
         parallel fetching the far origin bounds it: against one client of Archway. The first byte of the median \
         client stands against that of a direct client.",
        ["parallel", "what", "figure", "against", "judged"],
    );
    for (parallel, _, figures) in &setups {
        let (against, most) = match *parallel {
            "on" => (&least, 1.15),
            _ => (&figures.one, 1.05),
        };
        let bars = [
            ("bound", against.median()),
            ("Archway", figures.all.median()),
        ];
        table.bars(format!("parallel {parallel}: all done, s"), &bars);
        add_rows(&mut table, parallel, figures, (against, most));
    }
    Ok(vec![table])
}

/// The time of nginx for what the herd gets, and of one thread for what Archway does once.
fn at_least(place: &Place, nginx: &Nginx, near: &Origin) -> anyhow::Result<f64> {
    let large = &place.content.large;
    let sent = herd::pull(nginx.server.address, &large.blob_path(), large, CLIENTS)?;
    Ok(sent.last.as_secs_f64() + least::download(place, near, large)?.time)
}

fn measure(
    place: &Place,
    origin: &Origin,
    setup: &Setup,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let large = &place.content.large;
    let path = large.blob_path();
    let direct =
        pull::Answer::get(origin.address, &path, None)?.discard(1, &mut pull::Gulp::new())?;
    figures.direct_first.push(direct.first.as_secs_f64() * 1e3);
    let archway = setup.start_with_manifest(place)?;
    let alone = pull::pull(archway.address, &path, large)?;
    figures.one.push(alone.last.as_secs_f64());
    archway.kill();
    let archway = setup.start_with_manifest(place)?;
    origin.take_bytes();
    origin.take_requests();
    let (pulled, anon) = archway.peak_anon(|| herd::pull(archway.address, &path, large, CLIENTS));
    let Herd { first, last } = pulled?;
    figures.all.push(last.as_secs_f64());
    figures.first.push(first.as_secs_f64() * 1e3);
    let bytes = origin.take_bytes() as f64;
    figures.bytes.push(bytes / large.len() as f64);
    figures.requests.push(origin.take_requests() as f64);
    figures.anon.push(mib(anon));
    Ok(())
}

fn add_rows(
    table: &mut Table,
    parallel: &str,
    figures: &Figures,
    (against, most): (&Samples, f64),
) {
    let first = figures.first.over(&figures.direct_first).median();
    let rows = [
        (
            "all done s",
            figures.all.show(2),
            against.show(2),
            Goal::AtMost(most).judge(figures.all.over(against).median()),
        ),
        (
            "first byte ms",
            figures.first.show(1),
            figures.direct_first.show(1),
            Goal::AtMost(2.4).judge(first),
        ),
        (
            "origin bytes / blob",
            figures.bytes.show(3),
            String::new(),
            Goal::AtMost(1.01).judge(figures.bytes.median()),
        ),
        (
            "origin GETs",
            figures.requests.show(0),
            String::new(),
            String::new(),
        ),
        (
            "anon MiB at most",
            figures.anon.show(1),
            String::new(),
            Goal::AtMost(40.0).judge(figures.anon.median()),
        ),
    ];
    for (what, figure, against, judged) in rows {
        table.row([
            parallel.to_owned(),
            what.to_owned(),
            figure,
            against,
            judged,
        ]);
    }
}
