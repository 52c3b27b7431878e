//! Promise 5, nothing lost: `kill -9` in the middle of everything leaves a cache that serves what
//! it had.

use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::faults::On;
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};

const SIZE: u64 = 6_000_000;

async fn ingest_is_empty(archway: &Archway) {
    eventually("the ingest folder is empty", async || {
        archway.files("ingest").is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_fill_costs_that_fill_and_nothing_else() {
    let before = images::multi_platform("before");
    let blob = Blob::from(BigBlob::new("cut short", SIZE));
    let registry = FakeRegistry::with("team/before", "v1", &before).await;
    registry.push("team/big", "v1", &images::of_blob(&blob));
    let mut archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/before", "v1").await;
    archway.stores_all(&pulled).await;
    let path = blob_path("team/big", blob.digest());

    for reached in [1, 300_000, SIZE / 2, SIZE - 1] {
        let gate = registry.faults().hold_body(On::path("/blobs/"), reached);
        let client = archway.client();
        let download = client.open(Method::GET, &path);
        let leftovers = async {
            gate.arrived().await;
            eventually("the fill is on the disk", async || {
                (!archway.files("ingest").is_empty()).then_some(())
            })
            .await;
        };
        // The headers may wait for the body, so a client is there without being waited for.
        tokio::select! {
            () = leftovers => {}
            download = download => {
                drop(download);
                gate.arrived().await;
            }
        }
        archway.kill();
        registry.faults().clear();
        archway = archway.restart().await;
        assert_eq!(archway.client().pull("team/before", "v1").await, pulled);
    }

    let download = archway.client().open(Method::GET, &path).await;
    assert_eq!(download.status(), 200);
    let end = within("the whole blob arrives", download.finish(&blob)).await;
    assert_eq!(end, End::Complete(SIZE));
    archway.stores(&blob.digest()).await;
    ingest_is_empty(&archway).await;

    registry.close().await;
    let archway = archway.restart().await;
    assert_eq!(archway.client().pull("team/before", "v1").await, pulled);
    let answer = archway
        .client()
        .blob("team/big", blob.digest())
        .await
        .expect(200);
    assert_eq!(answer.header("archway-cache"), "hit");
    assert!(blob.holds_at(0, &answer.body) && answer.body.len() as u64 == SIZE);
}

#[tokio::test]
async fn the_client_of_a_killed_archway_sees_a_broken_body() {
    let blob = Blob::from(BigBlob::new("broken off", SIZE));
    let registry = FakeRegistry::with("team/big", "v1", &images::of_blob(&blob)).await;
    let _gate = registry.faults().hold_body(On::path("/blobs/"), SIZE / 2);
    let mut archway = Setup::in_front_of(&registry).start().await;
    let path = blob_path("team/big", blob.digest());
    let mut download = archway.client().open(Method::GET, &path).await;
    download.read_to(SIZE / 4, &blob, 0).await;
    archway.kill();
    let end = within("it breaks", download.finish(&blob)).await;
    assert!(matches!(end, End::Broken(_)), "{end:?}");
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let registry = FakeRegistry::start().await;
    let contents = [
        ("oci", images::multi_platform("oci")),
        ("docker", images::docker_list("docker")),
        ("odd", images::odd("odd")),
    ];
    for (tag, content) in &contents {
        registry.push("team/app", tag, content);
    }
    let mut archway = Setup::in_front_of(&registry).start().await;
    let mut pulled = Vec::new();
    for (tag, _) in &contents {
        pulled.push(archway.client().pull("team/app", tag).await);
    }
    registry.close().await;
    // Clients have the last bytes when the digest has matched; the disk may take a moment longer.
    for pulled in &pulled {
        archway.stores_all(pulled).await;
    }
    for _ in ["a kill", "another kill"] {
        archway = archway.restart().await;
        for ((tag, content), before) in contents.iter().zip(&pulled) {
            assert_eq!(archway.client().pull("team/app", tag).await, *before);
            let answer = archway
                .client()
                .manifest("team/app", *tag)
                .await
                .expect(200);
            assert_eq!(answer.header("content-type"), content.root().media_type);
        }
    }
}

#[tokio::test]
async fn what_an_earlier_process_left_in_ingest_is_swept_at_the_start() {
    let registry = FakeRegistry::start().await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    archway.kill();
    let ingest = archway.cache_folder().join("ingest");
    std::fs::create_dir_all(&ingest).expect("a writable folder");
    std::fs::write(ingest.join("leftover.part"), [7; 5000]).expect("a writable folder");
    let archway = archway.restart().await;
    ingest_is_empty(&archway).await;
}

#[tokio::test]
async fn a_second_process_on_the_same_cache_folder_says_so_and_ends() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let second = archway.run_another().await;
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    let folder = archway.cache_folder();
    assert!(
        said.contains(&*folder.to_string_lossy()),
        "it names the folder: {said}"
    );
    archway.client().pull("team/app", "v1").await;
}

#[tokio::test]
async fn a_lost_index_is_not_missed_while_the_upstream_is_out_of_reach() {
    let content = images::docker_list("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.terminate();
    archway.ended().await;
    registry.close().await;
    let index = archway.cache_folder().join("index.redb");
    std::fs::remove_file(index).expect("there was an index");

    let archway = archway.restart().await;
    assert_eq!(archway.client().pull("team/app", "v1").await, pulled);
    let digest = content.root().digest;
    let answer = archway.client().manifest("team/other", digest).await;
    assert_eq!(answer.status, 502, "another repository has nothing of it");
}
