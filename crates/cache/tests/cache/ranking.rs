//! Unwanted blobs are evicted first, and the blobs of an image keep up with its manifest.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache::{Cache, RepoKey};
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, open, store};

const KIB: usize = 1024;
/// Room for ten blobs; the eleventh makes room for itself and one more.
const CAP: u64 = 1000 * KIB as u64;

/// A blob of 100 KiB that differs by its first byte.
fn blob(number: u8) -> Bytes {
    let mut bytes = body(100 * KIB).to_vec();
    bytes[0] = number;
    bytes.into()
}

async fn store_all(cache: &Cache, numbers: std::ops::Range<u8>) -> Vec<Digest> {
    let mut digests = Vec::new();
    for number in numbers {
        digests.push(store(cache, &blob(number)).await);
    }
    // Storing a blob counts as a use, which is written before anybody marks the blob.
    cache.flush_uses().await.unwrap();
    digests
}

fn is_stored(cache: &Cache, digest: &Digest) -> bool {
    cache.peek_size(digest).unwrap().is_some()
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_mins(1)
}

fn image(blobs: &[Digest]) -> Manifest {
    let layer = |digest: &Digest| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":102400}}"#
        )
    };
    let layers = blobs.iter().map(layer).collect::<Vec<_>>().join(",");
    let config = layer(&blobs[0]);
    let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
    Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
}

/// A cache with nine blobs, some of which make an image.
async fn nine_and_an_image(of: std::ops::Range<usize>) -> (TempDir, Cache, Vec<Digest>, Manifest) {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, CAP);
    let digests = store_all(&cache, 0..9).await;
    let image = image(&digests[of]);
    cache
        .store_manifest(&repo("app"), &image, None)
        .await
        .unwrap();
    (folder, cache, digests, image)
}

fn repo(name: &str) -> RepoKey {
    RepoKey::new("registry.example:5000", &name.parse().unwrap())
}

#[tokio::test]
async fn unwanted_blobs_go_first_however_lately_they_were_used() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, CAP);
    let digests = store_all(&cache, 0..9).await;
    cache
        .ranking()
        .set_unwanted(&digests[7..], later())
        .unwrap();
    store_all(&cache, 9..11).await;
    assert!(!is_stored(&cache, &digests[7]));
    assert!(!is_stored(&cache, &digests[8]));
    assert!(is_stored(&cache, &digests[0]), "the oldest, but wanted");
    store_all(&cache, 11..13).await;
    assert!(
        !is_stored(&cache, &digests[0]),
        "with nothing unwanted left, the oldest goes"
    );
}

#[tokio::test]
async fn what_is_unwanted_stays_so_over_a_restart() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, CAP);
    let digests = store_all(&cache, 0..9).await;
    cache
        .ranking()
        .set_unwanted(&digests[7..], later())
        .unwrap();
    // The mark alone is not synced: the next synced write takes it along.
    cache.link(&repo("app"), &digests[0]).await.unwrap();
    drop(cache);
    let cache = open(&folder, CAP);
    store_all(&cache, 9..11).await;
    assert!(!is_stored(&cache, &digests[7]));
    assert!(!is_stored(&cache, &digests[8]));
    assert!(is_stored(&cache, &digests[0]));
}

#[tokio::test]
async fn a_blob_that_is_asked_for_is_unwanted_no_more() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, CAP);
    let digests = store_all(&cache, 0..9).await;
    cache
        .ranking()
        .set_unwanted(&digests[7..], later())
        .unwrap();
    drop(cache.stored(&digests[8]).unwrap());
    store_all(&cache, 9..11).await;
    assert!(!is_stored(&cache, &digests[7]));
    assert!(is_stored(&cache, &digests[8]));
    assert!(!is_stored(&cache, &digests[0]), "the oldest came next");
}

#[tokio::test]
async fn what_was_used_since_the_look_is_not_unwanted() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, CAP);
    let before = SystemTime::now() - Duration::from_mins(1);
    let digests = store_all(&cache, 0..9).await;
    cache.ranking().set_unwanted(&digests, before).unwrap();
    assert_eq!(
        cache.ranking().review_unwanted(|| true, |_| true).unwrap(),
        0
    );
}

