//! Promise 6, upstream trouble: when a tag is asked for anew, when it is served stale, and when
//! "not found" may be said.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use integration_tests::client::Answer;
use integration_tests::faults::{Fault, Gate, On};
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

const TAG: &str = "/manifests/v1";
/// Tags grow old at once, and nobody waits for an upstream that throttles.
const SHORT: &str = "tag_ttl = \"50ms\"\nnot_found_ttl = \"50ms\"\npatience = \"0s\"";

async fn with(lines: &str) -> (FakeRegistry, Archway) {
    let content = images::single("first", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway)
}

async fn get(archway: &Archway) -> Answer {
    archway.client().manifest("team/app", "v1").await
}

/// Asks until an answer fits; every answer on the way has to fit `meanwhile`.
async fn until(
    archway: &Archway,
    what: &str,
    fits: impl Fn(&Answer) -> bool,
    meanwhile: impl Fn(&Answer) -> bool,
) -> Answer {
    eventually(what, async || {
        let answer = get(archway).await;
        if fits(&answer) {
            return Some(answer);
        }
        assert!(
            meanwhile(&answer),
            "{what}: {} {}",
            answer.status,
            answer.text()
        );
        None
    })
    .await
}

fn is_stale(answer: &Answer) -> bool {
    answer.header("archway-cache") == "stale"
}

fn is_ok(answer: &Answer) -> bool {
    answer.status == 200
}

#[track_caller]
fn assert_says_stale(answer: &Answer) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("archway-cache"), "stale");
    let warning = answer.header("warning");
    assert!(
        warning.starts_with("110") || warning.starts_with("111") || warning.starts_with("299"),
        "{warning}"
    );
    let age = answer.header("age");
    assert!(age.parse::<u64>().is_ok(), "Age: {age}");
}

#[tokio::test]
async fn a_fresh_tag_asks_nobody() {
    let (registry, archway) = with("tag_ttl = \"1h\"").await;
    for _ in 0..5 {
        get(&archway).await.expect(200);
        archway
            .client()
            .head("/v2/team/app/manifests/v1")
            .await
            .expect(200);
    }
    assert_eq!(
        registry
            .log()
            .all()
            .iter()
            .filter(|entry| entry.path.ends_with(TAG))
            .count(),
        1
    );
}

#[tokio::test]
async fn an_old_tag_is_revalidated_by_head_alone() {
    let (registry, archway) = with(SHORT).await;
    get(&archway).await.expect(200);
    let (gets, heads) = (
        registry.log().gets("/manifests/"),
        registry.log().heads(TAG),
    );
    eventually("the tag is revalidated", async || {
        get(&archway).await.expect(200);
        (registry.log().heads(TAG) >= heads + 2).then_some(())
    })
    .await;
    assert_eq!(registry.log().gets("/manifests/"), gets, "a HEAD is enough");
}

#[tokio::test]
async fn a_moved_tag_is_followed() {
    let (registry, archway) = with(SHORT).await;
    let first = get(&archway).await.expect(200);
    let moved = images::single("second", "linux/amd64", Flavor::Oci);
    registry.push("team/app", "v1", &moved);
    let old = |answer: &Answer| answer.body == first.body;
    let new = |answer: &Answer| answer.body == moved.root().bytes;
    until(&archway, "the tag moves", new, old).await;
}

#[tokio::test]
async fn a_tag_is_served_stale_when_the_upstream_is_gone() {
    let (registry, archway) = with(SHORT).await;
    let fresh = get(&archway).await.expect(200);
    registry.close().await;
    let stale = until(&archway, "the answer says it is stale", is_stale, is_ok).await;
    assert_says_stale(&stale);
    assert_eq!(stale.body, fresh.body);
    let head = archway.client().head("/v2/team/app/manifests/v1").await;
    assert_says_stale(&head);
    registry.reopen().await;
    until(
        &archway,
        "it is fresh again",
        |answer| is_ok(answer) && !is_stale(answer),
        is_ok,
    )
    .await;
}

#[tokio::test]
async fn a_tag_is_served_stale_when_the_upstream_throttles_refuses_or_fails() {
    for status in [401, 403, 429, 500, 503] {
        let (registry, archway) = with(SHORT).await;
        let fresh = get(&archway).await.expect(200);
        let status = StatusCode::from_u16(status).expect("a status");
        registry.faults().add(On::all(), Fault::Status(status));
        let stale = until(&archway, "the answer says it is stale", is_stale, is_ok).await;
        assert_says_stale(&stale);
        assert_eq!(stale.body, fresh.body, "{status}");
    }
}

