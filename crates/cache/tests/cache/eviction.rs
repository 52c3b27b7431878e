//! The size bound evicts in order, and spares blobs in use.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache::{
    Bound::{self, FileSystem, MaxSize},
    Cache, CacheError, FillError, ReadBy,
};
use futures_util::StreamExt;
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, collect, digest, lead, names, open, options, store, write};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The bound that left no room.
fn full(error: &FillError) -> Bound {
    match error {
        FillError::Storage {
            source: CacheError::Full { bound, .. },
            ..
        } => bound.clone(),
        other => panic!("expected no room, got {other}"),
    }
}

/// A blob of 100 KiB that differs by its first byte.
fn blob(number: u8) -> Bytes {
    let mut bytes = body(100 * KIB).to_vec();
    bytes[0] = number;
    bytes.into()
}

#[tokio::test]
async fn the_sum_stays_under_the_bound_and_the_oldest_go_first() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 1000 * KIB as u64);
    let mut digests = Vec::new();
    for number in 0..30 {
        digests.push(store(&cache, &blob(number)).await);
        assert!(cache.usage().bytes <= 1000 * KIB as u64);
    }
    assert!(cache.stored(&digests[0]).unwrap().is_none());
    assert!(cache.stored(&digests[29]).unwrap().is_some());
    assert!(cache.usage().evicted_bytes > 0);
    assert!(
        names(&folder, "ingest").is_empty(),
        "evicted files must be deleted"
    );
}

#[tokio::test]
async fn what_is_used_outlives_what_was_used_before_the_clock_was_set_back() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 1000 * KIB as u64);
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(store(&cache, &blob(number)).await);
    }
    drop(cache);
    // A rebuilt index takes the last uses from the files.
    std::fs::remove_file(folder.path().join("index.redb")).unwrap();
    let (ahead, used) = digests.split_at(4);
    let tomorrow = SystemTime::now() + Duration::from_hours(24);
    for digest in ahead {
        let path = folder.path().join("blobs/sha256").join(digest.hex());
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(tomorrow).unwrap();
    }
    let cache = open(&folder, 1000 * KIB as u64);
    for digest in used {
        assert!(cache.stored(digest).unwrap().is_some());
    }
    for number in 10..13 {
        store(&cache, &blob(number)).await;
    }
    for digest in used {
        assert!(cache.stored(digest).unwrap().is_some());
    }
    let left = ahead
        .iter()
        .filter(|digest| cache.stored(digest).unwrap().is_some());
    assert!(left.count() < ahead.len());
}

#[tokio::test]
async fn what_was_used_lately_outlives_what_was_not() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 1000 * KIB as u64);
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(store(&cache, &blob(number)).await);
    }
    // Last uses are counted in milliseconds; storing takes longer than one, and so does this.
    cache.flush_uses().await.unwrap();
    drop(cache.stored(&digests[0]).unwrap());
    store(&cache, &blob(9)).await;
    store(&cache, &blob(10)).await;
    assert!(cache.stored(&digests[0]).unwrap().is_some(), "used last");
    assert!(
        cache.stored(&digests[1]).unwrap().is_none(),
        "not used since it came"
    );
}

#[tokio::test]
async fn a_blob_that_is_being_read_is_not_evicted() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 300 * KIB as u64);
    let held = store(&cache, &blob(0)).await;
    let reader = cache.stored(&held).unwrap().unwrap();
    for number in 1..20 {
        store(&cache, &blob(number)).await;
    }
    assert!(names(&folder, "blobs/sha256").contains(&held.hex()));
    assert!(
        collect(reader.read(0..100 * KIB as u64, ReadBy::Map))
            .await
            .unwrap()
            == blob(0)
    );
}

#[tokio::test]
async fn manifests_outlive_layers() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 300 * KIB as u64);
    let config = Digest::of(Algorithm::Sha256, b"config");
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":6}},"layers":[]}}"#
    );
    let manifest = Manifest::parse(manifest.into(), None, Algorithm::Sha256).unwrap();
    let repo = cache::RepoKey::new("registry.example", &"app".parse().unwrap());
    cache.store_manifest(&repo, &manifest, None).await.unwrap();
    for number in 0..20 {
        store(&cache, &blob(number)).await;
    }
    assert!(cache.manifest(&manifest.digest()).await.unwrap().is_some());
}

