//! Failing fast: a dead upstream is remembered, found again by itself, and no matter for what is
//! cached.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use integration_tests::client::Client;
use integration_tests::dead_end::DeadEnd;
use integration_tests::faults::{Fault, Gate, On};
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

const CACHED: usize = 100;

/// What a client takes for "at once".
const AT_ONCE: Duration = Duration::from_secs(1);

async fn with(lines: &str) -> (FakeRegistry, Archway) {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    registry.push("team/app", "v2", &content);
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway)
}

async fn fails_at_once(client: &Client, tag: &str) {
    let started = Instant::now();
    let answer = client.manifest("team/app", tag).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_hundred_cached_images_do_not_notice_that_the_upstream_is_gone() {
    let registry = FakeRegistry::start().await;
    let name = |image: usize| format!("team/app-{image}");
    for image in 0..CACHED {
        let content = images::single(&name(image), "linux/amd64", Flavor::Oci);
        registry.push(&name(image), "v1", &content);
    }
    let lines = "tag_ttl = \"0s\"\nconnect_timeout = \"2s\"\nheader_timeout = \"2s\"";
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    let pull_all = async || {
        let pulls = (0..CACHED).map(async |image| archway.client().pull(&name(image), "v1").await);
        join_all(pulls).await
    };
    let before = pull_all().await;
    for part in before.iter().flat_map(|pulled| &pulled.parts[1..]) {
        archway.stores(part).await;
    }
    registry.close().await;
    let _hole = DeadEnd::black_hole(registry.address()).await;
    let _ = archway.client().manifest("team/none", "v1").await;
    // By tag, and from there by digest.
    assert_eq!(pull_all().await, before);
    let client = archway.client();
    let started = Instant::now();
    let answer = client.manifest("team/none", "v2").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn only_the_first_client_waits_for_an_upstream_that_says_nothing() {
    let (registry, archway) = with("header_timeout = \"1500ms\"").await;
    registry
        .faults()
        .add(On::all(), Fault::HoldHeaders(Gate::new()));
    let client = archway.client();
    let first = client.manifest("team/app", "v1").await;
    assert!(first.status.is_server_error());
    for _ in 0..3 {
        fails_at_once(&client, "v1").await;
    }
    let detail = archway.admin().get("/readyz").await.expect(200).text();
    assert!(
        detail.starts_with("ready\n") && detail.contains(&format!("upstream {UPSTREAM} at ")),
        "{detail}"
    );
    let metrics = archway.admin().get("/metrics").await.text();
    let line = format!("archway_upstream_endpoints_down{{upstream=\"{UPSTREAM}\"}} 1");
    assert!(metrics.contains(&line), "{metrics}");
}

#[tokio::test]
async fn an_upstream_that_is_back_is_found_again() {
    let (registry, archway) = with("").await;
    registry.close().await;
    let client = archway.client();
    fails_at_once(&client, "v1").await;
    fails_at_once(&client, "v1").await;
    registry.reopen().await;
    eventually("it is asked again", async || {
        let answer = client.manifest("team/app", "v1").await;
        (answer.status == 200).then_some(())
    })
    .await;
    let detail = archway.admin().get("/readyz").await.text();
    assert_eq!(detail, "ready\n");
}

#[tokio::test]
async fn one_slow_answer_among_good_ones_is_no_outage() {
    let (registry, archway) = with("header_timeout = \"1s\"\ntag_ttl = \"0s\"").await;
    let held = Gate::new();
    registry
        .faults()
        .add(On::path("/manifests/v1"), Fault::HoldHeaders(held.clone()));
    let (slow, quick) = (archway.client(), archway.client());
    let slow = slow.manifest("team/app", "v1");
    let quick = async {
        held.arrived().await;
        quick.manifest("team/app", "v2").await.expect(200);
    };
    let (slow, ()) = tokio::join!(slow, quick);
    assert!(slow.status.is_server_error());
    let detail = archway.admin().get("/readyz").await.text();
    assert_eq!(detail, "ready\n");
}

async fn two_endpoints(lines: &str) -> (FakeRegistry, FakeRegistry, Archway) {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &content).await;
    let second = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[first.url(), second.url()], lines)
        .start()
        .await;
    (first, second, archway)
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_asked_last_and_first_again_when_it_is_back() {
    let (first, second, archway) = two_endpoints("tag_ttl = \"0s\"").await;
    first
        .faults()
        .add(On::path("/manifests/"), Fault::HoldHeaders(Gate::new()));
    first.close().await;
    let client = archway.client();
    for _ in 0..3 {
        client.manifest("team/app", "v1").await.expect(200);
    }
    assert!(!second.log().all().is_empty());
    first.faults().clear();
    first.reopen().await;
    eventually("the first is asked again", async || {
        client.manifest("team/app", "v1").await.expect(200);
        let all = first.log().all();
        all.iter()
            .any(|entry| entry.path.contains("/manifests/"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_slow_manifest_is_asked_for_at_the_second_endpoint_where_that_is_configured() {
    let (first, second, archway) = two_endpoints("hedge_after = \"100ms\"").await;
    first
        .faults()
        .add(On::path("/manifests/"), Fault::HoldHeaders(Gate::new()));
    let started = Instant::now();
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(second.log().all().len(), 1);
}

#[tokio::test]
async fn a_tag_the_upstream_took_away_is_served_still_where_that_is_configured() {
    let (registry, archway) = with("tag_ttl = \"0s\"\nserve_deleted_tags = true").await;
    let client = archway.client();
    let before = client.manifest("team/app", "v1").await.expect(200);
    registry.remove_tag("team/app", "v1");
    for _ in 0..2 {
        let after = client.manifest("team/app", "v1").await.expect(200);
        assert_eq!(after.header("archway-cache"), "stale");
        assert_eq!(after.body, before.body);
    }
    client.manifest("team/app", "never").await.expect(404);
}