#[tokio::test]
async fn a_slow_revalidation_keeps_nobody_waiting() {
    // The upstream may take longer than a test waits: only a stale answer comes in time.
    let (registry, archway) = with(&format!("{SHORT}\nheader_timeout = \"10m\"")).await;
    get(&archway).await.expect(200);
    let gate = Gate::new();
    registry
        .faults()
        .add(On::path(TAG), Fault::HoldHeaders(gate.clone()));
    let stale = until(
        &archway,
        "an answer comes while the upstream is asked",
        is_stale,
        is_ok,
    )
    .await;
    assert_eq!(stale.status, 200);
    gate.arrived().await;
    gate.open();
    until(
        &archway,
        "it is fresh again",
        |answer| is_ok(answer) && !is_stale(answer),
        is_ok,
    )
    .await;
}

#[tokio::test]
async fn stale_has_a_bound() {
    let lines = format!("{SHORT}\nstale_if_error = \"300ms\"");
    let (registry, archway) = with(&lines).await;
    get(&archway).await.expect(200);
    registry.close().await;
    let over = until(
        &archway,
        "the bound is passed",
        |answer| !is_ok(answer),
        is_ok,
    )
    .await;
    assert!(
        over.status.is_server_error(),
        "trouble is not absence: {}",
        over.status
    );
}

#[tokio::test]
async fn a_tag_that_the_upstream_took_away_is_gone() {
    let (registry, archway) = with(SHORT).await;
    let digest = get(&archway)
        .await
        .expect(200)
        .header("docker-content-digest")
        .to_owned();
    registry.remove_tag("team/app", "v1");
    let gone = until(
        &archway,
        "the tag is gone",
        |answer| answer.status == 404,
        is_ok,
    )
    .await;
    assert_eq!(gone.error_code(), "MANIFEST_UNKNOWN");
    archway
        .client()
        .manifest("team/app", &digest[..])
        .await
        .expect(200);
}