#[tokio::test]
async fn the_bound_holds_after_a_restart_with_a_smaller_one() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    for number in 0..10 {
        store(&cache, &blob(number)).await;
    }
    drop(cache);
    let cache = open(&folder, 500 * KIB as u64);
    store(&cache, &blob(10)).await;
    assert!(cache.usage().bytes <= 500 * KIB as u64);
}

#[tokio::test]
async fn room_is_made_for_the_bytes_that_arrive_and_for_no_announcement() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 500 * KIB as u64);
    for number in 0..4 {
        store(&cache, &blob(number)).await;
    }
    let bytes = body(300 * KIB);
    let (mut fill, follower) = lead(&cache, &digest(&bytes));
    fill.start(Some(300 * KIB as u64)).await.unwrap();
    assert_eq!(cache.usage().evicted_bytes, 0);
    write(&fill, 0, &bytes).await;
    // Shown bytes are written, and written bytes have their room.
    let mut stream = follower.read(0, None, ReadBy::Copy);
    stream.next().await.unwrap().unwrap();
    assert!(
        cache.usage().bytes <= 200 * KIB as u64,
        "{} bytes beside 300 KiB of a fill under a cap of 500 KiB",
        cache.usage().bytes
    );
}

#[tokio::test]
async fn no_download_takes_what_is_to_stay_free() {
    let folder = TempDir::new().unwrap();
    let mut options = options(&folder, u64::MAX);
    options.min_free = 1 << 60;
    let cache = Cache::open(&options).unwrap();
    for size in [Some(1000), None] {
        let (mut fill, _) = lead(&cache, &digest(b"x"));
        let error = fill.start(size).await.unwrap_err();
        let FileSystem(path) = full(&error) else {
            panic!("{error}")
        };
        assert_eq!(path, folder.path());
    }
}

#[tokio::test]
async fn a_download_that_cannot_fit_costs_no_interrupted_download() {
    let folder = TempDir::new().unwrap();
    let cut_off = digest(b"cut off");
    let cache = open(&folder, u64::MAX);
    let (mut fill, _) = lead(&cache, &cut_off);
    fill.start(Some(4 * MIB as u64)).await.unwrap();
    write(&fill, 0, &body(2 * MIB)).await;
    fill.commit().await.unwrap_err();
    drop(cache);

    let mut options = options(&folder, u64::MAX);
    options.min_free = 1 << 60;
    let cache = Cache::open(&options).unwrap();
    let (mut fill, _) = lead(&cache, &digest(b"x"));
    fill.start(Some(1000)).await.unwrap_err();
    let (fill, _) = lead(&cache, &cut_off);
    assert!(fill.partial().await.is_some());
}

#[tokio::test]
async fn a_blob_above_the_bound_is_refused_and_nothing_is_evicted_for_it() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 500 * KIB as u64);
    for number in 0..4 {
        store(&cache, &blob(number)).await;
    }
    let (mut fill, _) = lead(&cache, &digest(b"too large"));
    let error = fill.start(Some(500 * KIB as u64 + 1)).await.unwrap_err();
    assert_eq!(full(&error), MaxSize);
    assert_eq!(cache.usage().evicted_bytes, 0);
}

#[tokio::test]
async fn fills_that_do_not_fit_beside_each_other_are_refused_until_they_do() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 500 * KIB as u64);
    let (mut first, _) = lead(&cache, &digest(b"first"));
    first.start(Some(300 * KIB as u64)).await.unwrap();
    let (mut second, _) = lead(&cache, &digest(b"second"));
    let error = second.start(Some(300 * KIB as u64)).await.unwrap_err();
    assert_eq!(full(&error), MaxSize);
    first.commit().await.unwrap_err();
    let (mut second, _) = lead(&cache, &digest(b"second"));
    second.start(Some(300 * KIB as u64)).await.unwrap();
}

