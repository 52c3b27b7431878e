//! The size bound, and what it spares.

use bytes::Bytes;
use cache::{Cache, CacheError, FillError, ReadBy};
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, collect, digest, lead, names, open, options, store};

const KIB: usize = 1024;

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
async fn what_was_used_lately_outlives_what_was_not() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 1000 * KIB as u64);
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(store(&cache, &blob(number)).await);
    }
    // The clock of last uses has milliseconds; storing takes longer than that, and so does this.
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
async fn a_running_fill_has_its_room_reserved() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 500 * KIB as u64);
    for number in 0..4 {
        store(&cache, &blob(number)).await;
    }
    let (mut fill, _) = lead(&cache, &digest(b"on its way"));
    fill.start(Some(300 * KIB as u64)).await.unwrap();
    assert!(
        cache.usage().bytes <= 200 * KIB as u64,
        "{} bytes beside a fill of 300 KiB under a cap of 500 KiB",
        cache.usage().bytes
    );
}

#[tokio::test]
async fn no_download_takes_what_is_to_stay_free() {
    let folder = TempDir::new().unwrap();
    let mut options = options(&folder, u64::MAX);
    options.min_free = 1 << 60;
    let cache = Cache::open(&options).unwrap();
    let (mut fill, _) = lead(&cache, &digest(b"x"));
    let error = fill.start(Some(1000)).await.unwrap_err();
    let FillError::Storage { source, .. } = &*error else {
        panic!("{error}")
    };
    assert!(matches!(source, CacheError::Full { .. }), "{source}");
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
async fn a_blob_that_was_cut_short_on_the_disk_is_taken_out() {
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
