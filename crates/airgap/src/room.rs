//! Whether a bundle fits: under the cache's bound beside what is pinned, and on the file system.

use std::{collections::HashSet, fs::File, os::unix::fs::MetadataExt};

use bundle::Bundle;
use cache::{Cache, inspect::FileSystem};
use manifest_model::Digest;
use rustix::fs::fstatfs;

use crate::{error::ImportError, source::Source};

/// Types of file systems that share extents (`man 2 statfs`): XFS and btrfs.
const SHARING: [u64; 2] = [0x5846_5342, 0x9123_683e];

/// Fails if the bundle cannot be held, or `new` bytes of it cannot be written.
pub(crate) fn check(
    bundle: &Bundle,
    source: &Source,
    cache: &Cache,
    new: u64,
) -> Result<(), ImportError> {
    let blobs = &bundle.lock().blobs;
    let sizes = blobs.iter().map(|blob| blob.size);
    let needed = sizes.fold(0, u64::saturating_add);
    let listed: HashSet<Digest> = blobs.iter().map(|blob| blob.digest).collect();
    let mut pinned = 0_u64;
    let mut counted = HashSet::new();
    for (blob, _) in cache.imports().pins()? {
        if !listed.contains(&blob) && counted.insert(blob) {
            pinned = pinned.saturating_add(cache.peek_size(&blob)?.unwrap_or(0));
        }
    }
    let max_size = cache.max_size();
    if needed.saturating_add(pinned) > max_size {
        return Err(ImportError::TooLarge {
            needed,
            pinned,
            max_size,
        });
    }
    let usage = cache.usage();
    let free = FileSystem::of(cache.folder())?.free;
    // What is not pinned goes where it has to; what others are to have stays free.
    let free = free.saturating_add(usage.bytes.saturating_sub(usage.pinned_bytes));
    let free = free.saturating_sub(cache.min_free());
    if new > free && !shares_extents(source, cache) {
        return Err(ImportError::NoSpace { needed: new, free });
    }
    Ok(())
}

/// Whether the blobs will take no space of their own.
fn shares_extents(source: &Source, cache: &Cache) -> bool {
    let Some(folder) = File::open(cache.folder()).ok() else {
        return false;
    };
    let mut files = source.files().peekable();
    files.peek().is_some() && files.all(|file| share_extents(file, &folder))
}

/// Whether both are on one file system that clones from one to the other.
pub(crate) fn share_extents(one: &File, other: &File) -> bool {
    let device = |file: &File| file.metadata().ok().map(|metadata| metadata.dev());
    let kind = fstatfs(other).ok();
    let kind = kind.and_then(|stat| u64::try_from(stat.f_type).ok());
    kind.is_some_and(|kind| SHARING.contains(&kind)) && device(one) == device(other)
}
