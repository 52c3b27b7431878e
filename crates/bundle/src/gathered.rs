//! The lock of what no export has made: images that were found in a layout of another tool.

use manifest_model::Digest;

use crate::{
    layout,
    lock::{Blob, FORMAT, Image, IndexContent, Lock, LockError, Place},
};

/// The time of what was not exported: equal contents have equal locks.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The lock of these images and blobs, given with their sizes, each once. It has neither a series nor
/// a base. Fails as [`Lock::parse`] does.
pub fn gathered(images: Vec<Image>, blobs: Vec<(Digest, u64)>) -> Result<Lock, LockError> {
    let blobs = blobs.into_iter().map(|(digest, size)| Blob {
        digest,
        place: Place::Bundle,
        offset: None,
        size,
    });
    let mut blobs: Vec<Blob> = blobs.collect();
    layout::set_offsets(&mut blobs)?;
    let lock = Lock {
        blobs,
        created: EPOCH.to_owned(),
        format: FORMAT.to_owned(),
        images,
        index: IndexContent::default(),
        platforms: Vec::new(),
        requires: Vec::new(),
        sequence: None,
        series: None,
    };
    lock.check()?;
    Ok(lock)
}
