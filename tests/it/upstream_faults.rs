//! Trouble on the way: slow, stalled, silent and throttling upstreams, and several endpoints for
//! one.

use http::{HeaderValue, Method, StatusCode, header};
use integration_tests::client::{End, blob_path};
use integration_tests::faults::{Cut, Fault, Gate, On};
use integration_tests::images::{self, BigBlob, Blob, Content, Flavor};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::wait::{eventually, within};

const SIZE: u64 = 400_000;

async fn with(lines: &str) -> (FakeRegistry, Archway, Blob) {
    let blob = Blob::from(BigBlob::new("troubled", SIZE));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway, blob)
}

#[tokio::test]
async fn a_slow_body_is_not_a_stalled_one() {
    let (registry, archway, blob) = with("idle_timeout = \"500ms\"").await;
    // A piece every few milliseconds, and more than a second for all of them.
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::Throttle(300_000));
    let answer = archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    assert!(blob.holds_at(0, &answer.body) && answer.body.len() as u64 == SIZE);
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn a_stalled_body_is_given_up() {
    let (registry, archway, blob) = with("idle_timeout = \"200ms\"").await;
    let _never = registry.faults().hold_body(On::path("/blobs/"), SIZE / 2);
    let path = blob_path("team/app", blob.digest());
    let download = archway.client().open(Method::GET, &path).await;
    let end = within("the client is let go", download.finish(&blob)).await;
    assert!(
        matches!(end, End::Broken(bytes) if bytes <= SIZE / 2),
        "{end:?}"
    );
    assert_eq!(registry.gets_of(&blob.digest()), 2, "one more try");
    registry.faults().clear();
    // Two stalls in a row are an outage, until a probe is answered.
    eventually("the blob is had", async || {
        let again = archway.client().blob("team/app", blob.digest()).await;
        (again.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_takes_the_request_and_says_nothing_is_given_up() {
    let (registry, archway, blob) = with("header_timeout = \"200ms\"").await;
    let never = Gate::new();
    registry
        .faults()
        .add(On::all(), Fault::HoldHeaders(never.clone()));
    let answer = archway.client().manifest("team/app", "v1").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    let answer = archway.client().blob("team/app", blob.digest()).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
}

#[tokio::test]
async fn a_cut_download_is_right_in_the_end() {
    for blobs in [Blobs::Direct, Blobs::Redirected] {
        for how in [Cut::Fin, Cut::Rst] {
            let (registry, archway, blob) = with("").await;
            registry.quirks(|quirks| quirks.blobs = blobs);
            let part = if blobs == Blobs::Direct {
                "/blobs/"
            } else {
                "/layers/"
            };
            registry
                .faults()
                .times(1, On::path(part), Fault::Cut(SIZE / 2, how));
            let path = blob_path("team/app", blob.digest());
            let first = archway
                .client()
                .open(Method::GET, &path)
                .await
                .finish(&blob);
            let end = within("the first client ends", first).await;
            assert!(
                matches!(end, End::Complete(SIZE) | End::Broken(_)),
                "{end:?}"
            );
            let second = archway
                .client()
                .open(Method::GET, &path)
                .await
                .finish(&blob);
            assert_eq!(
                within("the second client ends", second).await,
                End::Complete(SIZE)
            );
        }
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_passed_on() {
    let (registry, archway, _blob) = with("patience = \"5s\"").await;
    let status = StatusCode::TOO_MANY_REQUESTS;
    registry.faults().add(On::all(), Fault::Status(status));
    let wait = Fault::Header(header::RETRY_AFTER, HeaderValue::from_static("7"));
    registry.faults().add(On::all(), wait);
    let answer = archway.client().manifest("team/app", "v1").await;
    assert!(
        answer.status == 429 || answer.status == 503,
        "{}",
        answer.status
    );
    assert_eq!(answer.error_code(), "TOOMANYREQUESTS");
    assert_eq!(answer.header("retry-after"), "7");
}

async fn two_endpoints() -> (FakeRegistry, FakeRegistry, Archway, Content) {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &content).await;
    let second = FakeRegistry::with("team/app", "v1", &content).await;
    second.push("team/app", "only-second", &content);
    let urls = [first.url(), second.url()];
    let archway = Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &urls, "")
        .start()
        .await;
    (first, second, archway, content)
}

#[tokio::test]
async fn the_first_endpoint_that_works_is_asked_alone() {
    let (first, second, archway, content) = two_endpoints().await;
    archway.client().pull("team/app", "v1").await;
    assert!(second.log().all().is_empty());
    assert_eq!(first.gets_of(&content.blobs[0].digest()), 1);
}

#[tokio::test]
async fn trouble_at_the_first_endpoint_moves_on_to_the_second() {
    let (first, second, archway, _) = two_endpoints().await;
    first.close().await;
    archway.client().pull("team/app", "v1").await;
    assert!(!second.log().all().is_empty());

    let (first, _second, archway, _) = two_endpoints().await;
    let failing = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);
    first.faults().add(On::all(), failing);
    archway.client().pull("team/app", "v1").await;
}

#[tokio::test]
async fn a_404_of_the_first_endpoint_is_an_answer() {
    let (_first, second, archway, _) = two_endpoints().await;
    archway
        .client()
        .manifest("team/app", "only-second")
        .await
        .expect(404);
    assert!(second.log().all().is_empty());
}

#[tokio::test]
async fn a_404_of_the_second_endpoint_forgets_no_tag_while_the_first_is_in_trouble() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &content).await;
    let second = FakeRegistry::start().await;
    let archway = Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(
            UPSTREAM,
            &[first.url(), second.url()],
            "tag_ttl = \"0s\"\nnot_found_ttl = \"0s\"",
        )
        .start()
        .await;
    archway.client().pull("team/app", "v1").await;
    let failing = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);
    first.faults().add(On::all(), failing);
    // The first is in trouble, and later known to be down.
    for _ in 0..8 {
        let answer = archway.client().manifest("team/app", "v1").await;
        assert_eq!(answer.expect(200).header("archway-cache"), "stale");
        archway
            .client()
            .manifest("team/app", "v2")
            .await
            .expect(404);
    }
    assert!(!second.log().all().is_empty());
}

