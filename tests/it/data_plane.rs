//! How bytes leave: large hits by the kernel from their files, and every way to send gives the same
//! bytes.

use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;

const MIB: u64 = 1 << 20;

async fn stored(blob: &Blob) -> (FakeRegistry, Archway, String) {
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let path = blob_path("team/app", blob.digest());
    pull(&archway, &path, blob).await;
    archway.stores(&blob.digest()).await;
    (registry, archway, path)
}

async fn pull(archway: &Archway, path: &str, blob: &Blob) {
    let download = archway.client().open(Method::GET, path).await;
    assert_eq!(download.status(), 200);
    let end = within("the blob arrives", download.finish(blob)).await;
    assert_eq!(end, End::Complete(blob.size()));
}

/// What has gone out by `sendfile` so far.
async fn sent_by_kernel(archway: &Archway) -> u64 {
    archway
        .metric("archway_sendfile_bytes_total")
        .await
        .unwrap_or(0)
}

#[tokio::test]
async fn a_large_hit_leaves_by_sendfile_and_not_otherwise() {
    let blob = Blob::from(BigBlob::new("large", 20 * MIB + 12345));
    let (_registry, archway, path) = stored(&blob).await;
    let before = sent_by_kernel(&archway).await;
    pull(&archway, &path, &blob).await;
    let sent = sent_by_kernel(&archway).await - before;
    // The last piece may be too small to be worth a call of its own.
    assert!(
        sent > blob.size() - MIB && sent <= blob.size(),
        "{sent} of {} bytes",
        blob.size()
    );
}

#[tokio::test]
async fn ranges_of_a_large_hit_leave_by_sendfile_too() {
    let blob = Blob::from(BigBlob::new("ranges", 8 * MIB));
    let (_registry, archway, path) = stored(&blob).await;
    let before = sent_by_kernel(&archway).await;
    for (first, last) in [(0, 3 * MIB), (MIB + 1, 4 * MIB), (5 * MIB, 8 * MIB - 1)] {
        let client = archway
            .client()
            .with("range", &format!("bytes={first}-{last}"));
        let part = client.get(&path).await.expect(206);
        assert_eq!(part.body.len() as u64, last - first + 1);
        assert!(blob.holds_at(first, &part.body));
    }
    assert!(sent_by_kernel(&archway).await - before > 6 * MIB);
}

#[tokio::test]
async fn a_small_hit_is_not_worth_a_call_of_its_own() {
    let blob = Blob::from(BigBlob::new("small", 200_000));
    let (_registry, archway, path) = stored(&blob).await;
    pull(&archway, &path, &blob).await;
    assert_eq!(sent_by_kernel(&archway).await, 0);
}

#[tokio::test]
async fn many_answers_on_one_connection_are_each_right() {
    let blob = Blob::from(BigBlob::new("again", 3 * MIB));
    let (_registry, archway, path) = stored(&blob).await;
    let client = archway.client();
    for _ in 0..20 {
        let whole = client.get(&path).await.expect(200);
        assert!(blob.holds_at(0, &whole.body) && whole.body.len() as u64 == blob.size());
        client.manifest("team/app", "v1").await.expect(200);
    }
}

/// The end of the blob is too short to be sent from the file. Held back by the kernel for its 200
/// ms, it and each answer after it would make this last beyond any deadline.
#[tokio::test]
async fn a_short_end_and_what_follows_it_are_not_held_back() {
    let blob = Blob::from(BigBlob::new("end", 2 * MIB + 1024));
    let (_registry, archway, path) = stored(&blob).await;
    let client = archway.client();
    let all = async {
        for _ in 0..20 {
            assert_eq!(
                client.get(&path).await.expect(200).body.len() as u64,
                blob.size()
            );
            for _ in 0..20 {
                client.head(&path).await.expect(200);
            }
        }
    };
    within("420 answers on one connection", all).await;
}

/// A blob that is one piece goes out without a cork. Its head is held back for that piece alone, and
/// so is nothing behind it.
#[tokio::test]
async fn a_blob_of_one_piece_leaves_by_sendfile_and_is_not_held_back() {
    let blob = Blob::from(BigBlob::new("one piece", 2 * MIB));
    let (_registry, archway, path) = stored(&blob).await;
    let before = sent_by_kernel(&archway).await;
    let client = archway.client();
    let all = async {
        for _ in 0..100 {
            let whole = client.get(&path).await.expect(200);
            assert_eq!(whole.body.len() as u64, blob.size());
            client.head(&path).await.expect(200);
        }
    };
    within("200 answers on one connection", all).await;
    assert_eq!(sent_by_kernel(&archway).await - before, 100 * blob.size());
}

/// What the disk holds alone is read on another thread and then sent like everything else, also by
/// clients that ask at the same time.
#[tokio::test]
async fn a_blob_that_has_left_memory_arrives_whole() {
    let blob = Blob::from(BigBlob::new("cold", 20 * MIB + 12345));
    let (_registry, archway, path) = stored(&blob).await;
    for _ in 0..3 {
        archway.evict_from_memory(&blob.digest());
        let pulls = (0..4).map(|_| pull(&archway, &path, &blob));
        futures_util::future::join_all(pulls).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let blob = Blob::from(BigBlob::new("left", 30 * MIB));
    let (_registry, archway, path) = stored(&blob).await;
    for _ in 0..10 {
        let mut leaving = archway.client().open(Method::GET, &path).await;
        leaving.read_to(MIB, &blob, 0).await;
    }
    pull(&archway, &path, &blob).await;
}
