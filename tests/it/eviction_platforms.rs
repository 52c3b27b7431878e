//! What nobody here pulls goes first: layers of other platforms, however lately they came.

use integration_tests::images::{self, BigBlob, Blob, Content};
use integration_tests::proxy::{self, Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use serde_json::Value;

const MIB: u64 = 1 << 20;
const LAYER: u64 = 8 * MIB;
const CAP: u64 = 64 * MIB;
const UNWANTED: &str = "archway_cache_unwanted_bytes";
const OFF: &str = "mode = \"off\"";
const LEARNED: &str = "mode = \"learned\"";

fn layers(name: &str) -> Vec<Blob> {
    let layer = |number| BigBlob::new(&format!("{name} {number}"), LAYER).into();
    (0..3).map(layer).collect()
}

fn for_amd64(name: &str) -> Content {
    images::index_of_blobs(&[("linux/amd64", &layers(name))])
}

/// Pulls one platform's image as a node does.
async fn pull(archway: &Archway, repository: &str, tag: &str, content: &Content, platform: &str) {
    let client = archway.client();
    client.manifest(repository, tag).await.expect(200);
    let child = content.child(platform).digest.to_string();
    let manifest: Value = client.manifest(repository, &child).await.expect(200).json();
    let layers = manifest["layers"].as_array().expect("layers").iter();
    for blob in layers.chain([&manifest["config"]]) {
        let digest = blob["digest"].as_str().expect("a digest");
        client.blob(repository, digest).await.expect(200);
        archway.stores(&digest.parse().expect("a digest")).await;
    }
}

async fn is_ready(archway: &Archway, platform: &str) -> bool {
    let (server, admin) = (archway.url(), archway.admin_url());
    let name = format!("{UPSTREAM}/team/app:v1");
    let ask = ["ready", &name, "--platform", platform];
    let place = ["--server", &server, "--admin", &admin];
    let output = proxy::run(&[&ask[..], &place].concat()).await;
    output.status.success()
}

/// A cache that holds an image for amd64 and, used later, the one for s390x; only amd64 is pulled
/// there by anybody since it is known what is.
async fn with_both() -> (FakeRegistry, Archway, Content) {
    let registry = FakeRegistry::start().await;
    let (amd64, s390x) = (layers("amd64"), layers("s390x"));
    let both = images::index_of_blobs(&[("linux/amd64", &amd64), ("linux/s390x", &s390x)]);
    registry.push("team/app", "v1", &both);
    let small = images::index_of("small", &["linux/amd64"], images::Flavor::Oci);
    registry.push("team/app", "small", &small);
    let archway = Setup::in_front_of(&registry)
        .cache("max_size = \"64MiB\"")
        .prefetch(OFF)
        .start()
        .await;
    pull(&archway, "team/app", "v1", &both, "linux/amd64").await;
    pull(&archway, "team/app", "v1", &both, "linux/s390x").await;
    let archway = archway.restart_with(OFF, LEARNED).await;
    pull(&archway, "team/app", "small", &small, "linux/amd64").await;
    (registry, archway, both)
}

#[tokio::test]
async fn blobs_of_platforms_nobody_pulls_go_first_although_they_came_last() {
    let (registry, archway, both) = with_both().await;
    let other = for_amd64("another image");
    registry.push("team/other", "v1", &other);
    let archway = archway.restart().await;
    eventually("it is known what nobody pulls", async || {
        let unwanted = archway.metric(UNWANTED).await;
        (unwanted == Some(3 * LAYER)).then_some(())
    })
    .await;
    assert!(is_ready(&archway, "linux/amd64").await);
    assert!(is_ready(&archway, "linux/s390x").await);
    pull(&archway, "team/other", "v1", &other, "linux/amd64").await;
    eventually("the cap holds", async || {
        let stored: u64 = archway.files("blobs").iter().map(|(_, size)| size).sum();
        (stored <= CAP).then_some(())
    })
    .await;
    assert!(is_ready(&archway, "linux/amd64").await, "it is whole");
    assert!(!is_ready(&archway, "linux/s390x").await, "it gave way");
    for manifest in &both.manifests {
        assert!(archway.has_stored(&manifest.digest), "manifests stay");
    }
}

#[tokio::test]
async fn a_platform_that_is_pulled_again_is_wanted_again() {
    let (registry, archway, both) = with_both().await;
    let archway = archway.restart().await;
    eventually("it is known what nobody pulls", async || {
        let unwanted = archway.metric(UNWANTED).await;
        (unwanted == Some(3 * LAYER)).then_some(())
    })
    .await;
    pull(&archway, "team/app", "v1", &both, "linux/s390x").await;
    let other = for_amd64("another image");
    registry.push("team/other", "v1", &other);
    pull(&archway, "team/other", "v1", &other, "linux/amd64").await;
    assert!(is_ready(&archway, "linux/s390x").await);
    assert!(
        !is_ready(&archway, "linux/amd64").await,
        "the least recently used of what is wanted"
    );
}
