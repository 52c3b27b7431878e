//! What would leave next, and why.

use admin_api::{DiskUse, EvictionClass, Evictions, NextToGo};
use cache::{CacheError, RankedBlob, Standing};

use crate::parts::Parts;

pub(crate) fn gather(parts: &Parts, limit: usize) -> Result<Evictions, CacheError> {
    let disk = parts.disk();
    let next = parts.pull.cache().next_to_go(limit)?;
    Ok(Evictions {
        room: room(&disk),
        disk,
        next: next.iter().filter_map(told).collect(),
    })
}

/// What fits before the cache's own bound, or that of its file system, is reached.
fn room(disk: &DiskUse) -> u64 {
    let own = disk.max_size.saturating_sub(disk.stored);
    let free = disk.free.map(|free| free.saturating_sub(disk.min_free));
    free.map_or(own, |free| free.min(own))
}

fn told(blob: &RankedBlob) -> Option<NextToGo> {
    let (class, why) = match blob.standing {
        Standing::Unwanted => (
            EvictionClass::Unwanted,
            "it is for a platform that nobody here pulls",
        ),
        Standing::Probation => (EvictionClass::Probation, "nobody has used it since it came"),
        Standing::UsedAgain => (
            EvictionClass::UsedAgain,
            "all that was used again was used after it",
        ),
        Standing::Manifest => (
            EvictionClass::Manifest,
            "it is a manifest: they go last, the least lately used first",
        ),
        Standing::Pinned => return None,
    };
    Some(NextToGo {
        digest: blob.digest,
        size: blob.size,
        used: blob.used.into(),
        class,
        why: why.to_owned(),
        repositories: Vec::new(),
    })
}
