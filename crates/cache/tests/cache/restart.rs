//! A new process finds everything that the last one stored.

use std::fs;

use cache::{Cache, CacheError, FillError, ReadBy, RepoKey};
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, collect, digest, lead, names, open, options, store, write};

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
    assert!(collect(found.read(0..100_000, ReadBy::Map)).await.unwrap() == bytes);
    assert_eq!(
        cache.tag(&repo(), &tag).unwrap().digest,
        manifest().digest()
    );
    assert!(cache.is_linked(&repo(), &digest(b"config")));
    assert_eq!(cache.usage().bytes, before);
}

#[tokio::test]
async fn half_written_files_are_swept() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let (mut fill, follower) = lead(&cache, &digest(b"x"));
    fill.start(Some(1_000_000)).await.unwrap();
    write(&fill, 0, &body(500_000)).await;
    // Once its bytes are shown, the writer waits for more and does not hold the directory open.
    collect(follower.read(0, Some(1), ReadBy::Copy))
        .await
        .unwrap();
    // The leftover of a killed process: its staged file, and nobody to delete it.
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
    assert_eq!(*found.media_type(), *manifest().media_type());
    assert!(
        !cache.is_linked(&repo(), &blob),
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
async fn an_index_that_was_cut_short_is_built_anew() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let blob = store(&cache, &body(1000)).await;
    drop(cache);
    let index = folder.path().join("index.redb");
    let file = fs::File::options().write(true).open(&index).unwrap();
    file.set_len(100).unwrap();

    let cache = open(&folder, u64::MAX);
    assert!(cache.stored(&blob).unwrap().is_some());
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_is_no_damaged_one_and_stays() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder, u64::MAX));
    let index = folder.path().join("index.redb");
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    fs::write(index.join("inside"), b"still here").unwrap();

    let error = Cache::open(&options(&folder, u64::MAX)).unwrap_err();
    assert!(
        matches!(&error, CacheError::IndexUnavailable { path, .. } if *path == index),
        "{error}"
    );
    assert!(index.join("inside").exists());
    assert!(!folder.path().join("index.damaged").exists());
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
async fn a_second_process_is_refused() {
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
    write(&fill, 0, &bytes).await;
    fill.commit().await.unwrap();
    drop(cache);
    let cache = open(&folder, u64::MAX);
    assert!(
        collect(
            cache
                .stored(&digest)
                .unwrap()
                .unwrap()
                .read(0..50_000, ReadBy::Map)
        )
        .await
        .unwrap()
            == bytes
    );
}

const LARGE: usize = 4 * 1024 * 1024;

/// Interrupts a download of `bytes` after these parts of it.
async fn interrupt(folder: &TempDir, bytes: &bytes::Bytes, parts: &[(usize, usize)]) {
    let cache = open(folder, u64::MAX);
    let (mut fill, _) = lead(&cache, &digest(bytes));
    fill.start(Some(bytes.len() as u64)).await.unwrap();
    for &(start, end) in parts {
        write(&fill, start, &bytes.slice(start..end)).await;
    }
    let error = fill.commit().await.unwrap_err();
    assert!(matches!(*error, FillError::Length { .. }), "{error}");
}

#[tokio::test]
async fn the_next_process_resumes_an_interrupted_download() {
    let folder = TempDir::new().unwrap();
    let bytes = body(LARGE);
    interrupt(&folder, &bytes, &[(0, LARGE / 4), (LARGE / 2, LARGE)]).await;

    let cache = open(&folder, u64::MAX);
    let (mut fill, follower) = lead(&cache, &digest(&bytes));
    let (size, there) = fill.partial().await.unwrap();
    assert_eq!(size, LARGE as u64);
    let gap = there.gap(0, size).unwrap();
    assert_eq!(gap, LARGE as u64 / 4..LARGE as u64 / 2);
    assert_eq!(fill.start(Some(size)).await.unwrap(), there);
    write(&fill, LARGE / 4, &bytes.slice(LARGE / 4..LARGE / 2)).await;
    fill.commit().await.unwrap();
    assert!(collect(follower.read(0, None, ReadBy::Map)).await.unwrap() == bytes);
    assert!(names(&folder, "ingest").is_empty());
}

#[tokio::test]
async fn a_download_of_another_size_starts_anew() {
    let folder = TempDir::new().unwrap();
    let bytes = body(LARGE);
    interrupt(&folder, &bytes, &[(0, LARGE / 2)]).await;
    let cache = open(&folder, u64::MAX);
    let (mut fill, _) = lead(&cache, &digest(&bytes));
    assert!(fill.start(Some(LARGE as u64 + 1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_changed_byte_in_what_was_kept_is_found_and_the_next_try_starts_anew() {
    let folder = TempDir::new().unwrap();
    let bytes = body(LARGE);
    let digest = digest(&bytes);
    interrupt(&folder, &bytes, &[(0, LARGE / 2)]).await;
    let part = folder
        .path()
        .join(format!("ingest/sha256-{}.part", digest.hex()));
    let mut kept = fs::read(&part).unwrap();
    kept[1000] ^= 1;
    fs::write(&part, kept).unwrap();

    let cache = open(&folder, u64::MAX);
    let (mut fill, _) = lead(&cache, &digest);
    fill.start(Some(LARGE as u64)).await.unwrap();
    write(&fill, LARGE / 2, &bytes.slice(LARGE / 2..)).await;
    let error = fill.commit().await.unwrap_err();
    assert!(matches!(*error, FillError::Corrupt { .. }), "{error}");
    let (fill, _) = lead(&cache, &digest);
    assert_eq!(fill.partial().await, None);
}

#[tokio::test]
async fn a_download_that_has_waited_for_a_day_is_swept() {
    let folder = TempDir::new().unwrap();
    let bytes = body(LARGE);
    interrupt(&folder, &bytes, &[(0, LARGE / 2)]).await;
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    for name in names(&folder, "ingest") {
        let file = fs::File::options()
            .write(true)
            .open(folder.path().join("ingest").join(name))
            .unwrap();
        file.set_modified(yesterday).unwrap();
    }
    drop(open(&folder, u64::MAX));
    assert!(names(&folder, "ingest").is_empty());
}
