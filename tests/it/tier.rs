//! The tier: what is pulled goes to the bucket that replicas share, an empty Archway serves it from
//! there, and no trouble of the bucket reaches a client.

mod doctor;
mod faults;

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::bucket::Bucket;
use integration_tests::images::{self, BigBlob, Blob, Content, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, eventually_for};
use manifest_model::Digest;

const REPOSITORY: &str = "team/app";

/// More than goes out in one part.
const LARGE: u64 = 40 << 20;

/// An Archway with a tier, in front of `registry`.
fn setup(registry: &FakeRegistry, bucket: &Bucket) -> Setup {
    setup_with(registry, bucket, "")
}

fn setup_with(registry: &FakeRegistry, bucket: &Bucket, lines: &str) -> Setup {
    Setup::in_front_of(registry)
        .table(&bucket.table(lines))
        .aws_credentials()
}

/// Waits until the bucket has all of it.
async fn holds(bucket: &Bucket, parts: &[Digest]) {
    for digest in parts {
        let what = format!("the bucket has {digest}");
        eventually(&what, async || bucket.has(digest).then_some(())).await;
    }
}

/// Waits until the bucket has this many tags.
async fn knows_tags(bucket: &Bucket, number: usize) {
    eventually("the bucket knows the tags", async || {
        let keys = bucket.keys();
        let tags = keys.iter().filter(|key| key.starts_with("tags/"));
        (tags.count() == number).then_some(())
    })
    .await;
}

/// Waits until everything that was pulled is in the bucket, and what names it.
async fn settles(archway: &Archway) {
    eventually("nothing waits to be written", async || {
        let waiting = archway.metric("archway_tier_waiting_writes").await;
        (waiting == Some(0)).then_some(())
    })
    .await;
}

/// Ends an Archway as an update does. What it has added since the last minute it tells the others now.
async fn leaves(mut archway: Archway) {
    archway.terminate();
    assert!(archway.ended().await.success());
}

/// News are heard each minute: who missed them once hears them then.
const TWO_ROUNDS: Duration = Duration::from_secs(150);

/// Waits until an Archway knows that the bucket has all of it.
async fn knows(archway: &Archway, parts: &[Digest]) {
    let parts: BTreeSet<_> = parts.iter().collect();
    eventually_for(
        TWO_ROUNDS,
        "the inventory and the news are read",
        async || {
            let known = archway.metric("archway_tier_blobs").await;
            known.filter(|known| *known >= parts.len() as u64).map(drop)
        },
    )
    .await;
}

fn large() -> (Blob, Content) {
    let blob = Blob::from(BigBlob::new("a large layer", LARGE));
    let image = images::of_blob(&blob);
    (blob, image)
}

#[tokio::test]
async fn an_empty_archway_serves_all_of_it_while_the_upstream_is_gone() {
    let image = images::multi_platform("app");
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let (_, large) = large();
    registry.push("team/large", "v1", &large);
    let bucket = Bucket::start().await;

    let first = setup(&registry, &bucket).start().await;
    let app = first.client().pull(REPOSITORY, "v1").await;
    let big = first.client().pull("team/large", "v1").await;
    holds(&bucket, &app.parts).await;
    holds(&bucket, &big.parts).await;
    knows_tags(&bucket, 2).await;
    settles(&first).await;
    drop(first);
    assert_eq!(bucket.unfinished(), 0);

    registry.close().await;
    let second = setup(&registry, &bucket).start().await;
    assert_eq!(second.client().pull(REPOSITORY, "v1").await, app);
    assert_eq!(second.client().pull("team/large", "v1").await, big);
    let tag = second.client().manifest(REPOSITORY, "v1").await.expect(200);
    assert_eq!(tag.header("archway-cache"), "stale");

    let third = setup(&registry, &bucket).start().await;
    for digest in &app.parts {
        let manifests = image.manifests.iter();
        let is_manifest = manifests.clone().any(|stored| stored.digest == *digest);
        let client = third.client();
        let answer = if is_manifest {
            client.manifest(REPOSITORY, *digest).await
        } else {
            client.blob(REPOSITORY, *digest).await
        };
        answer.expect(200);
    }
}

