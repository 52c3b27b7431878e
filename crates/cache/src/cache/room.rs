//! Making room: under the cap, and on the file system.

use std::sync::{PoisonError, atomic::Ordering};

use manifest_model::Digest;

use super::{Cache, Options};
use crate::{error::CacheError, eviction};

/// The share of what may be stored below which no eviction is near, as numerator and denominator.
const NEAR: (u64, u64) = (3, 4);

impl Cache {
    /// Whether an eviction may come before long, be it for the cache's own bounds or for what is to stay free on the file
    /// system. One look at the file system.
    pub fn eviction_is_near(&self) -> bool {
        let Options {
            max_size,
            low_water,
            min_free,
            ..
        } = self.inner.options;
        let bytes = self.inner.bytes.load(Ordering::Relaxed);
        // While the file system does not answer, its other bound does.
        let growth = self.inner.blobs.disk().free();
        let growth = growth.map_or(u64::MAX, |free| free.saturating_sub(min_free));
        let most = low_water.min(max_size).min(bytes.saturating_add(growth));
        bytes >= most / NEAR.1 * NEAR.0
    }

    /// Evicts what could not go when it should have: it was being read. Called now and then.
    pub async fn trim(&self) -> Result<(), CacheError> {
        self.blocking(Self::after_growth).await
    }

    /// Evicts until a download of `size` bytes, counted as reserved already, fits under the cap and leaves the file system what
    /// is to stay free. Blocks.
    pub(crate) fn make_room(&self, digest: &Digest, size: u64) -> Result<(), CacheError> {
        self.after_growth()?;
        let (blobs, disk) = (&self.inner.blobs, self.inner.blobs.disk());
        if disk.partial(digest).is_some() {
            // Its blocks are taken already.
            return Ok(());
        }
        let needed = size.saturating_add(self.inner.options.min_free);
        let mut free = disk.free()?;
        if free < needed {
            disk.drop_partials(|digest| blobs.is_running(digest))?;
            free = disk.free()?;
        }
        let bytes = self.inner.index.bytes()?;
        if free < needed && free.saturating_add(bytes) >= needed {
            self.shrink(bytes - (needed - free))?;
            free = disk.free()?;
        }
        if free < needed {
            let path = self.inner.options.path.clone();
            return Err(CacheError::Full { path, free, needed });
        }
        Ok(())
    }

    pub(crate) fn after_growth(&self) -> Result<(), CacheError> {
        let Options {
            max_size,
            low_water,
            ..
        } = self.inner.options;
        let (bytes, reserved) = (self.inner.index.bytes()?, self.inner.blobs.reserved());
        self.inner.bytes.store(bytes, Ordering::Relaxed);
        if bytes.saturating_add(reserved) <= max_size {
            return Ok(());
        }
        self.shrink(low_water.min(max_size).saturating_sub(reserved))
    }

    fn shrink(&self, goal: u64) -> Result<(), CacheError> {
        let _one_at_a_time = self
            .inner
            .evicting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.write_uses()?;
        let evicted = eviction::shrink(self, goal)?;
        self.inner
            .evicted_bytes
            .fetch_add(evicted, Ordering::Relaxed);
        self.inner
            .bytes
            .store(self.inner.index.bytes()?, Ordering::Relaxed);
        Ok(())
    }
}
