//! Evicting blobs until their sum is under a bound.
//!
//! The index keeps the order: blobs marked as unwanted, then those not used since they came, then
//! others by their last use, then manifests. A blob that is being read or filled is skipped, and
//! pinned ones are not among them.

use cache_store::{
    CacheError,
    index::{Index, Reach, SeenRow},
};
use tracing::{debug, warn};

use super::counts::{Counts, EvictionReason};
use crate::blobs::{Blobs, Eviction};

/// How many candidates are read from the index at once.
const BATCH_SIZE: usize = 256;

/// Evicts in the index's order until the sum is at most `goal` or no blob left in `reach` may go.
/// What goes is counted under `reason`, what is unwanted under that. Blocks.
pub(super) fn shrink(
    index: &Index,
    blobs: &Blobs,
    goal: u64,
    reach: Reach,
    (counts, reason): (&Counts, EvictionReason),
) -> Result<(), CacheError> {
    let mut total = index.rows.bytes()?;
    // Blobs in use stay at the head of the order and are skipped.
    let mut in_use = 0;
    while total > goal {
        let batch = index.order.first(reach, in_use, BATCH_SIZE)?;
        if batch.is_empty() {
            if reach == Reach::All {
                warn!(
                    bytes = total,
                    goal,
                    "the cache stays above its size for now: all of its blobs are pinned or being read"
                );
            }
            break;
        }
        let mut gone = Vec::with_capacity(batch.len());
        for candidate in batch {
            let SeenRow {
                digest,
                size,
                is_unwanted,
                ..
            } = candidate;
            if total <= goal {
                break;
            }
            match blobs.evict(&digest)? {
                Eviction::InUse => {
                    in_use += 1;
                    continue;
                }
                Eviction::Absent => {}
                Eviction::Unpublished(unpublished) => {
                    unpublished.delete()?;
                    let reason = if is_unwanted {
                        EvictionReason::Unwanted
                    } else {
                        reason
                    };
                    counts.evicted(&digest, size, reason);
                    debug!(%digest, size, "evicted a blob");
                }
            }
            total = total.saturating_sub(size);
            gone.push(candidate);
        }
        index.rows.remove_unchanged(&gone)?;
    }
    Ok(())
}