#[tokio::test]
async fn a_review_counts_what_is_unwanted_and_takes_back_the_rest() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, CAP);
    let digests = store_all(&cache, 0..9).await;
    cache
        .ranking()
        .set_unwanted(&digests[5..], later())
        .unwrap();
    let size = 100 * KIB as u64;
    assert_eq!(
        cache.ranking().review_unwanted(|| true, |_| true).unwrap(),
        4 * size
    );
    let only_last = |digest: &Digest| *digest == digests[8];
    assert_eq!(
        cache.ranking().review_unwanted(|| true, only_last).unwrap(),
        size
    );
    store_all(&cache, 9..11).await;
    assert!(!is_stored(&cache, &digests[8]));
    assert!(!is_stored(&cache, &digests[0]), "in its old place again");
    assert!(is_stored(&cache, &digests[5]));
}

#[tokio::test]
async fn manifests_are_never_unwanted() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, CAP);
    let digests = store_all(&cache, 0..2).await;
    let image = image(&digests);
    cache
        .store_manifest(&repo("app"), &image, None)
        .await
        .unwrap();
    cache
        .ranking()
        .set_unwanted(&[image.digest()], later())
        .unwrap();
    assert_eq!(
        cache.ranking().review_unwanted(|| true, |_| true).unwrap(),
        0
    );
}

#[tokio::test]
async fn the_blobs_of_an_image_in_use_outlive_what_was_used_before_it() {
    let (_folder, cache, digests, image) = nine_and_an_image(0..2).await;
    // A client that has these layers from elsewhere asks for the manifest alone.
    cache.used(&image.digest());
    cache.flush_uses().await.unwrap();
    store_all(&cache, 9..11).await;
    assert!(is_stored(&cache, &digests[0]));
    assert!(is_stored(&cache, &digests[1]));
    assert!(!is_stored(&cache, &digests[2]));
}

#[tokio::test]
async fn an_image_follows_a_use_that_an_eviction_has_written_down() {
    let (_folder, cache, digests, image) = nine_and_an_image(2..4).await;
    cache.used(&image.digest());
    cache.write_uses().await.unwrap();
    cache.flush_uses().await.unwrap();
    store_all(&cache, 9..11).await;
    store_all(&cache, 11..13).await;
    assert!(is_stored(&cache, &digests[2]));
    assert!(is_stored(&cache, &digests[3]));
    assert!(!is_stored(&cache, &digests[4]));
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_hinders_no_eviction_and_loses_no_use() {
    let (folder, cache, digests, image) = nine_and_an_image(0..2).await;
    let file = folder
        .path()
        .join("blobs/sha256")
        .join(image.digest().hex());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(cache.peek_manifest(&image.digest()).is_err());
    cache.used(&image.digest());
    drop(cache.stored(&digests[0]).unwrap());
    cache.flush_uses().await.unwrap();
    store_all(&cache, 9..11).await;
    assert!(is_stored(&cache, &digests[0]), "its own use counts");
    assert!(!is_stored(&cache, &digests[1]));
}

#[tokio::test]
async fn the_use_of_a_manifest_makes_its_blobs_no_less_unwanted() {
    let (_folder, cache, digests, image) = nine_and_an_image(7..9).await;
    cache
        .ranking()
        .set_unwanted(&digests[7..], later())
        .unwrap();
    cache.used(&image.digest());
    cache.flush_uses().await.unwrap();
    store_all(&cache, 9..11).await;
    assert!(!is_stored(&cache, &digests[7]));
    assert!(is_stored(&cache, &digests[0]));
}

#[tokio::test]
async fn repositories_come_one_by_one_with_the_manifests_they_have() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let digests = store_all(&cache, 0..3).await;
    let (one, two) = (image(&digests[..2]), image(&digests[1..]));
    for (name, image) in [("a", &one), ("a", &two), ("a/b", &two), ("a-b", &one)] {
        cache
            .store_manifest(&repo(name), image, None)
            .await
            .unwrap();
    }
    cache.link(&repo("b"), &digests[0]).await.unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    while let Some((repo, manifests)) = cache.ranking().next_repository(after.as_ref()).unwrap() {
        seen.push((repo.name().to_owned(), manifests.len()));
        after = Some(repo);
    }
    let expected = [("a", 2), ("a-b", 1), ("a/b", 1), ("b", 0)];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
}