#[tokio::test]
async fn the_idle_timeout_of_bodies_does_not_cut_the_wait_for_headers() {
    let timeouts = "header_timeout = \"30s\"\nidle_timeout = \"1ms\"";
    let (registry, archway, _) = with(timeouts).await;
    let gate = Gate::new();
    let held = On::path("/manifests/");
    registry
        .faults()
        .add(held, Fault::HoldHeaders(gate.clone()));
    let client = archway.client();
    let pull = client.manifest("team/app", "v1");
    let opened = async {
        eventually("it is asked", async || {
            (registry.log().gets("/manifests/") > 0).then_some(())
        })
        .await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(pull, opened);
    answer.expect(200);
}

#[tokio::test]
async fn a_download_of_a_blob_that_was_said_to_be_longer_begins_anew() {
    for blobs in [Blobs::Direct, Blobs::Redirected] {
        begins_anew(blobs).await;
    }
}

async fn begins_anew(blobs: Blobs) {
    const MIB: u64 = 1 << 20;
    let blob = Blob::from(BigBlob::new("said to be longer", 2 * MIB));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    registry.quirks(|quirks| quirks.blobs = blobs);
    let archway = Setup::in_front_of_with(&registry, "idle_timeout = \"200ms\"")
        .start()
        .await;
    let place = match blobs {
        Blobs::Direct => "/blobs/",
        Blobs::Redirected => "/layers/",
    };
    let on = || On::path(place);
    registry.faults().add(on(), Fault::Extend(2 * MIB));
    let _never = registry.faults().hold_body(on(), 3 * MIB);
    let path = blob_path("team/app", blob.digest());
    let download = archway.client().open(Method::GET, &path).await;
    let end = within("the client is let go", download.drain()).await;
    assert!(matches!(end, End::Broken(_)), "{end:?}");

    // What is kept ends behind the blob: a range from there is refused.
    registry.faults().clear();
    let answer = eventually("the endpoint is asked again", async || {
        let answer = archway.client().get(&path).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert!(blob.holds_at(0, &answer.body) && answer.body.len() as u64 == 2 * MIB);
    let statuses: Vec<_> = registry
        .log()
        .of(&Method::GET, place)
        .iter()
        .map(|request| request.status())
        .collect();
    assert!(statuses.contains(&416), "{statuses:?}");
}
