//! What goes wrong with the bucket is no client's trouble: everything is a miss.

use std::time::{Duration, Instant};

use integration_tests::bucket::{Bucket, Mood};
use integration_tests::client::{Client, End, Pulled, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Blob};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

use super::{REPOSITORY, holds, knows, large, leaves, settles, setup};

/// An image in a bucket, and the registry it came from.
async fn in_bucket() -> (FakeRegistry, Bucket, Pulled) {
    let (_, image) = large();
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let bucket = Bucket::start().await;
    let first = setup(&registry, &bucket).start().await;
    let pulled = first.client().pull(REPOSITORY, "v1").await;
    holds(&bucket, &pulled.parts).await;
    settles(&first).await;
    leaves(first).await;
    (registry, bucket, pulled)
}

/// Has a client ask for a blob, of which it gets no whole body.
async fn breaks_off(client: &Client, blob: &Blob) {
    client.manifest(REPOSITORY, "v1").await.expect(200);
    let path = blob_path(REPOSITORY, blob.digest());
    let download = client.open(http::Method::GET, &path).await;
    let (end, _) = download.finish_unsure(blob).await;
    assert!(!matches!(end, End::Complete(_)), "{end:?}");
}

#[tokio::test]
async fn a_bucket_in_trouble_is_left_alone_and_used_again_when_it_is_well() {
    let moods = [
        Mood::Refuses(403, "AccessDenied"),
        Mood::Refuses(503, "SlowDown"),
        Mood::RefusesWrites(403, "KMS.DisabledException"),
        Mood::Half,
    ];
    for mood in moods {
        let image = images::multi_platform(&format!("{mood:?}"));
        let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
        let bucket = Bucket::start().await;
        bucket.be(mood);
        let archway = setup(&registry, &bucket).start().await;
        let pulled = archway.client().pull(REPOSITORY, "v1").await;
        archway.stores_all(&pulled).await;
        bucket.be(Mood::Good);
        holds(&bucket, &pulled.parts).await;
    }
}

#[tokio::test]
async fn a_silent_bucket_costs_one_client_a_moment_and_the_others_nothing() {
    let (registry, bucket, pulled) = in_bucket().await;
    let second = setup(&registry, &bucket).start().await;
    knows(&second, &pulled.parts).await;
    bucket.be(Mood::Silent);
    let begun = Instant::now();
    assert_eq!(second.client().pull(REPOSITORY, "v1").await, pulled);
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited long");
    let left_alone = "archway_tier_left_alone{direction=\"read\"}";
    assert_eq!(second.metric(left_alone).await, Some(1));
    bucket.be(Mood::Good);
    eventually("it is used again", async || {
        (second.metric(left_alone).await == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_slow_bucket_is_used() {
    let (registry, bucket, pulled) = in_bucket().await;
    bucket.be(Mood::Slow(Duration::from_millis(300)));
    let second = setup(&registry, &bucket).start().await;
    knows(&second, &pulled.parts).await;
    assert_eq!(second.client().pull(REPOSITORY, "v1").await, pulled);
}

#[tokio::test]
async fn bodies_that_break_off_are_brought_to_their_end_by_the_upstream() {
    let (registry, bucket, pulled) = in_bucket().await;
    let second = setup(&registry, &bucket).start().await;
    knows(&second, &pulled.parts).await;
    bucket.be(Mood::Cuts);
    assert_eq!(second.client().pull(REPOSITORY, "v1").await, pulled);
}

#[tokio::test]
async fn objects_that_have_gone_are_a_miss() {
    let (registry, bucket, pulled) = in_bucket().await;
    let second = setup(&registry, &bucket).start().await;
    knows(&second, &pulled.parts).await;
    bucket.lose("blobs/");
    assert_eq!(second.client().pull(REPOSITORY, "v1").await, pulled);
    holds(&bucket, &pulled.parts[1..]).await;
}

#[tokio::test]
async fn a_wrong_body_never_ends_and_is_deleted_from_the_bucket() {
    let (blob, _) = large();
    let (registry, bucket, pulled) = in_bucket().await;
    let mut bytes = bucket.bytes(&blob.digest()).expect("it is there").to_vec();
    bytes[1_000_000] ^= 1;
    bucket.replace(&blob.digest(), bytes);

    let second = setup(&registry, &bucket).start().await;
    knows(&second, &pulled.parts).await;
    let client = second.client();
    breaks_off(&client, &blob).await;
    let answer = client.blob(REPOSITORY, blob.digest()).await.expect(200);
    assert!(blob.holds_at(0, &answer.body));
    eventually("the wrong one has gone", async || {
        let there = bucket.bytes(&blob.digest());
        there
            .is_none_or(|bytes| blob.holds_at(0, &bytes))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_the_upstream_sends_wrong_does_not_get_into_the_bucket() {
    let (blob, image) = large();
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let bucket = Bucket::start().await;
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::FlipBit(5_000_000));
    let archway = setup(&registry, &bucket).start().await;
    breaks_off(&archway.client(), &blob).await;
    eventually("the upload has ended", async || {
        (bucket.unfinished() == 0).then_some(())
    })
    .await;
    assert!(!bucket.has(&blob.digest()));
}
