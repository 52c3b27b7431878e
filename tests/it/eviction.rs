//! The size cap of the cache: it holds, and what is being read stays.

use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::images::{self, BigBlob, Blob, Content, OCI_INDEX};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use serde_json::json;

const MIB: u64 = 1 << 20;
const CAP: u64 = 64 * MIB;
/// More than the sockets between a stalled client and Archway can swallow.
const BLOB: u64 = 20 * MIB;

fn blob(name: &str) -> Blob {
    BigBlob::new(name, BLOB).into()
}

async fn with(blobs: &[Blob]) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::start().await;
    registry.push("team/app", "v1", &images::of_blobs(blobs));
    let archway = Setup::in_front_of(&registry)
        .cache("max_size = \"64MiB\"")
        .start()
        .await;
    (registry, archway)
}

async fn pull(archway: &Archway, blob: &Blob) {
    let path = blob_path("team/app", blob.digest());
    let download = archway.client().open(Method::GET, &path).await;
    let end = within("the blob arrives", download.finish(blob)).await;
    assert_eq!(end, End::Complete(BLOB));
    archway.stores(&blob.digest()).await;
}

fn stored(archway: &Archway) -> u64 {
    archway.files("blobs").iter().map(|(_, size)| size).sum()
}

#[tokio::test]
async fn the_cap_holds_and_the_oldest_goes_first() {
    let blobs: Vec<Blob> = (0..5)
        .map(|number| blob(&format!("blob {number}")))
        .collect();
    let (registry, archway) = with(&blobs).await;
    for blob in &blobs {
        pull(&archway, blob).await;
        eventually("the cap holds", async || {
            (stored(&archway) <= CAP).then_some(())
        })
        .await;
    }
    let newest = blobs[4].digest();
    pull(&archway, &blobs[4]).await;
    assert_eq!(registry.bytes_of(&newest), BLOB, "the newest was kept");
    let oldest = blobs[0].digest();
    pull(&archway, &blobs[0]).await;
    assert_eq!(registry.bytes_of(&oldest), 2 * BLOB, "the oldest had to go");
}

/// Whoever is answered by what the answer has brought does not use it a second time.
#[tokio::test]
async fn large_manifests_that_are_asked_for_once_put_out_nothing_that_is_used_again() {
    let hot: Vec<Blob> = (0..2)
        .map(|number| blob(&format!("hot {number}")))
        .collect();
    let (registry, archway) = with(&hot).await;
    for _ in 0..2 {
        for blob in &hot {
            pull(&archway, blob).await;
        }
    }
    for number in 0..16 {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [],
            "annotations": { "number": number.to_string(), "padding": "x".repeat(4_000_000) },
        });
        let tag = format!("large-{number}");
        let content = Content::default().under(OCI_INDEX, index.to_string());
        registry.push("team/large", &tag, &content);
        archway
            .client()
            .manifest("team/large", &tag)
            .await
            .expect(200);
    }
    for blob in &hot {
        pull(&archway, blob).await;
        assert_eq!(registry.bytes_of(&blob.digest()), BLOB, "it was kept");
    }
}

#[tokio::test]
async fn what_is_used_again_outlives_what_is_not() {
    let blobs: Vec<Blob> = (0..4)
        .map(|number| blob(&format!("blob {number}")))
        .collect();
    let (registry, archway) = with(&blobs).await;
    for blob in &blobs[..3] {
        pull(&archway, blob).await;
    }
    pull(&archway, &blobs[0]).await;
    pull(&archway, &blobs[3]).await;
    eventually("the cap holds", async || {
        (stored(&archway) <= CAP).then_some(())
    })
    .await;
    pull(&archway, &blobs[0]).await;
    assert_eq!(registry.bytes_of(&blobs[0].digest()), BLOB);
}

#[tokio::test]
async fn a_blob_that_is_being_read_is_not_taken() {
    let blobs: Vec<Blob> = (0..6)
        .map(|number| blob(&format!("blob {number}")))
        .collect();
    let (registry, archway) = with(&blobs).await;
    pull(&archway, &blobs[0]).await;
    let path = blob_path("team/app", blobs[0].digest());
    let mut reader = archway.client().open(Method::GET, &path).await;
    reader.read_to(MIB, &blobs[0], 0).await;
    for blob in &blobs[1..] {
        pull(&archway, blob).await;
        eventually("the cap holds", async || {
            (stored(&archway) <= CAP).then_some(())
        })
        .await;
    }
    let end = within("the reader ends", reader.finish(&blobs[0])).await;
    assert_eq!(end, End::Complete(BLOB));
    pull(&archway, &blobs[0]).await;
    assert_eq!(
        registry.bytes_of(&blobs[0].digest()),
        BLOB,
        "it was there all the time"
    );
}

#[tokio::test]
async fn manifests_outlive_the_blobs_they_name() {
    let blobs: Vec<Blob> = (0..5)
        .map(|number| blob(&format!("blob {number}")))
        .collect();
    let (registry, archway) = with(&blobs).await;
    let manifest = archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    for blob in &blobs {
        pull(&archway, blob).await;
    }
    registry.close().await;
    let digest = manifest.header("docker-content-digest");
    let answer = archway
        .client()
        .manifest("team/app", digest)
        .await
        .expect(200);
    assert_eq!(answer.body, manifest.body);
}

#[tokio::test]
async fn a_blob_larger_than_the_cap_still_reaches_its_client() {
    let large = Blob::from(BigBlob::new("too large to keep", CAP + MIB));
    let (_registry, archway) = with(std::slice::from_ref(&large)).await;
    let path = blob_path("team/app", large.digest());
    let download = archway.client().open(Method::GET, &path).await;
    let end = within("the blob arrives", download.finish(&large)).await;
    assert_eq!(end, End::Complete(CAP + MIB));
    eventually("the cap holds", async || {
        (stored(&archway) <= CAP).then_some(())
    })
    .await;
}
