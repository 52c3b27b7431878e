//! At default settings: how long a client waits without a byte, and that the next one does not.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::faults::{Cut, Fault, Gate, On};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::wait::{eventually, within};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 24 * MIB;

/// No client waits longer.
const LONGEST: Duration = Duration::from_secs(10);

async fn registry(blob: &Blob) -> FakeRegistry {
    FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await
}

async fn in_front_of(registries: &[&FakeRegistry]) -> Archway {
    in_front_of_with(registries, "").await
}

async fn in_front_of_with(registries: &[&FakeRegistry], lines: &str) -> Archway {
    let urls: Vec<_> = registries.iter().map(|registry| registry.url()).collect();
    Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &urls, lines)
        .start()
        .await
}

#[tokio::test]
async fn a_body_that_stalls_comes_on_from_the_next_endpoint_within_six_seconds() {
    let blob = Blob::from(BigBlob::new("stalls at the first", SIZE));
    let (first, second) = (registry(&blob).await, registry(&blob).await);
    let archway = in_front_of(&[&first, &second]).await;
    let _never = first.faults().hold_body(On::path("/blobs/"), SIZE / 4);
    let path = blob_path("team/app", blob.digest());
    let download = archway.client().open(Method::GET, &path).await;
    let (end, pause) = download.finish_with_pause(&blob).await;
    assert_eq!(end, End::Complete(SIZE));
    assert!(pause < Duration::from_secs(6), "{pause:?}");
    let digest = blob.digest();
    let sent = first.bytes_of(&digest) + second.bytes_of(&digest);
    assert!(sent <= SIZE + SIZE / 50, "{sent} bytes for {SIZE}");
    assert!(second.gets_of(&digest) > 0);
}

#[tokio::test]
async fn a_body_that_stalls_for_good_ends_and_the_next_client_does_not_wait() {
    let blob = Blob::from(BigBlob::new("stalls for good", SIZE));
    let only = registry(&blob).await;
    // One connection: a second one would begin behind the place of the stall.
    let archway = in_front_of_with(&[&only], "parallel = 1").await;
    let stalls = On::path("/blobs/");
    let first = only.faults().hold_body(stalls.clone(), SIZE / 4);
    let path = blob_path("team/app", blob.digest());
    let mut download = archway.client().open(Method::GET, &path).await;
    download.read_to(SIZE / 8, &blob, 0).await;
    first.arrived().await;
    // What is asked for the rest stands still at the same byte.
    only.faults().clear();
    let resumed = only.faults().hold_body(stalls, SIZE / 4);
    let (end, pause) = download.finish_with_pause(&blob).await;
    let End::Broken(received) = end else {
        panic!("{end:?}");
    };
    assert!((SIZE / 8..=SIZE / 4).contains(&received), "{received}");
    assert!(pause < LONGEST, "{pause:?}");
    resumed.arrived().await;
    let began = Instant::now();
    let answer = archway.client().get(&path).await;
    assert_eq!(answer.status, 503);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_store_that_limits_us_in_the_middle_is_waited_for_once_with_a_range_and_without() {
    let blob = Blob::from(BigBlob::new("limited", SIZE));
    let only = registry(&blob).await;
    only.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let lines = "parallel = 1\npatience = \"5s\"";
    let archway = in_front_of_with(&[&only], lines).await;
    let (store, gate) = (On::path("/layers/"), Gate::new());
    let faults = only.faults();
    faults.times(1, store.clone(), Fault::HoldBody(SIZE / 4, gate.clone()));
    faults.times(1, store.clone(), Fault::Cut(SIZE / 4, Cut::Fin));
    let path = blob_path("team/app", blob.digest());
    let mut download = archway.client().open(Method::GET, &path).await;
    download.read_to(SIZE / 8, &blob, 0).await;
    gate.arrived().await;
    let slow_down = Fault::Status(http::StatusCode::SERVICE_UNAVAILABLE);
    faults.add(store, slow_down);
    gate.open();
    let (end, pause) = download.finish_with_pause(&blob).await;
    assert!(matches!(end, End::Broken(_)), "{end:?}");
    // Twice the patience would be 10 s.
    assert!(pause < Duration::from_secs(8), "{pause:?}");
    let asked = only.log().of(&Method::GET, "/layers/");
    let plain = asked
        .iter()
        .filter(|entry| entry.header("range").is_empty());
    assert!(
        plain.count() > 1,
        "the blob was asked for without a range again"
    );
}

#[tokio::test]
async fn a_silent_endpoint_gets_half_of_the_wait_and_then_the_next_one_answers() {
    let blob = Blob::from(BigBlob::new("small", 1000));
    let (first, second) = (registry(&blob).await, registry(&blob).await);
    let archway = in_front_of(&[&first, &second]).await;
    let _never = first.faults().hold_headers(On::all());
    for longest in [5, 1] {
        let began = Instant::now();
        archway
            .client()
            .manifest("team/app", "v1")
            .await
            .expect(200);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(longest), "{took:?}");
    }
}

