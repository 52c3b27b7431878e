//! Making room: under the cap, and on the file system.

use std::{
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::SystemTime,
};

use manifest_model::Digest;

use super::{Cache, Inner, Options};
use crate::{
    blobs::Reserved,
    error::{Bound, CacheError},
    eviction,
};

/// The share of what may be stored below which no eviction is near, as numerator and denominator.
const NEAR: (u64, u64) = (3, 4);

/// By how much the room of a download of unknown length grows at a time: a look at index and file system is nothing beside
/// bringing so many bytes, and evicting so many for nothing is no great loss.
const STEP: u64 = 16 * 1024 * 1024;

/// The room a download has, counted for as long as this lives. Does not keep the cache open.
#[derive(Debug)]
pub(crate) struct Room {
    reserved: Reserved,
    cache: Weak<Inner>,
}

impl Room {
    /// Makes room for `size` bytes in all, and some more, as a download of known size has it from its start. An error is the
    /// end of the download. Blocks.
    pub(crate) fn grow_to(&mut self, size: u64) -> Result<(), CacheError> {
        let missing = size.saturating_sub(self.reserved.size());
        if missing == 0 {
            return Ok(());
        }
        let Some(inner) = self.cache.upgrade() else {
            // Cache and fill are gone, so nothing will be stored: the writer is about to see the end of its queue.
            return Ok(());
        };
        let cache = Cache { inner };
        let reserved = cache.inner.blobs.reserved().total();
        let left = cache.inner.options.max_size.saturating_sub(reserved);
        let growth = missing.max(STEP.min(left));
        cache.reserve(&mut self.reserved, growth)?;
        cache.evict_for(growth)
    }
}

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

    /// Evicts until a download of `size` bytes fits under the cap and leaves the file system what is to stay free. One that
    /// cannot fit is refused before anything is evicted for it. Of one whose size is not known, nothing is reserved yet. Blocks.
    pub(crate) fn make_room(&self, digest: &Digest, size: Option<u64>) -> Result<Room, CacheError> {
        let mut reserved = self.inner.blobs.reserved().begin();
        self.reserve(&mut reserved, size.unwrap_or(0))?;
        let partial = self.inner.blobs.disk().partial(digest);
        if size.is_some() && partial.map(|(size, _)| size) == size {
            // Its blocks are taken already.
            self.after_growth()?;
        } else {
            self.evict_for(size.unwrap_or(0))?;
        }
        Ok(Room {
            reserved,
            cache: Arc::downgrade(&self.inner),
        })
    }

    /// What all running fills have reserved is never more than may be stored: an announcement alone costs no more than that,
    /// and one that does not fit beside the others costs nothing.
    fn reserve(&self, reserved: &mut Reserved, size: u64) -> Result<(), CacheError> {
        let grown = reserved.grow(size, self.inner.options.max_size);
        grown.map_err(|free| CacheError::Full {
            bound: Bound::MaxSize,
            free,
            needed: size,
        })
    }

    /// Evicts until what is reserved fits under the cap, and `size` more bytes on the file system leave what is to stay free.
    /// Where everything that could go would not make enough, nothing goes.
    fn evict_for(&self, size: u64) -> Result<(), CacheError> {
        let (blobs, disk) = (&self.inner.blobs, self.inner.blobs.disk());
        let needed = size.saturating_add(self.inner.options.min_free);
        let free = disk.free()?;
        if free >= needed {
            return self.after_growth();
        }
        let is_running = |digest: &Digest| blobs.is_running(digest);
        let partials = disk.partials_size(is_running)?;
        let most = free.saturating_add(partials);
        if most.saturating_add(self.inner.index.bytes()?) < needed {
            return Err(self.no_space(free, needed));
        }
        disk.drop_partials(is_running)?;
        self.after_growth()?;
        let free = disk.free()?;
        if free < needed {
            let bytes = self.inner.index.bytes()?;
            self.shrink(bytes.saturating_sub(needed - free))?;
        }
        let free = disk.free()?;
        if free < needed {
            return Err(self.no_space(free, needed));
        }
        Ok(())
    }

    fn no_space(&self, free: u64, needed: u64) -> CacheError {
        let bound = Bound::FileSystem(self.inner.options.path.clone());
        CacheError::Full {
            bound,
            free,
            needed,
        }
    }

    pub(crate) fn after_growth(&self) -> Result<(), CacheError> {
        let bytes = self.inner.index.bytes()?;
        self.inner.bytes.store(bytes, Ordering::Relaxed);
        let room = self.inner.options.max_size;
        let room = room.saturating_sub(self.inner.blobs.reserved().total());
        if bytes <= room {
            return Ok(());
        }
        self.shrink(self.low_water_of(room))
    }

    /// Where an eviction ends that begins above `room` bytes: what running fills have reserved takes its share of the slack
    /// with it. All of the slack taken off a small rest would leave nothing of that.
    fn low_water_of(&self, room: u64) -> u64 {
        let Options {
            max_size,
            low_water,
            ..
        } = self.inner.options;
        let share = u128::from(room) * u128::from(low_water) / u128::from(max_size.max(1));
        u64::try_from(share).map_or(room, |share| share.min(room))
    }

    /// Where the clock was set back, what was used before stands behind what is used now, and would outlive it for as long as the
    /// clock was ahead. When it was really used nobody knows: before this process was, most likely.
    pub(crate) fn set_back(&self) -> Result<(), CacheError> {
        let now = SystemTime::now();
        let then = self.inner.opened.min(now);
        Ok(self.inner.index.set_back(now, then)?)
    }

    fn shrink(&self, goal: u64) -> Result<(), CacheError> {
        let _one_at_a_time = self
            .inner
            .evicting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.write_uses()?;
        self.set_back()?;
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
