//! From the start of the program to its first answer, with an empty cache.

use crate::origin::{Origin, Shape};
use crate::peers::archway::Setup;
use crate::peers::nginx::Nginx;
use crate::peers::process::Server;
use crate::peers::registry;
use crate::place::Place;
use crate::stats::Samples;
use crate::table::{Goal, Table, mib};

/// More than elsewhere: it is quick, and it scatters.
const RUNS: usize = 10;

struct Contender<'a> {
    name: &'static str,
    start: &'a dyn Fn() -> anyhow::Result<Server>,
    ready: Samples,
    resident: Samples,
    anon: Samples,
}

pub(super) fn run(place: &Place) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(&place.content, Shape::default())?;
    let setup = Setup::in_front_of(&origin.url());
    let archway = || setup.start(place);
    let nginx = || Ok(Nginx::start(place)?.server);
    let registry = || registry::start(place, &origin.url());
    let mut contenders = [
        contender("Archway", &archway),
        contender("nginx", &nginx),
        contender("docker-registry", &registry),
    ];
    place.say(&format!("  {RUNS} runs"));
    for _ in 0..RUNS {
        for contender in &mut contenders {
            let server = (contender.start)()?;
            let memory = server.memory();
            contender.ready.push(server.ready.as_secs_f64() * 1e3);
            contender.resident.push(mib(memory.resident));
            contender.anon.push(mib(memory.anon));
        }
    }
    let mut table = Table::new(
        "Start with an empty cache: ms",
        "From before the program is started to its first answer over HTTP, and its memory right then.",
        [
            "server",
            "first answer ms",
            "/ nginx",
            "RSS MiB",
            "judged",
            "anon MiB",
        ],
    );
    for (index, contender) in contenders.iter().enumerate() {
        let (mut time, mut memory) = Default::default();
        if index == 0 {
            let ratio = contender.ready.over(&contenders[1].ready).median();
            time = Goal::AtMost(1.0).judge(ratio);
            memory = Goal::AtMost(15.0).judge(contender.resident.median());
        }
        let bars = [(contender.name, contender.ready.median())];
        table.bars(contender.name.to_owned(), &bars);
        table.row([
            contender.name.to_owned(),
            contender.ready.show(1),
            time,
            contender.resident.show(1),
            memory,
            contender.anon.show(1),
        ]);
    }
    Ok(vec![table])
}

fn contender<'a>(
    name: &'static str,
    start: &'a dyn Fn() -> anyhow::Result<Server>,
) -> Contender<'a> {
    Contender {
        name,
        start,
        ready: Samples::default(),
        resident: Samples::default(),
        anon: Samples::default(),
    }
}