#[tokio::test]
async fn absence_is_remembered_for_a_moment_only() {
    let (registry, archway) = with("not_found_ttl = \"1h\"").await;
    for _ in 0..5 {
        let answer = archway
            .client()
            .manifest("team/app", "later")
            .await
            .expect(404);
        assert_eq!(answer.error_code(), "MANIFEST_UNKNOWN");
    }
    let asked = registry.log().all();
    let asked = asked.iter().filter(|entry| entry.path.ends_with("/later"));
    assert_eq!(asked.count(), 1);

    let (registry, archway) = with(SHORT).await;
    archway
        .client()
        .manifest("team/app", "later")
        .await
        .expect(404);
    let content = images::single("later", "linux/amd64", Flavor::Oci);
    registry.push("team/app", "later", &content);
    eventually("the new tag is seen", async || {
        let answer = archway.client().manifest("team/app", "later").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_the_upstream_can_say_that_something_is_not_there() {
    for status in [401, 403, 429, 500, 503] {
        let (registry, archway) = with(SHORT).await;
        let status = StatusCode::from_u16(status).expect("a status");
        registry.faults().add(On::all(), Fault::Status(status));
        for method in [Method::HEAD, Method::GET] {
            let answer = archway
                .client()
                .send(method, "/v2/team/app/manifests/v1")
                .await;
            assert!(!answer.status.is_success(), "{status}");
            assert_ne!(answer.status, 404, "upstream said {status}");
            assert_ne!(answer.status, 401, "upstream said {status}");
        }
        registry.faults().clear();
        // Trouble may be remembered for a moment, as trouble; never as absence.
        until(&archway, "it heals", is_ok, |answer| answer.status != 404).await;
    }
}

#[tokio::test]
async fn a_404_in_words_that_are_no_registrys_is_trouble_and_forgets_no_tag() {
    let (registry, archway) = with(SHORT).await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    registry
        .faults()
        .add(On::all(), Fault::Page(StatusCode::NOT_FOUND));
    until(&archway, "the tag is stale", is_stale, is_ok).await;
    let unknown = archway.client().manifest("team/app", "v2").await;
    assert_eq!(unknown.status, 502, "{}", unknown.text());
    registry.close().await;
    assert!(is_stale(&get(&archway).await));
}

#[tokio::test]
async fn a_head_is_a_guess_and_only_a_get_forgets_a_tag() {
    for status in [400, 403, 404, 405, 500, 501] {
        let (registry, archway) = with("tag_ttl = \"0s\"").await;
        get(&archway).await.expect(200);
        let head = || On::path("/manifests/").method(Method::HEAD);
        let name = HeaderName::from_static("docker-distribution-api-version");
        let version = Fault::Header(name, HeaderValue::from_static("registry/2.0"));
        registry.faults().add(head(), version);
        let status = StatusCode::from_u16(status).expect("a status");
        registry.faults().add(head(), Fault::Status(status));
        for _ in 0..3 {
            let answer = get(&archway).await.expect(200);
            assert_ne!(
                answer.header("archway-cache"),
                "stale",
                "HEAD says {status}"
            );
        }
    }
}

#[tokio::test]
async fn the_registry_that_a_manifest_is_redirected_to_may_say_that_it_is_not_there() {
    let (registry, archway) = with(SHORT).await;
    let (other, _) = FakeRegistry::with_app().await;
    let path = "/v2/team/app/manifests/v2";
    let to = format!("{}{path}", other.url());
    registry
        .faults()
        .add(On::path("/manifests/v2"), Fault::Redirect(to));
    let answer = archway.client().get(path).await.expect(404);
    assert_eq!(answer.error_code(), "MANIFEST_UNKNOWN");
    assert_eq!(other.log().gets("/manifests/v2"), 1);
}

#[tokio::test]
async fn what_cannot_be_served_fails_fast_when_the_upstream_is_gone() {
    let (registry, archway) = with(SHORT).await;
    registry.close().await;
    let answer = get(&archway).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    answer.json();
}

#[tokio::test]
async fn a_cached_digest_needs_no_upstream_however_old() {
    let lines = format!("{SHORT}\nstale_if_error = \"50ms\"");
    let (registry, archway) = with(&lines).await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    registry.close().await;
    until(
        &archway,
        "the tag is too old",
        |answer| !is_ok(answer),
        is_ok,
    )
    .await;
    let answer = archway
        .client()
        .manifest("team/app", pulled.root)
        .await
        .expect(200);
    assert_eq!(answer.header("archway-cache"), "hit");
    for blob in &pulled.parts[1..] {
        let answer = archway.client().blob("team/app", *blob).await.expect(200);
        assert_eq!(answer.header("archway-cache"), "hit");
    }
}

#[tokio::test]
async fn an_immutable_tag_is_never_asked_for_again() {
    let lines = format!("{SHORT}\nimmutable_tags = [\"v*.*.*\"]");
    let (registry, archway) = with(&lines).await;
    let content = images::single("fixed", "linux/amd64", Flavor::Oci);
    registry.push("team/app", "v1.2.3", &content);
    archway
        .client()
        .manifest("team/app", "v1.2.3")
        .await
        .expect(200);
    let heads = registry.log().heads(TAG);
    eventually("a mutable tag is revalidated", async || {
        get(&archway).await.expect(200);
        archway
            .client()
            .manifest("team/app", "v1.2.3")
            .await
            .expect(200);
        (registry.log().heads(TAG) >= heads + 2).then_some(())
    })
    .await;
    let asked = registry.log().all();
    let asked = asked.iter().filter(|entry| entry.path.ends_with("/v1.2.3"));
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn no_mode_of_a_client_changes_what_is_kept_for_others() {
    let (registry, archway) = with("tag_ttl = \"1h\"").await;
    let odd = archway
        .client()
        .accepting(&["text/plain"])
        .with("range", "bytes=0-3");
    let _ = odd.manifest("team/app", "v1").await;
    let _ = odd
        .with("if-none-match", "*")
        .manifest("team/app", "v1")
        .await;
    let answer = get(&archway).await.expect(200);
    let content = images::single("first", "linux/amd64", Flavor::Oci);
    assert_eq!(answer.body, content.root().bytes);
    assert!(registry.log().gets(TAG) <= 1);
}

#[tokio::test]
async fn a_fresh_tag_whose_manifest_is_gone_here_and_there_is_asked_for_anew() {
    let first = images::single("first", "linux/amd64", Flavor::Oci);
    let second = images::single("second", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &first).await;
    let archway = Setup::in_front_of_with(&registry, "tag_ttl = \"1h\"")
        .start()
        .await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;

    for (path, _) in archway.files("blobs") {
        std::fs::remove_file(path).expect("the cache is ours");
    }
    registry.push("team/app", "v1", &second);
    let gone = first.root().digest.to_string();
    let gone = On::path(gone.as_str());
    registry
        .faults()
        .add(gone, Fault::Status(StatusCode::NOT_FOUND));
    let archway = archway.restart().await;
    assert_eq!(get(&archway).await.expect(200).body, second.root().bytes);
}
