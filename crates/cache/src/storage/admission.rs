//! Which large download is worth what it would put out.
//!
//! A small one finds its room in probation, whose share of the cache nothing else takes. One that is
//! larger than that share would put out blobs that were used again, and may be asked for this once.
//! So the first time it goes past the cache, unless several clients wait for it; the second time it
//! is stored.

use std::num::NonZeroUsize;

use cache_store::{Bound, CacheError, index::Index};
use lru::LruCache;
use manifest_model::Digest;
use parking_lot::Mutex;

use crate::uses::Uses;

/// Downloads that were sent past, and are remembered for their second time.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// The share of the cache that blobs used again and manifests never fill, in hundredths.
const FREE_SHARE: u64 = 15;

/// How often a download is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Once, as far as is known.
    Once,
    /// By several clients, or before.
    Again,
}

impl Demand {
    /// That of a download with so many followers.
    pub(crate) fn of_followers(followers: usize) -> Self {
        if followers > 1 {
            Self::Again
        } else {
            Self::Once
        }
    }
}

/// The downloads that were sent past the cache.
#[derive(Debug)]
pub(super) struct Admission(Mutex<LruCache<Digest, ()>>);

impl Default for Admission {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_REMEMBERED)))
    }
}

impl Admission {
    /// An error for a download of `size` bytes that is to go past a cache of `max_size` bytes, of
    /// which it needs so many together with the others that run. Blocks.
    pub(super) fn admit(
        &self,
        (index, uses): (&Index, &Uses),
        digest: &Digest,
        (size, needed, max_size): (u64, u64, u64),
        demand: Demand,
    ) -> Result<(), CacheError> {
        // Most are small; the others are worth a look at all rows.
        if demand == Demand::Again || needed <= max_size / 100 * FREE_SHARE {
            return Ok(());
        }
        // Of a blob used just now the index does not know yet.
        uses.write(index)?;
        let pinned = index.rows.pinned_bytes()?;
        index.order.keep_shares(max_size.saturating_sub(pinned))?;
        let kept = index.order.used_again()?.saturating_add(pinned);
        if needed <= max_size.saturating_sub(kept) {
            return Ok(());
        }
        let was_sent_past = self.0.lock().put(*digest, ()).is_some();
        if was_sent_past {
            return Ok(());
        }
        Err(CacheError::Full {
            bound: Bound::UsedAgain,
            free: max_size.saturating_sub(kept.saturating_add(needed.saturating_sub(size))),
            needed: size,
        })
    }
}
