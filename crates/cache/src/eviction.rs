//! Keeping the sum of all blobs under its bound.

use tracing::{debug, warn};

use crate::{Cache, blobs::Withdrawal, error::CacheError, index::Cold};

/// Rows looked at together.
const BATCH: usize = 256;

/// Evicts in the index's order until the sum is not above `goal` or nothing that is left may go. Blocks.
/// The answer is the number of bytes given back.
pub(crate) fn shrink(cache: &Cache, goal: u64) -> Result<u64, CacheError> {
    let mut total = cache.index().bytes()?;
    let mut evicted = 0;
    // What is in use stays at the head of the order and is stepped over.
    let mut in_use = 0;
    while total > goal {
        let batch = cache.index().coldest(in_use, BATCH)?;
        if batch.is_empty() {
            warn!(
                bytes = total,
                goal, "everything in the cache is being read; it stays above its size for now"
            );
            break;
        }
        let mut gone = Vec::with_capacity(batch.len());
        for cold in batch {
            let Cold { digest, size, .. } = cold;
            if total <= goal {
                break;
            }
            match cache.blobs().withdraw(&digest)? {
                Withdrawal::InUse => {
                    in_use += 1;
                    continue;
                }
                Withdrawal::Absent => {}
                Withdrawal::Done(withdrawn) => {
                    withdrawn.delete()?;
                    evicted += size;
                    debug!(%digest, size, "evicted");
                }
            }
            total = total.saturating_sub(size);
            gone.push(cold);
        }
        cache.index().forget(&gone)?;
    }
    Ok(evicted)
}
