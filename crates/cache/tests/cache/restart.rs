//! What a new process finds.

use std::fs;

use cache::{Cache, CacheError, RepoKey};
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, collect, digest, lead, names, open, options, store};

fn manifest() -> Manifest {
    let config = digest(b"config");
    let body = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":6}},"layers":[]}}"#
    );
    Manifest::parse(body.into(), None, Algorithm::Sha256).unwrap()
}

fn repo() -> RepoKey {
    RepoKey::new("registry.example", &"app".parse().unwrap())
}

#[tokio::test]
async fn everything_stored_is_there_again() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let bytes = body(100_000);
    let blob = store(&cache, &bytes).await;
    let tag = "latest".parse().unwrap();
    cache
        .store_manifest(&repo(), &manifest(), Some(&tag))
        .await
        .unwrap();
    let before = cache.usage().bytes;
    drop(cache);

    let cache = open(&folder, u64::MAX);
    let found = cache.stored(&blob).unwrap().unwrap();
    assert!(collect(found.read(0..100_000)).await.unwrap() == bytes);
    assert_eq!(
        cache.tag(&repo(), &tag).unwrap().unwrap().digest,
        manifest().digest()
    );
    assert!(cache.is_linked(&repo(), &digest(b"config")).unwrap());
    assert_eq!(cache.usage().bytes, before);
}

#[tokio::test]
async fn half_written_files_are_swept() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let (mut fill, _) = lead(&cache, &digest(b"x"));
    fill.start(Some(1_000_000)).await.unwrap();
    fill.write(body(500_000)).await.unwrap();
    // What a killed process leaves behind: its staged file, and nothing that would clean it up.
    fs::write(folder.path().join("ingest/deadbeef.0.part"), b"half").unwrap();
    drop((fill, cache));

    let cache = open(&folder, u64::MAX);
    assert!(names(&folder, "ingest").is_empty());
    assert!(cache.stored(&digest(b"x")).unwrap().is_none());
}

#[tokio::test]
async fn a_lost_index_is_built_from_the_files() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let blob = store(&cache, &body(100_000)).await;
    cache
        .store_manifest(&repo(), &manifest(), None)
        .await
        .unwrap();
    let before = cache.usage().bytes;
    drop(cache);
    fs::remove_file(folder.path().join("index.redb")).unwrap();

    let cache = open(&folder, u64::MAX);
    assert_eq!(cache.usage().bytes, before);
    assert!(cache.stored(&blob).unwrap().is_some());
    let found = cache.manifest(&manifest().digest()).await.unwrap().unwrap();
    assert_eq!(found.media_type, *manifest().media_type());
    assert!(
        !cache.is_linked(&repo(), &blob).unwrap(),
        "no file says which repository it is from"
    );
}

#[tokio::test]
async fn a_damaged_index_is_set_aside_and_built_anew() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let blob = store(&cache, &body(1000)).await;
    drop(cache);
    fs::write(folder.path().join("index.redb"), vec![0x55; 8192]).unwrap();

    let cache = open(&folder, u64::MAX);
    assert!(cache.stored(&blob).unwrap().is_some());
    assert!(folder.path().join("index.damaged").exists());
}

#[tokio::test]
async fn files_that_are_no_blobs_are_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder, u64::MAX));
    fs::remove_file(folder.path().join("index.redb")).unwrap();
    fs::write(folder.path().join("blobs/sha256/README"), b"hello").unwrap();
    let cache = open(&folder, u64::MAX);
    assert_eq!(cache.usage().bytes, 0);
    assert!(folder.path().join("blobs/sha256/README").exists());
}

#[tokio::test]
async fn a_second_process_is_told_to_go_elsewhere() {
    let folder = TempDir::new().unwrap();
    let _first = open(&folder, u64::MAX);
    let error = Cache::open(&options(&folder, u64::MAX)).unwrap_err();
    assert!(matches!(error, CacheError::Locked { .. }), "{error}");
}

#[tokio::test]
async fn a_sha512_blob_is_a_blob_too() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let bytes = body(50_000);
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    let (mut fill, _) = lead(&cache, &digest);
    fill.start(None).await.unwrap();
    fill.write(bytes.clone()).await.unwrap();
    fill.commit().await.unwrap();
    drop(cache);
    let cache = open(&folder, u64::MAX);
    assert!(
        collect(cache.stored(&digest).unwrap().unwrap().read(0..50_000))
            .await
            .unwrap()
            == bytes
    );
}
