//! Promise 9, shared: who does not wait for anything, or asks for too much, holds up nobody else.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{Client, End, blob_path};
use integration_tests::faults::On;
use integration_tests::images::{self, BigBlob, Blob, noise};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};

const KIB: usize = 1024;

/// Downloads at once by default.
const FILLS: usize = 64;

/// A registry with so many blobs of `size` in `team/app`.
async fn with_blobs(name: &str, number: usize, size: usize) -> (FakeRegistry, Vec<Blob>) {
    let blobs: Vec<Blob> = (0..number)
        .map(|at| Blob::from(noise(&format!("{name} {at}"), size)))
        .collect();
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blobs(&blobs)).await;
    (registry, blobs)
}

async fn waits_for(archway: &Archway, metric: &str, value: u64) {
    eventually(metric, async || {
        (archway.metric(metric).await == Some(value)).then_some(())
    })
    .await;
}

const FILL_SLOTS: &str = r#"archway_slots_taken{of="fill"}"#;
const BYPASS_SLOTS: &str = r#"archway_slots_taken{of="bypass"}"#;
const CALL_SLOTS: &str = r#"archway_slots_taken{of="call"}"#;

#[tokio::test]
async fn downloads_that_nobody_follows_give_way_and_are_resumed_later() {
    let (slow, held) = with_blobs("slow", FILLS, 64 * KIB).await;
    let gate = slow.faults().hold_body(On::path("/blobs/"), 1000);
    let (fast, wanted) = with_blobs("fast", 1, 64 * KIB).await;
    let archway = Setup::new()
        .upstream("slow.test", &slow)
        .upstream("fast.test", &fast)
        .start()
        .await;
    let client = archway.client();
    let path = |host: &str, blob: &Blob| {
        let path = blob_path("team/app", blob.digest());
        path.replacen("/v2/", &format!("/v2/{host}/"), 1)
    };
    let paths: Vec<String> = held.iter().map(|blob| path("slow.test", blob)).collect();
    let open = paths.iter().map(|path| client.open(Method::GET, path));
    let open = within("all are answered", join_all(open)).await;
    waits_for(&archway, FILL_SLOTS, FILLS as u64).await;
    drop(open);
    // It is stored: whoever gets no slot within a moment is served past the cache.
    client.get(&path("fast.test", &wanted[0])).await.expect(200);
    archway.stores(&wanted[0].digest()).await;
    let recalled = r#"archway_slots_recalled_total{of="fill"}"#;
    assert!(archway.metric(recalled).await >= Some(1));
    slow.faults().clear();
    gate.open();
    for (path, blob) in paths.iter().zip(&held) {
        let answer = client.get(path).await.expect(200);
        assert!(blob.holds_at(0, &answer.body) && answer.body.len() as u64 == blob.size());
    }
}

#[tokio::test]
async fn who_gets_no_slot_is_passed_through_and_without_one_for_that_is_told_so_at_once() {
    let (registry, blobs) = with_blobs("held", 3, 64 * KIB).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), 1000);
    let archway = Setup::in_front_of_with(&registry, "parallel = 1")
        .cache("max_fills = 1")
        .start()
        .await;
    let client = archway.client();
    let paths: Vec<String> = blobs
        .iter()
        .map(|blob| blob_path("team/app", blob.digest()))
        .collect();
    let first = client.open(Method::GET, &paths[0]).await;
    waits_for(&archway, FILL_SLOTS, 1).await;
    let second = client.open(Method::GET, &paths[1]).await;
    assert_eq!(second.status(), 200);
    let answer = client.get(&paths[2]).await.expect(503);
    assert!(answer.text().contains("too many downloads"));
    gate.open();
    for download in [first, second] {
        let end = within("the client has its blob", download.drain()).await;
        assert_eq!(end, End::Complete(blobs[0].size()));
    }
    assert!(!archway.has_stored(&blobs[1].digest()));
}

#[tokio::test]
async fn clients_that_read_nothing_past_the_cache_lose_their_slots_to_who_waits() {
    /// More than the kernel holds for a client that does not read.
    const LARGE: u64 = 32 << 20;
    let large = Blob::from(BigBlob::new("large", LARGE));
    let small = Blob::from(noise("wanted", 64 * KIB));
    let content = images::of_blobs(&[large.clone(), small.clone()]);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    // The disk has no room for any of it.
    let archway = Setup::in_front_of(&registry)
        .cache("max_fills = 2\nmin_free = \"99%\"")
        .start()
        .await;
    let client = archway.client();
    let path = |blob: &Blob| blob_path("team/app", blob.digest());
    let (path_large, path_small) = (path(&large), path(&small));
    let open = (0..2).map(|_| client.open(Method::GET, &path_large));
    let unread = within("both are answered", join_all(open)).await;
    waits_for(&archway, BYPASS_SLOTS, 2).await;

    let honest = eventually("a cold blob for who reads", async || {
        // A 503 says when to come again.
        let answer = client.get(&path_small).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert!(small.holds_at(0, &honest.body) && honest.body.len() == 64 * KIB);
    let recalled = r#"archway_slots_recalled_total{of="bypass"}"#;
    assert!(archway.metric(recalled).await >= Some(1));
    // Who reads on at last has its bytes all the same.
    for download in unread {
        let end = within("the rest arrives", download.finish(&large)).await;
        assert_eq!(end, End::Complete(LARGE));
    }
    waits_for(&archway, BYPASS_SLOTS, 0).await;
}

/// As a client does that resets its streams after a moment.
async fn ask_and_leave(client: &Client, tag: &str) {
    let request = client.manifest("team/app", tag);
    let answer = tokio::time::timeout(Duration::from_millis(100), request).await;
    assert!(answer.is_err(), "{tag} was answered");
}

#[tokio::test]
async fn calls_that_nobody_waits_for_are_few_and_give_way() {
    const CALLS: u64 = 8;
    let (registry, _) = FakeRegistry::with_app().await;
    let gate = registry.faults().hold_headers(On::path("/manifests/new-"));
    let archway = Setup::in_front_of(&registry)
        .cache(&format!("max_calls = {CALLS}"))
        .start()
        .await;
    let client = archway.client();
    let tags: Vec<String> = (0..40).map(|at| format!("new-{at}")).collect();
    let all = tags.iter();
    let all = all.map(|tag| ask_and_leave(&client, tag));
    let watch = async {
        loop {
            let taken = archway.metric(CALL_SLOTS).await.unwrap_or(0);
            assert!(taken <= CALLS, "{taken} calls at once");
        }
    };
    tokio::select! {
        _ = join_all(all) => {}
        () = watch => {}
    }
    // Nobody is refused meanwhile.
    client.pull("team/app", "v1").await;
    gate.open();
    let refused = archway
        .metric(r#"archway_slots_refused_total{of="call"}"#)
        .await;
    assert_eq!(refused.unwrap_or(0), 0);
}