#[tokio::test]
async fn a_download_that_ends_before_its_first_answer_is_counted() {
    let blob = Blob::from(BigBlob::new("refused", 1000));
    let only = registry(&blob).await;
    let archway = in_front_of(&[&only]).await;
    let missing = Blob::from(BigBlob::new("nobody has it", 1000));
    let path = blob_path("team/app", missing.digest());
    archway.client().get(&path).await.expect(404);
    let count = archway.metric("archway_fills_unanswered_total").await;
    assert_eq!(count, Some(1));
    assert_eq!(archway.metric("archway_fills_failed_total").await, Some(0));
}

#[tokio::test]
async fn who_comes_while_a_confirmation_takes_long_gets_the_stale_tag_at_once() {
    let blob = Blob::from(BigBlob::new("small", 1000));
    let only = registry(&blob).await;
    let archway = in_front_of_with(&[&only], "tag_ttl = \"0s\"").await;
    let client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
    let _never = only.faults().hold_headers(On::all());
    // The first waits for 3 s, the second comes after that.
    for longest in [4, 1] {
        let began = Instant::now();
        let answer = client.manifest("team/app", "v1").await.expect(200);
        assert_eq!(answer.header("archway-cache"), "stale");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(longest), "{took:?}");
    }
    archway.log().says("confirming a tag takes long").await;
}

/// Two upstreams with the same blob, in this order.
async fn two_upstreams(blob: &Blob) -> (FakeRegistry, FakeRegistry, Archway) {
    two_upstreams_with(blob, "").await
}

/// The same, with more lines for the table of each.
async fn two_upstreams_with(blob: &Blob, lines: &str) -> (FakeRegistry, FakeRegistry, Archway) {
    let (first, second) = (registry(blob).await, registry(blob).await);
    let archway = Setup::new()
        .upstream_with("a.test", &first, lines)
        .upstream_with("b.test", &second, lines)
        .start()
        .await;
    (first, second, archway)
}

/// How long the client of a healthy upstream may take. `make soak` judges it; every other run shares
/// its machine.
fn longest_of_own() -> Duration {
    match std::env::var_os("ARCHWAY_FAULTS") {
        Some(_) => Duration::from_secs(3),
        None => Duration::from_secs(5),
    }
}

#[tokio::test]
async fn a_download_that_stalls_goes_on_at_the_upstream_of_another_follower() {
    let blob = Blob::from(BigBlob::new("stalls at a stranger's", SIZE));
    let (first, second, archway) = two_upstreams(&blob).await;
    let gate = first.faults().hold_body(On::path("/blobs/"), SIZE / 4);
    let path = |host| blob_path(&format!("{host}/team/app"), blob.digest());
    let held = archway.client().open(Method::GET, &path("a.test")).await;
    gate.arrived().await;
    let began = Instant::now();
    let own = archway.client().open(Method::GET, &path("b.test")).await;
    assert_eq!(own.finish(&blob).await, End::Complete(SIZE));
    let took = began.elapsed();
    println!("a client of a healthy upstream had its blob after {took:?}");
    assert!(took < longest_of_own(), "{took:?}");
    let end = within("the first has it too", held.finish(&blob)).await;
    assert_eq!(end, End::Complete(SIZE));
    let digest = blob.digest();
    let sent = first.bytes_of(&digest) + second.bytes_of(&digest);
    assert!(sent <= SIZE + SIZE / 50, "{sent} bytes for {SIZE}");
}

#[tokio::test]
async fn an_upstream_that_says_nothing_holds_no_client_of_another() {
    let blob = Blob::from(BigBlob::new("silent at a stranger's", SIZE));
    let (first, second, archway) = two_upstreams(&blob).await;
    let gate = first.faults().hold_headers(On::path("/blobs/"));
    let path = |host| blob_path(&format!("{host}/team/app"), blob.digest());
    let (client, of_first) = (archway.client(), path("a.test"));
    let held = async {
        let began = Instant::now();
        let held = client.get(&of_first).await;
        assert!(held.status.is_server_error(), "{}", held.status);
        assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    };
    let own = async {
        gate.arrived().await;
        let began = Instant::now();
        let all = (0..3).map(async |_| {
            let own = archway.client().open(Method::GET, &path("b.test")).await;
            assert_eq!(own.finish(&blob).await, End::Complete(SIZE));
        });
        join_all(all).await;
        let took = began.elapsed();
        println!("three clients of a healthy upstream had their blob after {took:?}");
        assert!(took < longest_of_own(), "{took:?}");
    };
    tokio::join!(held, own);
    let sent = second.bytes_of(&blob.digest());
    assert!(sent <= SIZE + SIZE / 50, "{sent} bytes for {SIZE}");
    archway.stores(&blob.digest()).await;
}

