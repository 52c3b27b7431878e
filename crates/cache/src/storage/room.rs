//! Making room: under the cache's size, and on the file system.
//!
//! A fill reserves its room before anything is evicted for it, and only if the room can be had at
//! all: the sum of all reservations stays within the size of the cache, and a blob that no eviction
//! could fit evicts nothing. A fill of unknown size reserves as it grows. When the file system
//! lacks space, interrupted downloads go before stored blobs.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::SystemTime,
};

use manifest_model::Digest;

use super::{Options, Storage, eviction, reservations::Reserved};
use crate::error::{Bound, CacheError};

/// An eviction is near once this share of the room is taken, as numerator and denominator.
const NEAR_EVICTION: (u64, u64) = (3, 4);

/// The step by which the room of a download of unknown length grows: large enough that the looks at
/// index and file system cost nothing beside the bytes, small enough that evicting it in vain is no
/// great loss.
const GROWTH_STEP: u64 = 16 * 1024 * 1024;

/// The room of one download, reserved for as long as this lives. Does not keep the cache open.
#[derive(Debug)]
pub(crate) struct Room {
    reserved: Reserved,
    storage: Weak<Storage>,
}

impl Room {
    /// Grows the room to `size` bytes in all, and some more. A download of known size has its room
    /// from the start. An error ends the download. Blocks.
    pub(crate) fn grow_to(&mut self, size: u64) -> Result<(), CacheError> {
        let missing = size.saturating_sub(self.reserved.size());
        if missing == 0 {
            return Ok(());
        }
        let Some(storage) = self.storage.upgrade() else {
            // The fill is gone too, and nothing will be stored: its writer is about to see that.
            return Ok(());
        };
        let reserved = storage.reserved.total();
        let left = storage.options.max_size.saturating_sub(reserved);
        let growth = missing.max(GROWTH_STEP.min(left));
        storage.reserve(&mut self.reserved, growth)?;
        storage.evict_for(growth)
    }
}

impl Storage {
    /// Whether an eviction may come soon, for the cache's own bound or for the file system's. One
    /// look at the file system.
    pub(crate) fn eviction_is_near(&self) -> bool {
        let Options {
            max_size,
            low_water,
            min_free,
            ..
        } = self.options;
        let bytes = self.bytes.load(Ordering::Relaxed);
        // If the file system does not answer, the other bound does.
        let growth = self.disk.free();
        let growth = growth.map_or(u64::MAX, |free| free.saturating_sub(min_free));
        let most = low_water.min(max_size).min(bytes.saturating_add(growth));
        bytes >= most / NEAR_EVICTION.1 * NEAR_EVICTION.0
    }

    /// Evicts until a download of `size` bytes fits under the cache's size and leaves the file
    /// system its free bytes. A download that cannot fit is refused before anything is evicted for
    /// it. For one of unknown size nothing is reserved yet. Blocks.
    pub(crate) fn make_room(
        self: &Arc<Self>,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Room, CacheError> {
        let mut reserved = self.reserved.begin();
        self.reserve(&mut reserved, size.unwrap_or(0))?;
        let partial = self.disk.ingest.partial(digest);
        if size.is_some() && partial.map(|(size, _)| size) == size {
            // Its blocks are taken already.
            self.after_growth()?;
        } else {
            self.evict_for(size.unwrap_or(0))?;
        }
        Ok(Room {
            reserved,
            storage: Arc::downgrade(self),
        })
    }

    /// Bounds the sum of all reservations by the cache's size. An announced size alone evicts no
    /// more than that, and one that does not fit beside the others evicts nothing.
    fn reserve(&self, reserved: &mut Reserved, size: u64) -> Result<(), CacheError> {
        let grown = reserved.grow(size, self.options.max_size);
        grown.map_err(|free| CacheError::Full {
            bound: Bound::MaxSize,
            free,
            needed: size,
        })
    }

    /// Evicts until all reservations fit under the cache's size and `size` more bytes leave the
    /// file system its free bytes. If even evicting everything would not suffice, nothing is
    /// evicted.
    fn evict_for(&self, size: u64) -> Result<(), CacheError> {
        let disk = &self.disk;
        let needed = size.saturating_add(self.options.min_free);
        let free = disk.free()?;
        if free >= needed {
            return self.after_growth();
        }
        let is_running = |digest: &Digest| self.blobs.is_running(digest);
        let partials = disk.ingest.partials_size(is_running)?;
        let most = free.saturating_add(partials);
        if most.saturating_add(self.index.rows.bytes()?) < needed {
            return Err(self.no_space(free, needed));
        }
        disk.ingest.delete_partials(is_running)?;
        self.after_growth()?;
        let free = disk.free()?;
        if free < needed {
            let bytes = self.index.rows.bytes()?;
            self.shrink(bytes.saturating_sub(needed - free))?;
        }
        let free = disk.free()?;
        if free < needed {
            return Err(self.no_space(free, needed));
        }
        Ok(())
    }

    fn no_space(&self, free: u64, needed: u64) -> CacheError {
        let bound = Bound::FileSystem(self.options.path.clone());
        CacheError::Full {
            bound,
            free,
            needed,
        }
    }

    /// Evicts if the blobs have outgrown their room. Blocks.
    pub(crate) fn after_growth(&self) -> Result<(), CacheError> {
        let bytes = self.index.rows.bytes()?;
        self.bytes.store(bytes, Ordering::Relaxed);
        let room = self.options.max_size;
        let room = room.saturating_sub(self.reserved.total());
        if bytes <= room {
            return Ok(());
        }
        self.shrink(self.low_water_of(room))
    }

    /// The size at which an eviction stops that begins above `room` bytes. Reservations take their
    /// share of the slack with them: the whole slack would leave nothing of a small room.
    fn low_water_of(&self, room: u64) -> u64 {
        let Options {
            max_size,
            low_water,
            ..
        } = self.options;
        let share = u128::from(room) * u128::from(low_water) / u128::from(max_size.max(1));
        u64::try_from(share).map_or(room, |share| share.min(room))
    }

    /// Corrects last uses that are in the future because the clock was set back: such blobs would
    /// outlive all others until the clock catches up. They were most likely used before this
    /// process started.
    pub(crate) fn correct_future_uses(&self) -> Result<(), CacheError> {
        let now = SystemTime::now();
        let then = self.opened.min(now);
        Ok(self.index.order.correct_future_uses(now, then)?)
    }

    fn shrink(&self, goal: u64) -> Result<(), CacheError> {
        let _one_at_a_time = self.evicting.lock();
        self.uses.write(&self.index)?;
        self.correct_future_uses()?;
        let evicted = eviction::shrink(&self.index, &self.blobs, goal)?;
        self.evicted_bytes.fetch_add(evicted, Ordering::Relaxed);
        self.bytes
            .store(self.index.rows.bytes()?, Ordering::Relaxed);
        Ok(())
    }
}