#[tokio::test]
async fn a_large_fill_leaves_what_fits_beside_it() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 500 * KIB as u64);
    for number in 0..4 {
        store(&cache, &blob(number)).await;
    }
    let bytes = body(390 * KIB);
    let (mut fill, follower) = lead(&cache, &digest(&bytes));
    fill.start(Some(390 * KIB as u64)).await.unwrap();
    write(&fill, 0, &bytes).await;
    let mut stream = follower.read(0, None, ReadBy::Copy);
    stream.next().await.unwrap().unwrap();
    assert_eq!(cache.usage().bytes, 100 * KIB as u64);
}

#[tokio::test]
async fn a_body_of_unknown_length_that_outgrows_the_bound_ends() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 20 * MIB as u64);
    let (mut fill, _) = lead(&cache, &digest(b"x"));
    fill.start(None).await.unwrap();
    let piece = body(MIB);
    let writer = fill.writer();
    let mut at = 0;
    while at < 40 && writer.write((at * MIB) as u64, piece.clone()).await.is_ok() {
        at += 1;
    }
    drop(writer);
    let error = fill.commit().await.unwrap_err();
    assert_eq!(full(&error), MaxSize);
    assert!(names(&folder, "ingest").is_empty());
}

#[tokio::test]
async fn a_body_of_unknown_length_evicts_while_it_grows() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 20 * MIB as u64);
    for number in 0..20 {
        let mut bytes = body(MIB).to_vec();
        bytes[0] = number;
        store(&cache, &bytes.into()).await;
    }
    let before = cache.usage().bytes;
    let bytes = body(10 * MIB);
    let (mut fill, follower) = lead(&cache, &digest(&bytes));
    fill.start(None).await.unwrap();
    write(&fill, 0, &bytes).await;
    let mut stream = follower.read(0, None, ReadBy::Copy);
    stream.next().await.unwrap().unwrap();
    // Shown bytes are written, and written bytes have their room.
    assert!(cache.usage().bytes <= before - 10 * MIB as u64);
    fill.commit().await.unwrap();
    drop(stream);
    assert!(cache.usage().bytes <= 20 * MIB as u64);
    assert!(cache.stored(&digest(&bytes)).unwrap().is_some());
}

#[tokio::test]
async fn a_small_body_of_unknown_length_is_stored_in_a_small_cache() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 500 * KIB as u64);
    let (mut fill, _) = lead(&cache, &digest(&blob(0)));
    fill.start(None).await.unwrap();
    write(&fill, 0, &blob(0)).await;
    fill.commit().await.unwrap();
    assert_eq!(cache.usage().bytes, 100 * KIB as u64);
}

#[tokio::test]
async fn an_eviction_is_near_where_either_bound_is() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 1000 * KIB as u64);
    for number in 0..7 {
        store(&cache, &blob(number)).await;
    }
    assert!(!cache.eviction_is_near());
    store(&cache, &blob(7)).await;
    assert!(cache.eviction_is_near());
    drop(cache);
    assert!(!open(&folder, u64::MAX).eviction_is_near());
    let mut options = options(&folder, u64::MAX);
    options.min_free = 1 << 60;
    assert!(Cache::open(&options).unwrap().eviction_is_near());
}

#[tokio::test]
async fn a_blob_that_was_truncated_on_the_disk_is_discarded() {
    for by in crate::support::WAYS {
        let folder = TempDir::new().unwrap();
        let cache = open(&folder, u64::MAX);
        let stored = store(&cache, &blob(0)).await;
        let open = cache.stored(&stored).unwrap().unwrap();
        let path = folder.path().join("blobs/sha256").join(stored.hex());
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(1000)
            .unwrap();
        let read = collect(open.read(0..100 * KIB as u64, by)).await;
        assert!(read.is_err());
        assert!(!path.exists());
        assert_eq!(store(&cache, &blob(0)).await, stored);
    }
}