#[tokio::test]
async fn a_download_that_no_other_upstream_does_better_gets_the_whole_wait_where_it_was() {
    let blob = Blob::from(BigBlob::new("slow at home, silent elsewhere", SIZE));
    // A second connection would take the answer that is meant for the one that stalls.
    let (first, second, archway) = two_upstreams_with(&blob, "parallel = 1").await;
    let (blobs, stall) = (On::path("/blobs/"), Gate::new());
    let faults = first.faults();
    faults.times(1, blobs.clone(), Fault::HoldBody(SIZE / 4, stall.clone()));
    // It says that it has the blob, and stands still where it is asked for the rest.
    let never = second.faults().hold_body(blobs.clone(), SIZE / 4);
    let path = |host| blob_path(&format!("{host}/team/app"), blob.digest());
    let held = archway.client().open(Method::GET, &path("a.test")).await;
    stall.arrived().await;
    // Not before: a request has all faults that are laid when it comes.
    let slow = faults.hold_headers(blobs);
    let other = archway.client().open(Method::GET, &path("b.test")).await;
    let home = async {
        never.arrived().await;
        slow.arrived().await;
        // Longer than a download stands still that has a better place.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        slow.open();
    };
    let (held, other, ()) = tokio::join!(held.finish(&blob), other.finish(&blob), home);
    assert_eq!((held, other), (End::Complete(SIZE), End::Complete(SIZE)));
    assert_eq!(second.bytes_of(&blob.digest()), 1);
}

#[tokio::test]
async fn a_stall_costs_no_client_of_a_slow_registry_its_next_blob() {
    let [bad, good] = ["bad", "slow"].map(|name| Blob::from(BigBlob::new(name, MIB)));
    let content = images::of_blobs(&[bad.clone(), good.clone()]);
    let only = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = in_front_of_with(&[&only], "idle_timeout = \"1s\"").await;
    let (digest, next) = (bad.digest(), good.digest());
    let _never = only.faults().hold_body(On::path(&*digest.to_string()), 0);
    let download = archway
        .client()
        .open(Method::GET, &blob_path("team/app", digest))
        .await;
    assert!(matches!(download.finish(&bad).await, End::Broken(_)));
    let slow = only.faults().hold_headers(On::path(&*next.to_string()));
    let path = blob_path("team/app", next);
    let registry = async {
        slow.arrived().await;
        // Longer than the first byte may take once a registry has answered.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        slow.open();
    };
    let client = archway.client();
    let (download, ()) = tokio::join!(client.open(Method::GET, &path), registry);
    assert_eq!(download.status(), 200);
    assert_eq!(download.finish(&good).await, End::Complete(MIB));
}

#[tokio::test]
async fn a_store_that_says_nothing_holds_one_client_and_no_client_of_another_blob() {
    let [one, two] = ["one", "two"].map(|name| Blob::from(BigBlob::new(name, MIB)));
    let content = images::of_blobs(&[one.clone(), two.clone()]);
    let only = FakeRegistry::with("team/app", "v1", &content).await;
    only.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let archway = in_front_of(&[&only]).await;
    let _never = only.faults().hold_headers(On::path("/layers/"));
    for (blob, longest) in [(&one, LONGEST), (&two, Duration::from_secs(1))] {
        let began = Instant::now();
        let path = blob_path("team/app", blob.digest());
        let answer = archway.client().get(&path).await;
        assert!(answer.status.is_server_error(), "{}", answer.status);
        let took = began.elapsed();
        assert!(took < longest, "{took:?}");
    }
}

#[tokio::test]
async fn an_upstream_without_the_blob_takes_no_part_in_the_download_of_another() {
    let blob = Blob::from(BigBlob::new("only at one", SIZE));
    let (first, second, archway) = two_upstreams(&blob).await;
    let gate = first.faults().hold_body(On::path("/blobs/"), SIZE / 4);
    let absent = Fault::Status(http::StatusCode::NOT_FOUND);
    second.faults().add(On::path("/blobs/"), absent);
    let path = |host| blob_path(&format!("{host}/team/app"), blob.digest());
    let held = archway.client().open(Method::GET, &path("a.test")).await;
    gate.arrived().await;
    let answer = archway.client().get(&path("b.test")).await;
    assert_eq!(answer.status, 404);
    gate.open();
    assert_eq!(held.finish(&blob).await, End::Complete(SIZE));
    assert_eq!(second.bytes_of(&blob.digest()), 0);
}

