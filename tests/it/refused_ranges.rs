//! Upstreams that refuse ranges: what Archway asks for on its own account never makes an answer
//! worse than the client's question would have.

use http::{Method, StatusCode};
use integration_tests::client::{End, blob_path};
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::wait::within;
use manifest_model::Algorithm;

const MIB: u64 = 1 << 20;
/// Larger than the first request, which asks for 8 MiB.
const SIZE: u64 = 12 * MIB;

/// Ways to refuse a range, and whether each tells at once that ranges are refused.
fn refusals() -> Vec<(Fault, bool)> {
    let refuse = |status| Fault::RefuseRange(0, StatusCode::from_u16(status).expect("a status"));
    let clear = [400, 401, 403, 404, 405, 416, 501].map(|status| (refuse(status), true));
    let doubtful = [500, 503].map(|status| (refuse(status), false));
    let odd = [(Fault::HideRange, true), (Fault::IgnoreRange, false)];
    clear.into_iter().chain(doubtful).chain(odd).collect()
}

async fn site(blobs: Blobs, blob: &Blob, lines: &str) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await;
    registry.quirks(|quirks| quirks.blobs = blobs);
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway)
}

fn place(blobs: Blobs) -> On {
    On::path(match blobs {
        Blobs::Direct => "/blobs/",
        Blobs::Redirected => "/layers/",
    })
}

async fn pull(archway: &Archway, blob: &Blob) {
    let path = blob_path("team/app", blob.digest());
    let download = archway.client().open(Method::GET, &path).await;
    assert_eq!(download.status(), 200);
    let end = within("the blob arrives", download.finish(blob)).await;
    assert_eq!(end, End::Complete(blob.size()));
}

#[tokio::test]
async fn a_blob_whose_ranges_are_refused_comes_whole_and_the_refusal_is_remembered() {
    for blobs in [Blobs::Direct, Blobs::Redirected] {
        for (fault, is_clear) in refusals() {
            let blob = Blob::from(BigBlob::new("refused", 9 * MIB));
            let (registry, archway) = site(blobs, &blob, "").await;
            registry.faults().add(place(blobs), fault.clone());
            pull(&archway, &blob).await;
            let sent = registry.bytes_of(&blob.digest());
            assert!(sent <= 18 * MIB, "{sent} bytes, {blobs:?} {fault:?}");
            let next = Blob::from(BigBlob::new("next", 9 * MIB));
            registry.push("team/app", "v2", &images::of_blob(&next));
            pull(&archway, &next).await;
            if is_clear {
                assert_eq!(
                    registry.bytes_of(&next.digest()),
                    9 * MIB,
                    "{blobs:?} {fault:?}"
                );
                let asked = registry.log().of(&Method::GET, &next.digest().to_string());
                assert!(
                    asked
                        .iter()
                        .all(|request| request.header("range").is_empty()),
                    "{blobs:?} {fault:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_registry_that_wants_the_end_of_each_range_is_asked_for_it() {
    for lines in ["", "parallel = 1"] {
        let blob = Blob::from(BigBlob::new("strict", SIZE));
        let (registry, archway) = site(Blobs::Direct, &blob, lines).await;
        registry
            .faults()
            .add(On::path("/blobs/"), Fault::StrictRange);
        registry
            .faults()
            .times(1, On::path("/blobs/"), Fault::Cut(10 * MIB, Cut::Fin));
        pull(&archway, &blob).await;
        let sent = registry.bytes_of(&blob.digest());
        assert!(sent <= SIZE + SIZE / 20, "{sent} bytes, {lines:?}");
    }
}

#[tokio::test]
async fn a_small_blob_of_a_known_manifest_is_asked_for_without_a_range() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::StrictRange);
    archway.client().pull("team/app", "v1").await;
    for blob in &content.blobs {
        assert_eq!(registry.gets_of(&blob.digest()), 1);
    }
}

#[tokio::test]
async fn ranges_that_are_refused_in_the_middle_cost_no_client_its_bytes() {
    for (lines, status) in [("", 403), ("parallel = 1", 403), ("", 500), ("", 404)] {
        let blob = Blob::from(BigBlob::new("middle", SIZE));
        let (registry, archway) = site(Blobs::Direct, &blob, lines).await;
        let status = StatusCode::from_u16(status).expect("a status");
        let later = Fault::RefuseRange(1, status);
        registry.faults().add(On::path("/blobs/"), later);
        registry
            .faults()
            .times(1, On::path("/blobs/"), Fault::Cut(6 * MIB, Cut::Fin));
        pull(&archway, &blob).await;
        let sent = registry.bytes_of(&blob.digest());
        assert!(sent <= 2 * SIZE, "{sent} bytes, {lines:?} {status}");
    }
}

#[tokio::test]
async fn a_download_goes_on_after_a_restart_where_ranges_are_refused() {
    let blob = Blob::from(BigBlob::new("restart", SIZE));
    let (registry, mut archway) = site(Blobs::Direct, &blob, "parallel = 1").await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), SIZE / 2);
    let path = blob_path("team/app", blob.digest());
    let mut first = archway.client().open(Method::GET, &path).await;
    first.read_to(SIZE / 4, &blob, 0).await;
    gate.arrived().await;
    archway.kill();
    registry.faults().clear();
    let refused = Fault::RefuseRange(0, StatusCode::FORBIDDEN);
    registry.faults().add(On::path("/blobs/"), refused);
    let archway = archway.restart().await;
    pull(&archway, &blob).await;
    archway.stores(&blob.digest()).await;
}

#[tokio::test]
async fn a_blob_is_confirmed_where_ranges_are_refused_and_only_where_it_is() {
    for (fault, _) in refusals() {
        let blob = Blob::from(images::noise("shared", 100_000));
        let (registry, archway) = site(Blobs::Direct, &blob, "").await;
        pull(&archway, &blob).await;
        registry.push_blob("team/other", Algorithm::Sha256, &blob);
        registry.push_blob("team/empty", Algorithm::Sha256, &Blob::from(b"x".to_vec()));
        registry.faults().add(On::path("/blobs/"), fault.clone());
        let answer = archway.client().blob("team/other", blob.digest()).await;
        assert_eq!(answer.status, 200, "{fault:?}");
        assert_eq!(answer.header("archway-cache"), "hit", "{fault:?}");
        let answer = archway.client().blob("team/empty", blob.digest()).await;
        assert_eq!(answer.status, 404, "{fault:?}");
    }
}

#[tokio::test]
async fn a_head_of_a_cold_blob_asks_for_one_byte_and_tells_the_length() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let blob = &content.blobs[0];
    let path = blob_path("team/app", blob.digest());
    let head = archway.client().head(&path).await.expect(200);
    assert_eq!(head.header("content-length"), blob.size().to_string());
    assert_eq!(registry.bytes_of(&blob.digest()), 1);
    assert!(!archway.has_stored(&blob.digest()));

    // The upstream tells it of the whole alone, and then not at all: only the manifest does.
    registry.faults().add(On::path("/blobs/"), Fault::HideSize);
    let head = archway.client().head(&path).await.expect(200);
    assert_eq!(head.header("content-length"), blob.size().to_string());
    registry.faults().add(On::path("/blobs/"), Fault::NoLength);
    let head = archway.client().head(&path).await.expect(200);
    assert_eq!(head.header("content-length"), "");
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    let head = archway.client().head(&path).await.expect(200);
    assert_eq!(head.header("content-length"), blob.size().to_string());
    let absent = blob_path("team/empty", blob.digest());
    archway.client().head(&absent).await.expect(404);
}
