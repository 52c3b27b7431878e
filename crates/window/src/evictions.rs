//! What would leave next, and why.

use admin_api::{CacheTotals, Evictions, NextToGo};
use cache::{CacheError, NextRow};
use image_inventory::eviction_class;

use crate::parts::Parts;

pub(crate) async fn gather(parts: &Parts, limit: usize) -> Result<Evictions, CacheError> {
    let cache = parts.pull.cache();
    let next = match limit {
        0 => Vec::new(),
        limit => cache.next_to_go(limit).await?,
    };
    let unwanted_bytes = cache.unwanted_bytes().await?;
    let disk = parts.disk();
    Ok(Evictions {
        cache: CacheTotals {
            bytes: disk.bytes,
            blobs: disk.blobs,
            max_bytes: disk.max_bytes,
            pinned_bytes: disk.pinned_bytes,
            unwanted_bytes,
            evicted_bytes: disk.evicted_bytes,
            disk_free: disk.disk_free,
            disk_reserve: disk.disk_reserve,
        },
        next: next.iter().filter_map(told).collect(),
    })
}

/// Nothing for a pinned one, which never leaves.
fn told(row: &NextRow) -> Option<NextToGo> {
    let class = eviction_class(row.class)?;
    Some(NextToGo {
        digest: row.digest,
        size: row.size,
        used: row.used.into(),
        class,
        why: class.why().to_owned(),
    })
}