#[tokio::test]
async fn a_blob_whose_bytes_came_from_two_upstreams_and_were_wrong_comes_from_one_alone() {
    let blob = Blob::from(BigBlob::new("wrong at the other", SIZE));
    let (first, second, archway) = two_upstreams(&blob).await;
    let (never, blobs) = (Gate::new(), On::path("/blobs/"));
    let stall = Fault::HoldBody(SIZE / 4, never.clone());
    first.faults().times(1, blobs.clone(), stall);
    second
        .faults()
        .add(blobs.clone(), Fault::FlipBit(SIZE / 4 + 1));
    let path = |host| blob_path(&format!("{host}/team/app"), blob.digest());
    let held = archway.client().open(Method::GET, &path("a.test")).await;
    never.arrived().await;
    let other = archway.client().open(Method::GET, &path("b.test")).await;
    let (held, other) = tokio::join!(held.finish_unsure(&blob), other.finish_unsure(&blob));
    assert!(matches!(held.0, End::Broken(_)), "{held:?}");
    assert!(matches!(other.0, End::Broken(_)), "{other:?}");
    let (sent, again) = (second.bytes_of(&blob.digest()), Gate::new());
    let stall = Fault::HoldBody(SIZE / 4, again.clone());
    first.faults().times(1, blobs, stall);
    let held = archway.client().open(Method::GET, &path("a.test")).await;
    again.arrived().await;
    let other = archway.client().open(Method::GET, &path("b.test")).await;
    let ends = tokio::join!(held.finish(&blob), other.finish(&blob));
    assert_eq!(ends, (End::Complete(SIZE), End::Complete(SIZE)));
    // A byte tells that it has the blob.
    assert!(second.bytes_of(&blob.digest()) <= sent + 1);
}

#[tokio::test]
async fn an_endpoint_that_sends_no_bytes_holds_one_client_and_is_taken_back_with_the_first_byte() {
    let [one, two] = ["one", "two"].map(|name| Blob::from(BigBlob::new(name, MIB)));
    let only = FakeRegistry::with(
        "team/app",
        "v1",
        &images::of_blobs(&[one.clone(), two.clone()]),
    )
    .await;
    let archway = in_front_of(&[&only]).await;
    let _never = only.faults().hold_body(On::path("/blobs/"), 0);
    let [path, next] = [&one, &two].map(|blob| blob_path("team/app", blob.digest()));
    let began = Instant::now();
    let download = archway.client().open(Method::GET, &path).await;
    assert!(matches!(download.finish(&one).await, End::Broken(_)));
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    let began = Instant::now();
    let answer = archway.client().get(&next).await;
    assert_eq!(answer.status, 503, "another blob of it");
    assert!(!answer.header("retry-after").is_empty());
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let asked = only.gets_of(&two.digest());
    assert_eq!(archway.client().get(&next).await.status, 503);
    assert_eq!(only.gets_of(&two.digest()), asked, "it was told just now");
    only.faults().clear();
    for (path, blob) in [(&next, &two), (&path, &one)] {
        let download = eventually("it is taken back", async || {
            let download = archway.client().open(Method::GET, path).await;
            (download.status() == 200).then_some(download)
        })
        .await;
        assert_eq!(download.finish(blob).await, End::Complete(MIB));
    }
}

#[tokio::test]
async fn a_blob_that_does_not_come_closes_nothing_to_the_others_of_its_endpoint() {
    let [bad, good] = ["bad", "good"].map(|name| Blob::from(BigBlob::new(name, MIB)));
    let only = FakeRegistry::with(
        "team/app",
        "v1",
        &images::of_blobs(&[bad.clone(), good.clone()]),
    )
    .await;
    let archway = in_front_of(&[&only]).await;
    let digest = bad.digest();
    let _never = only.faults().hold_body(On::path(&*digest.to_string()), 0);
    let [path, next] = [&bad, &good].map(|blob| blob_path("team/app", blob.digest()));
    let download = archway.client().open(Method::GET, &path).await;
    assert!(matches!(download.finish(&bad).await, End::Broken(_)));
    let began = Instant::now();
    let download = archway.client().open(Method::GET, &next).await;
    assert_eq!(download.status(), 200);
    assert_eq!(download.finish(&good).await, End::Complete(MIB));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}
