//! Lists: held once for many who do not read, and a throttled one holds up no pull.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Method, StatusCode, header};
use integration_tests::client::Client;
use integration_tests::faults::{Fault, On};
use integration_tests::images;
use integration_tests::proxy::{Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::usage::Memory;
use integration_tests::wait::eventually;
use tokio::time::Instant;

use crate::place::Place;
use crate::site::HONEST;
use crate::table::{Row, grown_mb};

const CLIENTS: usize = 60;

const LIST: usize = 7_000_000;

/// How long they are left alone, while memory is watched for its peak.
const HELD: Duration = Duration::from_secs(5);

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    vec![unread(&place).await, throttled(&place).await]
}

async fn unread(place: &Place) -> Row {
    let registry = FakeRegistry::start().await;
    let tag = format!("\"{}\",", "t".repeat(125));
    let list = format!(
        "{{\"name\":\"a\",\"tags\":[{}\"end\"]}}",
        tag.repeat(LIST / 128)
    );
    let replace = Fault::Replace("application/json", Bytes::from(list));
    registry.faults().add(On::path("/tags/list"), replace);
    let archway = place.start(Setup::in_front_of(&registry)).await;
    let before = Memory::of(archway.pid()).resident;
    let clients: Vec<_> = (0..CLIENTS).map(|_| archway.client()).collect();
    let asked = clients.iter();
    let asked = asked.map(|client| client.open(Method::GET, "/v2/team/app/tags/list"));
    let unread = join_all(asked).await;
    let held = Memory::peak(archway.pid(), HELD).await.resident;
    let served = unread.iter().filter(|answer| answer.status() == 200);
    let (served, calls) = (served.count(), registry.log().gets("/tags/list"));
    Row::new(format!("{CLIENTS} clients that do not read a list of 7 MB"))
        .at_most("RSS +", grown_mb(before, held), 16.0, "MB")
        .saw(format!("{calls} upstream requests"), "1", calls == 1)
        .saw(format!("{served} answered"), "all", served == CLIENTS)
}

async fn throttled(place: &Place) -> Row {
    let registry = FakeRegistry::with("team/app", "v1", &images::multi_platform("app")).await;
    let lists = || On::path("/tags/list");
    let later = Fault::Header(header::RETRY_AFTER, HeaderValue::from_static("10"));
    registry.faults().add(lists(), later);
    let refusal = Fault::Status(StatusCode::TOO_MANY_REQUESTS);
    registry.faults().add(lists(), refusal);
    let archway = place.start(Setup::in_front_of(&registry)).await;
    let (client, honest) = (
        archway.client(),
        Client::from_address(&archway.url(), HONEST),
    );
    let held = format!("archway_upstream_calls_held{{upstream=\"{UPSTREAM}\",calls=\"lists\"}}");
    let pull = async {
        eventually("lists are held back", async || {
            (archway.metric(&held).await? > 0).then_some(())
        })
        .await;
        let begun = Instant::now();
        honest.pull("team/app", "v1").await;
        begun.elapsed()
    };
    let list = client.get("/v2/team/app/tags/list");
    tokio::pin!(list);
    let pulled = tokio::select! {
        pulled = pull => pulled,
        answer = &mut list => panic!("the list is answered first: {}", answer.status),
    };
    Row::new("lists throttled by 429 with `Retry-After: 10`").at_most(
        "cold pull of a tag takes",
        pulled.as_secs_f64(),
        0.5,
        "s",
    )
}
