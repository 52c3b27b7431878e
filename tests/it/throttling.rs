//! Upstreams that limit: budgets are kept, 429 is waited out, and nobody is told of it who need not
//! be.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::{HeaderValue, StatusCode, header};
use integration_tests::client::Client;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::{Blobs, FakeRegistry};

const CLIENTS: usize = 200;
const IMAGES: usize = 20;
const RATE: usize = 5;

fn name(image: usize) -> String {
    format!("team/app-{image}")
}

async fn many_images() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for image in 0..IMAGES {
        let content = images::single(&name(image), "linux/amd64", Flavor::Oci);
        registry.push(&name(image), "v1", &content);
    }
    registry
}

/// Over which the rate of the upstream is measured: a moment in which nothing ran here bunches a
/// few calls.
const STRETCH: Duration = Duration::from_secs(4);

/// The most calls in any such stretch.
fn busiest(registry: &FakeRegistry) -> usize {
    let times: Vec<Instant> = registry.log().all().iter().map(|entry| entry.at).collect();
    let within = |from: &Instant| {
        let calls = times
            .iter()
            .filter(|at| *at >= from && **at - *from < STRETCH);
        calls.count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

async fn all_pull(archway: &Archway) {
    let pulls = (0..CLIENTS).map(async |client| {
        archway.client().pull(&name(client % IMAGES), "v1").await;
    });
    join_all(pulls).await;
}

#[tokio::test]
async fn two_hundred_clients_pull_twenty_images_within_the_rate_of_the_upstream() {
    let registry = many_images().await;
    registry.limit(RATE);
    let lines = format!("rate = \"{RATE}/s\"\npatience = \"1m\"");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    all_pull(&archway).await;
    let most = (RATE + RATE / 5) * usize::try_from(STRETCH.as_secs()).expect("a few seconds");
    let busiest = busiest(&registry);
    assert!(busiest <= most, "{busiest} calls within {STRETCH:?}");
    let all = registry.log().all();
    // 206 too: a blob is asked for by its first bytes.
    let good = all.iter().filter(|entry| entry.status() / 100 == 2);
    let answered = good.count();
    assert_eq!(answered, IMAGES * 4, "each thing once");
}

#[tokio::test]
async fn a_rate_nobody_configured_is_learned_from_429s() {
    let registry = many_images().await;
    // Enough of it that the test is no matter of patience.
    registry.limit(20);
    let archway = Setup::in_front_of_with(&registry, "patience = \"1m\"")
        .start()
        .await;
    all_pull(&archway).await;
    let all = registry.log().all();
    let throttled = all.iter().filter(|entry| entry.status() == 429).count();
    assert!(throttled > 0, "the limit was met");
    assert!(
        throttled < all.len() / 2,
        "{throttled} of {} calls were in vain",
        all.len()
    );
}

async fn one_image(lines: &str) -> (FakeRegistry, Archway, Content) {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway, content)
}

/// The next calls are throttled, with this wait.
fn throttle(registry: &FakeRegistry, times: usize, on: &On, seconds: &'static str) {
    let status = Fault::Status(StatusCode::TOO_MANY_REQUESTS);
    registry.faults().times(times, on.clone(), status);
    let wait = Fault::Header(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    registry.faults().times(times, on.clone(), wait);
}

#[tokio::test]
async fn a_short_wait_is_waited_out() {
    let (registry, archway, _) = one_image("").await;
    throttle(&registry, 1, &On::all(), "1");
    let started = Instant::now();
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(registry.log().all().len(), 2);
}

#[tokio::test]
async fn a_time_to_wait_for_is_judged_by_the_answers_own_date() {
    let (registry, archway, _) = one_image("").await;
    // A Unix time, as Docker Hub has sent one; and a clock that is years behind ours.
    throttle(&registry, 1, &On::all(), "1746136936");
    let date = HeaderValue::from_static("Thu, 01 May 2025 22:02:15 GMT");
    let date = Fault::Header(header::DATE, date);
    registry.faults().times(1, On::all(), date);
    let client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
    assert_eq!(registry.log().all().len(), 2);
}

#[tokio::test]
async fn no_answer_closes_an_upstream_for_longer_than_minutes() {
    for wait in ["3600", "9999999999999"] {
        let (registry, archway, _) = one_image("").await;
        throttle(&registry, 1, &On::all(), wait);
        let client = archway.client();
        let answer = client.manifest("team/app", "v1").await.expect(503);
        let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((290..=300).contains(&seconds), "{wait}: {seconds}");
    }
}

/// Registries limit kinds of calls apart, as ECR the actions of its API.
#[tokio::test]
async fn while_an_upstream_asks_to_wait_nothing_of_the_kind_is_asked_of_it() {
    let (registry, archway, content) = one_image("").await;
    throttle(&registry, 1, &On::all(), "60");
    let client = archway.client();
    let answer = client.manifest("team/app", "v1").await.expect(503);
    assert_eq!(answer.header("retry-after"), "60");
    let answer = client.manifest("team/app", "v2").await.expect(503);
    assert_eq!(answer.error_code(), "TOOMANYREQUESTS");
    assert_eq!(registry.log().all().len(), 1);
    let detail = archway.admin().get("/readyz").await.expect(200).text();
    assert!(
        detail.contains("throttling us for manifests, paused for 60 s"),
        "{detail}"
    );
    let metrics = archway.admin().get("/metrics").await.text();
    let held = format!("calls_held{{upstream=\"{UPSTREAM}\",calls=\"manifests\"}} 1");
    assert!(metrics.contains(&held), "{metrics}");
    let blob = content.blobs[0].digest();
    client.blob("team/app", blob).await.expect(200);
}

#[tokio::test]
async fn a_throttled_list_holds_back_no_pull() {
    let (registry, archway, _) = one_image("patience = \"0s\"").await;
    throttle(&registry, 1, &On::path("/tags/list"), "10");
    let client = archway.client();
    let list = "/v2/team/app/tags/list";
    let answer = client.get(list).await.expect(503);
    assert!(
        answer.text().contains("limiting our requests for lists"),
        "says which calls"
    );
    let started = Instant::now();
    client.pull("team/app", "v1").await;
    assert!(started.elapsed() < Duration::from_millis(500));
    // Not asked for again, and by now there is something known to answer it from.
    let answer = client.get(list).await.expect(200);
    assert_eq!(answer.header("archway-cache"), "stale");
    assert_eq!(registry.log().gets("/tags/list"), 1);
}

#[tokio::test]
async fn lists_have_a_small_rate_of_their_own() {
    let (registry, archway, _) = one_image("patience = \"0s\"\nlist_rate = \"3/1m\"").await;
    let client = archway.client();
    for _ in 0..3 {
        client.get("/v2/team/app/tags/list").await.expect(200);
    }
    client.get("/v2/team/app/tags/list").await.expect(503);
    client.pull("team/app", "v1").await;
    assert_eq!(registry.log().gets("/tags/list"), 3);
}

#[tokio::test]
async fn a_store_that_throttles_is_not_asked_again_at_once() {
    let (registry, archway, content) = one_image("").await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    throttle(&registry, 1, &On::path("/layers/"), "1");
    let blob = content.blobs[1].digest();
    let started = Instant::now();
    archway.client().blob("team/app", blob).await.expect(200);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(registry.store_gets_of(&blob), 2);

    let (registry, archway, content) = one_image("patience = \"0s\"").await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    throttle(&registry, 1, &On::path("/layers/"), "30");
    let answer = archway.client().blob("team/app", blob).await.expect(503);
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!(registry.store_gets_of(&content.blobs[1].digest()), 1);
    // The registry itself said nothing of the kind.
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_store_without_the_blob_is_trouble_and_not_absence() {
    for status in [400, 403, 404, 410] {
        let (registry, archway, content) = one_image("").await;
        registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
        let status = StatusCode::from_u16(status).expect("a status");
        let blob = content.blobs[1].digest();
        registry
            .faults()
            .add(On::path("/layers/"), Fault::Status(status));
        archway.client().blob("team/app", blob).await.expect(502);
        registry.faults().clear();
        archway.client().blob("team/app", blob).await.expect(200);
    }
}

#[tokio::test]
async fn a_throttling_endpoint_is_not_waited_for_when_there_is_another() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &content).await;
    let second = FakeRegistry::with("team/app", "v1", &content).await;
    throttle(&first, 1, &On::all(), "15");
    let archway = Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[first.url(), second.url()], "")
        .start()
        .await;
    let started = Instant::now();
    archway.client().pull("team/app", "v1").await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(first.log().gets("/manifests/"), 1);
}

#[tokio::test]
async fn a_throttled_confirmation_is_served_stale_at_once() {
    let (registry, archway, _) = one_image("tag_ttl = \"0s\"").await;
    let client: Client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
    throttle(&registry, 1, &On::all(), "2");
    for _ in 0..3 {
        let answer = client.manifest("team/app", "v1").await.expect(200);
        assert_eq!(answer.header("archway-cache"), "stale");
    }
    assert_eq!(registry.log().all().len(), 2);
}

#[tokio::test]
async fn the_pulls_that_docker_hub_still_allows_are_a_metric() {
    let (registry, archway, _) = one_image("").await;
    let name = header::HeaderName::from_static("ratelimit-remaining");
    let left = Fault::Header(name, HeaderValue::from_static("76;w=21600"));
    registry.faults().add(On::all(), left);
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    let metrics = archway.admin().get("/metrics").await.text();
    let line = format!("archway_upstream_pulls_remaining{{upstream=\"{UPSTREAM}\"}} 76");
    assert!(metrics.contains(&line), "{metrics}");
}
