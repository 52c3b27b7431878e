//! One HTTP/2 client that asks for a new tag again and again and takes each question back a moment
//! later. When its connection is ended it makes a new one.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use integration_tests::client::Client;
use integration_tests::faults::On;
use integration_tests::images;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls::{Authority, Mounted};
use integration_tests::usage::descriptors;
use tokio::time::{Instant, sleep, timeout};

use crate::place::Place;
use crate::site::{HONEST, http2, request};
use crate::table::Row;

const TIME: Duration = Duration::from_secs(10);

/// After how long a question is taken back: the upstream has been asked by then.
const PATIENCE: Duration = Duration::from_millis(40);

/// How often it is looked at what is open.
const SAMPLE: Duration = Duration::from_millis(20);

/// The honest client's pause between two rounds, as of a node that pulls.
const PAUSE: Duration = Duration::from_millis(100);

/// The questions that are open at once.
const OPEN: usize = 50;

/// `max_calls`.
const CALLS: usize = 128;

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    for at in 0..1000 {
        registry.push("team/app", &format!("cold-{at}"), &content);
    }
    let _gate = registry.faults().hold_headers(On::path("/manifests/new-"));
    let authority = Authority::new("authority.test");
    let mounted = Mounted::with(&authority.issue());
    let setup = Setup::in_front_of(&registry)
        .listener("127.0.0.1", "")
        .listener("127.0.0.2", &mounted.line());
    let archway = place.start(setup).await;
    let before = descriptors(archway.pid());

    let (asked, watched, honest) = tokio::join!(
        attack(&archway, &authority),
        watch(&archway, &registry),
        pull(&archway),
    );
    let row = Row::new(format!(
        "{asked} HTTP/2 requests for new tags in {} s, each reset after {} ms",
        TIME.as_secs(),
        PATIENCE.as_millis()
    ))
    .count(watched.calls, "upstream requests at once", CALLS)
    .count(
        watched.connections,
        "upstream connections, idle ones and those of calls just given up too",
        2 * CALLS,
    )
    .count(
        watched.descriptors.saturating_sub(before),
        "more descriptors",
        2 * CALLS,
    )
    .saw(
        format!(
            "{} of {} requests of an honest client elsewhere refused",
            honest.refused, honest.all
        ),
        "0",
        honest.refused == 0,
    );
    vec![row]
}

/// Gives how many questions it asked.
async fn attack(archway: &Archway, authority: &Authority) -> usize {
    let until = Instant::now() + TIME;
    let address = archway.address_at("127.0.0.2");
    let mut asked = 0;
    while Instant::now() < until {
        let mut sender = http2(authority, address, 65_535).await;
        let mut open = FuturesUnordered::new();
        while Instant::now() < until {
            let Ok(ready) = timeout(TIME, sender.ready()).await else {
                break;
            };
            let Ok(ready) = ready else { break };
            sender = ready;
            let path = format!("/v2/team/app/manifests/new-{asked}");
            let Ok((answer, _)) = sender.send_request(request(address, &path), true) else {
                break;
            };
            asked += 1;
            open.push(timeout(PATIENCE, answer));
            while open.len() >= OPEN {
                open.next().await;
            }
        }
    }
    asked
}

struct Watched {
    calls: usize,
    /// Those that are being closed are among them.
    connections: usize,
    descriptors: usize,
}

/// The most that were open at once.
async fn watch(archway: &Archway, registry: &FakeRegistry) -> Watched {
    let until = Instant::now() + TIME;
    let mut most = Watched {
        calls: 0,
        connections: 0,
        descriptors: 0,
    };
    while Instant::now() < until {
        let calls = archway.metric("archway_slots_taken{of=\"call\"}").await;
        let calls = usize::try_from(calls.unwrap_or(0)).expect("a small number");
        most.calls = most.calls.max(calls);
        most.connections = most.connections.max(connections_to(registry.address()));
        most.descriptors = most.descriptors.max(descriptors(archway.pid()));
        sleep(SAMPLE).await;
    }
    most
}

struct Honest {
    all: usize,
    refused: usize,
}

/// A client elsewhere that asks for a stored tag and for a cold one again and again.
async fn pull(archway: &Archway) -> Honest {
    let until = Instant::now() + TIME;
    let mut honest = Honest { all: 0, refused: 0 };
    let client = Client::from_address(&archway.url(), HONEST);
    while Instant::now() < until {
        let cold = format!("cold-{}", honest.all);
        for tag in ["v1", &cold] {
            let answer = client.manifest("team/app", tag).await;
            honest.all += 1;
            honest.refused += usize::from(answer.status != 200);
        }
        sleep(PAUSE).await;
    }
    honest
}

/// The connections to this address that are open.
fn connections_to(address: SocketAddr) -> usize {
    const ESTABLISHED: &str = "01";
    let port = format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("a network");
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        let (remote, state) = (fields.next(), fields.next());
        remote.is_some_and(|remote| remote.ends_with(&port)) && state == Some(ESTABLISHED)
    };
    table.lines().filter(is_one).count()
}