#[tokio::test]
async fn a_virtual_index_outlives_its_upstream() {
    let amd64 = images::single("amd64", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with(REPOSITORY, "amd64", &amd64).await;
    let arm64 = images::single("arm64", "linux/arm64", Flavor::Oci);
    registry.push(REPOSITORY, "arm64", &arm64);
    let bucket = Bucket::start().await;
    let rule = "[[upstream.\"registry.test\".virtual_index]]\nname = \"team/*:latest\"\n\
                sources = [\"team/*:amd64\", \"team/*:arm64\"]\nprefer = \"rule\"\n";
    let start = || {
        Setup::in_front_of_with(&registry, rule)
            .table(&bucket.table(""))
            .aws_credentials()
            .start()
    };
    let first = start().await;
    let pulled = first.client().pull(REPOSITORY, "latest").await;
    holds(&bucket, &pulled.parts).await;
    settles(&first).await;
    drop(first);

    registry.close().await;
    let second = start().await;
    let index = second.client().manifest(REPOSITORY, pulled.root).await;
    index.expect(200);
    let third = start().await;
    assert_eq!(third.client().pull(REPOSITORY, "latest").await, pulled);
}

#[tokio::test]
async fn bytes_come_from_the_bucket_before_the_upstream_and_a_hit_asks_nobody() {
    let (blob, image) = large();
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let bucket = Bucket::start().await;
    let first = setup(&registry, &bucket).start().await;
    let pulled = first.client().pull(REPOSITORY, "v1").await;
    holds(&bucket, &pulled.parts).await;
    settles(&first).await;
    let writes = bucket.counted().put;
    assert!(writes < 20, "{writes} writes for 40 MiB");
    leaves(first).await;
    let sent = registry.bytes_of(&blob.digest());

    let second = setup(&registry, &bucket).start().await;
    knows(&second, &pulled.parts).await;
    assert_eq!(second.client().pull(REPOSITORY, "v1").await, pulled);
    assert_eq!(registry.bytes_of(&blob.digest()), sent, "not once more");
    second.stores_all(&pulled).await;
    settles(&second).await;
    bucket.counted();
    assert_eq!(second.client().pull(REPOSITORY, "v1").await, pulled);
    let counted = bucket.counted();
    assert_eq!((counted.get, counted.put), (0, 0), "a hit costs nothing");
}

#[tokio::test]
async fn what_the_bucket_did_not_take_goes_there_after_a_restart() {
    let (registry, _) = FakeRegistry::with_app().await;
    let bucket = Bucket::start().await;
    bucket.close().await;
    let mut archway = setup(&registry, &bucket).start().await;
    let pulled = archway.client().pull(REPOSITORY, "v1").await;
    archway.stores_all(&pulled).await;
    archway.terminate();
    archway.ended().await;
    bucket.reopen().await;
    let archway = archway.restart().await;
    holds(&bucket, &pulled.parts).await;
    settles(&archway).await;
    knows_tags(&bucket, 1).await;
}

#[tokio::test]
async fn a_record_that_somebody_else_has_signed_is_not_used() {
    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let key = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a writable folder");
        format!("key_file = \"{}\"", path.display())
    };
    let (ours, other) = (key("ours", "one secret"), key("other", "another secret"));
    let first = setup_with(&registry, &bucket, &ours).start().await;
    let pulled = first.client().pull(REPOSITORY, "v1").await;
    holds(&bucket, &pulled.parts).await;
    settles(&first).await;
    drop(first);

    registry.close().await;
    let stranger = setup_with(&registry, &bucket, &other).start().await;
    let answer = stranger.client().manifest(REPOSITORY, "v1").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    let friend = setup_with(&registry, &bucket, &ours).start().await;
    assert_eq!(friend.client().pull(REPOSITORY, "v1").await, pulled);
}

#[tokio::test]
async fn bytes_that_another_upstream_has_sent_are_given_out_once_ones_own_has_said_that_it_has_them()
 {
    let image = images::single("shared", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let other = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let bucket = Bucket::start().await;
    let first = setup(&registry, &bucket).start().await;
    let pulled = first.client().pull(REPOSITORY, "v1").await;
    holds(&bucket, &pulled.parts).await;
    settles(&first).await;
    leaves(first).await;

    let second = Setup::in_front_of_as("other.test", &other, "")
        .table(&bucket.table(""))
        .aws_credentials()
        .start()
        .await;
    knows(&second, &pulled.parts).await;
    let layer = image.blobs.last().expect("a layer").digest();
    let client = second.client();
    client.manifest(REPOSITORY, pulled.root).await.expect(200);
    client.blob(REPOSITORY, layer).await.expect(200);
    let asked = other.log().heads(layer) + other.log().gets(layer);
    assert!(asked > 0, "it was asked");
}
