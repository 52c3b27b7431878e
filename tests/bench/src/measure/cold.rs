//! A blob that is not stored, from an origin that is 20 ms away and gives 100 MB/s on a connection.

use crate::client::pull::{self, Pulled};
use crate::origin::{Origin, Shape};
use crate::peers::archway::{PARALLEL_OFF, Setup};
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table};

#[derive(Default)]
struct Figures {
    first: Samples,
    total: Samples,
    bytes: Samples,
    requests: Samples,
}

impl Figures {
    fn push(&mut self, pulled: Pulled, origin: &Origin, len: u64) {
        self.first.push(pulled.first.as_secs_f64() * 1e3);
        self.total.push(pulled.last.as_secs_f64());
        self.bytes.push(origin.take_bytes() as f64 / len as f64);
        self.requests.push(origin.take_requests() as f64);
    }
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::FAR)?;
    let usual = Setup::in_front_of(&origin.url());
    let single = usual.clone().upstream_line(PARALLEL_OFF);
    let can_switch = single.is_known_to(place)?;
    if !can_switch {
        place.say(&format!("  this Archway does not know `{PARALLEL_OFF}`"));
    }
    let (mut direct, mut with, mut without) = Default::default();
    for run in 0..place.runs {
        place.say_run(run, "512 MiB");
        measure_direct(place, &origin, &mut direct)?;
        measure_archway(place, &origin, &usual, &mut with)?;
        if can_switch {
            measure_archway(place, &origin, &single, &mut without)?;
        }
    }
    let mut table = Table::new(
        "512 MiB that is not stored, origin 20 ms away with 100 MB/s per connection",
        "The time counts from before the connect. Archway begins with an empty cache each time.",
        [
            "way",
            "first byte ms",
            "/ direct",
            "done s",
            "/ direct",
            "origin GETs",
            "bytes / blob",
        ],
    );
    let no_goal = |value: f64| format!("{value:.2}");
    row(&mut table, "direct", &direct, &direct, no_goal);
    let goal = |value| Goal::AtMost(0.4).judge(value);
    row(&mut table, "Archway", &with, &direct, goal);
    if can_switch {
        let goal = |value| Goal::AtMost(1.03).judge(value);
        row(&mut table, "Archway, parallel off", &without, &direct, goal);
    }
    Ok(vec![table])
}

fn measure_direct(place: &Place, origin: &Origin, figures: &mut Figures) -> anyhow::Result<()> {
    let large = &place.content.large;
    let pulled = pull::pull(origin.address, &large.blob_path(), large)?;
    figures.push(pulled, origin, large.len());
    Ok(())
}

fn measure_archway(
    place: &Place,
    origin: &Origin,
    setup: &Setup,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let large = &place.content.large;
    let archway = setup.start_with_manifest(place)?;
    let pulled = pull::pull(archway.address, &large.blob_path(), large)?;
    figures.push(pulled, origin, large.len());
    Ok(())
}

fn row(
    table: &mut Table,
    way: &'static str,
    figures: &Figures,
    direct: &Figures,
    judge: impl Fn(f64) -> String,
) {
    let first = figures.first.over(&direct.first).median();
    table.bars(format!("{way}: done, s"), &[(way, figures.total.median())]);
    table.row([
        way.to_owned(),
        figures.first.show(1),
        Goal::AtMost(1.7).judge(first),
        figures.total.show(2),
        judge(figures.total.over(&direct.total).median()),
        figures.requests.show(0),
        figures.bytes.show(3),
    ]);
}
