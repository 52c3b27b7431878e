//! The store behind a registry's redirects: its failures before the first byte cost no client its
//! blob, as those after it do not.

use futures_util::future::join_all;
use http::StatusCode;
use integration_tests::client::blob_path;
use integration_tests::dead_end::DeadEnd;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Content, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{Blobs, FakeRegistry};
use manifest_model::{Algorithm, Digest};

async fn redirecting() -> (FakeRegistry, Archway, Content) {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway, content)
}

fn status(code: u16) -> Fault {
    Fault::Status(StatusCode::from_u16(code).expect("a status"))
}

#[tokio::test]
async fn a_store_that_fails_at_first_gives_the_blob_all_the_same() {
    for (code, times) in [(500, 1), (500, 4), (503, 1), (503, 2), (504, 2)] {
        let (registry, archway, content) = redirecting().await;
        let blob = content.blobs[1].digest();
        let store = On::path("/layers/");
        registry.faults().times(times, store, status(code));
        archway.client().blob("team/app", blob).await.expect(200);
        assert_eq!(registry.store_gets_of(&blob), times + 1, "{code}");
        assert_eq!(
            registry.gets_of(&blob),
            times + 1,
            "a fresh address each time"
        );
    }
}

#[tokio::test]
async fn a_store_that_hangs_up_twice_in_a_row_gives_the_blob_all_the_same() {
    let (registry, archway, content) = redirecting().await;
    let blob = content.blobs[1].digest();
    let dead = DeadEnd::resetting(([127, 0, 0, 1], 0).into());
    let to = Fault::Redirect(format!("http://{}/layer", dead.address()));
    registry.faults().times(2, On::path("/blobs/"), to);
    archway.client().blob("team/app", blob).await.expect(200);
}

#[tokio::test]
async fn a_head_and_a_second_repository_get_the_same_chances() {
    let (registry, archway, content) = redirecting().await;
    registry.push("team/other", "v1", &content);
    let blob = content.blobs[1].digest();
    let client = archway.client();
    for code in [500, 503] {
        registry
            .faults()
            .times(1, On::path("/layers/"), status(code));
        let path = blob_path("team/app", blob);
        client.send(http::Method::HEAD, &path).await.expect(200);
    }
    client.blob("team/app", blob).await.expect(200);
    registry
        .faults()
        .times(1, On::path("/layers/"), status(500));
    client.blob("team/other", blob).await.expect(200);
}

#[tokio::test]
async fn a_store_that_slows_down_a_third_of_all_requests_fails_none_of_many_cold_blobs() {
    const CLIENTS: usize = 20;
    const BLOBS: usize = 200;
    let (registry, archway, _) = redirecting().await;
    let third = On::path("/layers/").one_in(3, 2026);
    let slow_down = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);
    registry.faults().add(third, slow_down);
    let blobs: Vec<Digest> = (0..BLOBS)
        .map(|number| {
            let blob = Blob::from(BigBlob::new(&format!("layer {number}"), 20_000));
            registry.push_blob("team/app", Algorithm::Sha256, &blob)
        })
        .collect();
    let clients = blobs.chunks(BLOBS / CLIENTS).map(|blobs| {
        let client = archway.client();
        async move {
            for blob in blobs {
                client.blob("team/app", *blob).await.expect(200);
            }
        }
    });
    join_all(clients).await;
    let asked = registry.log().gets("/layers/");
    assert!((BLOBS + BLOBS / 4..2 * BLOBS).contains(&asked), "{asked}");
}
