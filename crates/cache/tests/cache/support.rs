//! Shared by the tests of this crate.

use bytes::Bytes;
use cache::{BlobStream, Cache, Fill, Follower, Joined, Options, ReadBy, ReadError};
use futures_util::TryStreamExt;
use manifest_model::{Algorithm, Digest};
use tempfile::TempDir;

/// A cache in a directory of its own, large enough for everything.
pub(crate) fn cache() -> (Cache, TempDir) {
    let folder = TempDir::new().unwrap();
    (open(&folder, u64::MAX), folder)
}

/// The cache of a directory, with a bound.
pub(crate) fn open(folder: &TempDir, max_size: u64) -> Cache {
    Cache::open(&options(folder, max_size)).unwrap()
}

/// Options for the cache of a directory.
pub(crate) fn options(folder: &TempDir, max_size: u64) -> Options {
    Options {
        path: folder.path().into(),
        max_size,
        low_water: max_size - max_size / 20,
        min_free: 0,
        anew: false,
        max_open_files: 4,
    }
}

/// Bytes that differ everywhere, so that a wrong offset shows.
pub(crate) fn body(length: usize) -> Bytes {
    (0..length)
        .map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap())
        .collect()
}

/// The digest of bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// The duty to fill a blob that is neither stored nor on its way.
pub(crate) fn lead(cache: &Cache, digest: &Digest) -> (Fill, Follower) {
    match cache.join(digest).unwrap() {
        Joined::Leading(fill, follower) => (fill, follower),
        other => panic!("expected to lead, got {other:?}"),
    }
}

/// A follower of a running fill.
pub(crate) fn follow(cache: &Cache, digest: &Digest) -> Follower {
    match cache.join(digest).unwrap() {
        Joined::Following(follower) => follower,
        other => panic!("expected to follow, got {other:?}"),
    }
}

/// Hands bytes to a fill.
pub(crate) async fn write(fill: &Fill, offset: usize, bytes: &Bytes) {
    let written = fill.writer().write(offset as u64, bytes.clone()).await;
    written.unwrap();
}

/// Both ways to read.
pub(crate) const WAYS: [ReadBy; 2] = [ReadBy::Copy, ReadBy::Map];

/// Stores a blob from start to end.
pub(crate) async fn store(cache: &Cache, bytes: &Bytes) -> Digest {
    let digest = digest(bytes);
    let (mut fill, _) = lead(cache, &digest);
    fill.start(Some(bytes.len() as u64)).await.unwrap();
    write(&fill, 0, bytes).await;
    fill.commit().await.unwrap();
    digest
}

/// A stream's bytes, if it ends well.
pub(crate) async fn collect(stream: BlobStream) -> Result<Vec<u8>, ReadError> {
    stream
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

/// The names in a folder of the cache directory.
pub(crate) fn names(folder: &TempDir, below: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join(below)).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
