//! Promise 3, one download: however many ask, a blob comes once, and nobody waits for anybody else.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use integration_tests::client::{Client, End, blob_path};
use integration_tests::faults::{Fault, Gate, On};
use integration_tests::images::{self, BigBlob, Blob, noise};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within, within_for};

const MIB: u64 = 1 << 20;

/// Logs who follows a download, so that a test can wait for it.
const TELLS_OF_FOLLOWERS: &str = "info,pull=debug";

async fn has_followers(archway: &Archway, count: usize) {
    let log = archway.log();
    eventually("others follow the download", async || {
        (log.text().matches("following a download").count() == count).then_some(())
    })
    .await;
}

async fn with_blob(blob: &Blob) -> (FakeRegistry, Archway, String) {
    with_blob_and(blob, "").await
}

async fn with_blob_and(blob: &Blob, lines: &str) -> (FakeRegistry, Archway, String) {
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await;
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway, blob_path("team/app", blob.digest()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_on_a_cold_blob_cost_one_download_whoever_leaves_or_crawls() {
    let blob = Blob::from(BigBlob::new("two hundred", 200 * MIB));
    let size = blob.size();
    let (registry, archway, path) = with_blob_and(&blob, "parallel = 1").await;

    let mut first = archway.client().open(Method::GET, &path).await;
    let mut slow = archway.client().open(Method::GET, &path).await;
    let leaving = async {
        first.read_to(size / 10, &blob, 0).await;
        drop(first);
    };
    let others = join_all((0..48).map(|_| async {
        let download = archway.client().open(Method::GET, &path).await;
        assert_eq!(download.status(), 200);
        download.finish(&blob).await
    }));
    // The one that crawls never ends of itself: it is there for as long as the others take.
    let crowd = async {
        tokio::select! {
            ends = async { tokio::join!(leaving, others).1 } => ends,
            end = slow.crawl(50_000, &blob) => panic!("200 MiB at 50 KB/s came to {end:?}"),
        }
    };
    let ends = within_for(Duration::from_mins(4), "48 clients have the blob", crowd).await;

    assert_eq!(ends, [End::Complete(size); 48]);
    assert_eq!(registry.gets_of(&blob.digest()), 1);
    assert_eq!(registry.bytes_of(&blob.digest()), size);
    let so_far = slow.received();
    assert!(
        so_far > 0 && so_far < size / 10,
        "the slow one crawls: {so_far}"
    );
    slow.read_to(so_far + MIB, &blob, 0).await;
}

#[tokio::test]
async fn every_client_reads_what_the_fill_has_written_so_far() {
    let blob = Blob::from(BigBlob::new("growing", 8 * MIB));
    let (registry, archway, path) = with_blob(&blob).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), 4 * MIB);

    let mut first = archway.client().open(Method::GET, &path).await;
    first.read_to(3 * MIB, &blob, 0).await;
    let mut second = archway.client().open(Method::GET, &path).await;
    second.read_to(3 * MIB, &blob, 0).await;
    assert_eq!(second.headers()["content-length"], blob.size().to_string());
    assert_eq!(second.headers()["archway-cache"], "follow");
    gate.open();
    let ends = tokio::join!(first.finish(&blob), second.finish(&blob));
    assert_eq!(ends, (End::Complete(8 * MIB), End::Complete(8 * MIB)));
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn the_download_goes_on_when_every_client_has_left() {
    let blob = Blob::from(BigBlob::new("left alone", 8 * MIB));
    let (registry, archway, path) = with_blob(&blob).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), 2 * MIB);

    let mut only = archway.client().open(Method::GET, &path).await;
    only.read_to(MIB, &blob, 0).await;
    drop(only);
    gate.open();
    eventually("the upstream has sent the rest", async || {
        (registry.bytes_of(&blob.digest()) == blob.size()).then_some(())
    })
    .await;
    let late = archway
        .client()
        .open(Method::GET, &path)
        .await
        .finish(&blob);
    assert_eq!(
        within("a late client has it", late).await,
        End::Complete(8 * MIB)
    );
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn a_follower_of_a_client_that_left_gets_everything() {
    let blob = Blob::from(BigBlob::new("first leaves", 8 * MIB));
    let (registry, archway, path) = with_blob(&blob).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), 2 * MIB);

    let mut first = archway.client().open(Method::GET, &path).await;
    first.read_to(MIB, &blob, 0).await;
    let second = archway.client().open(Method::GET, &path).await;
    drop(first);
    gate.open();
    let end = within("the second client ends", second.finish(&blob)).await;
    assert_eq!(end, End::Complete(8 * MIB));
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn many_clients_on_a_cold_tag_cost_one_manifest() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let gate = Gate::new();
    let hold = Fault::HoldHeaders(gate.clone());
    registry.faults().add(On::path("/manifests/"), hold);
    let clients = join_all((0..30).map(|_| async {
        archway
            .client()
            .manifest("team/app", "v1")
            .await
            .expect(200)
            .body
    }));
    let opener = async {
        gate.arrived().await;
        gate.open();
    };
    let (bodies, ()) = tokio::join!(clients, opener);
    assert!(bodies.iter().all(|body| *body == content.root().bytes));
    assert_eq!(registry.log().gets("/manifests/"), 1);
}

#[tokio::test]
async fn two_blobs_fill_side_by_side() {
    let registry = FakeRegistry::start().await;
    let blobs = ["one", "two"].map(|name| Blob::from(noise(name, 500_000)));
    registry.push("team/app", "v1", &images::of_blobs(&blobs));
    let gate = registry
        .faults()
        .hold_body(On::path(blobs[0].digest()), 100_000);
    let archway = Setup::in_front_of(&registry).start().await;
    let waiting = archway
        .client()
        .open(Method::GET, &blob_path("team/app", blobs[0].digest()))
        .await;
    let other = archway
        .client()
        .blob("team/app", blobs[1].digest())
        .await
        .expect(200);
    assert!(blobs[1].holds_at(0, &other.body));
    gate.open();
    assert_eq!(waiting.finish(&blobs[0]).await, End::Complete(500_000));
}

/// While `lacking` is asked for a blob it has not and takes its time to say `status`, two clients
/// ask for it where it is. All three answers are checked.
async fn ask_beside(lacking: &str, status: StatusCode) {
    let blob = Blob::from(BigBlob::new("elsewhere", 2 * MIB));
    let first = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let second = FakeRegistry::start().await;
    let gate = Gate::new();
    for registry in [&first, &second] {
        let empty = || On::path("/team/empty/blobs/");
        let hold = Fault::HoldHeaders(gate.clone());
        registry.faults().add(empty(), hold);
        registry.faults().add(empty(), Fault::Status(status));
    }
    let archway = Setup::new()
        .upstream("first.test", &first)
        .upstream("second.test", &second)
        .log_level(TELLS_OF_FOLLOWERS)
        .start()
        .await;
    let has_not = blob_path(lacking, blob.digest());
    let has = blob_path("first.test/team/app", blob.digest());
    let client = archway.client();
    let leader = client.open(Method::GET, &has_not);
    let get = async {
        gate.arrived().await;
        client.open(Method::GET, &has).await
    };
    let head = async {
        gate.arrived().await;
        client.head(&has).await
    };
    let opener = async {
        has_followers(&archway, 2).await;
        gate.open();
    };
    let (leader, get, head, ()) = tokio::join!(leader, get, head, opener);
    assert_eq!(leader.status(), status, "{lacking}");
    let head = head.expect(200);
    assert_eq!(head.header("content-length"), blob.size().to_string());
    assert_eq!(get.status(), 200, "{lacking} said {status}");
    let end = within("the blob arrives", get.finish(&blob)).await;
    assert_eq!(end, End::Complete(blob.size()));
}

#[tokio::test]
async fn who_follows_a_download_of_another_repository_does_not_inherit_its_failure() {
    for lacking in ["first.test/team/empty", "second.test/team/empty"] {
        for status in [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
            ask_beside(lacking, status).await;
        }
    }
}

#[tokio::test]
async fn who_follows_a_download_of_the_same_repository_shares_its_404() {
    let blob = Blob::from(noise("nowhere", 1000));
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry)
        .log_level(TELLS_OF_FOLLOWERS)
        .start()
        .await;
    let gate = Gate::new();
    let hold = Fault::HoldHeaders(gate.clone());
    registry.faults().add(On::path("/blobs/"), hold);
    let path = blob_path("team/app", blob.digest());
    let ask = async |client: Client, method: Method| client.send(method, &path).await.status;
    let leader = ask(archway.client(), Method::GET);
    let followers = async {
        gate.arrived().await;
        let methods = [Method::GET, Method::GET, Method::HEAD, Method::HEAD];
        join_all(methods.map(|method| ask(archway.client(), method))).await
    };
    let opener = async {
        has_followers(&archway, 4).await;
        gate.open();
    };
    let (leader, followers, ()) = tokio::join!(leader, followers, opener);
    assert_eq!(leader, 404);
    assert_eq!(followers, [404; 4]);
    // One download asks, at first by a range of ours: its refusal is believed only without one.
    let asked = registry.log().of(&Method::GET, "/blobs/");
    let ranges = asked
        .iter()
        .map(|request| request.header("range").is_empty());
    assert_eq!(ranges.collect::<Vec<_>>(), [false, true]);
}
