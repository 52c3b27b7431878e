//! Making room: under the cache's size, and on the file system.
//!
//! A fill claims its announced size, and starts only if that could be had at all: the sum of all
//! claims stays within the size of the cache. But an announcement evicts nothing: room is made as
//! the bytes arrive, in steps, since a body may break, or be wrong, long before its announced end.
//! A body of unknown length, which only its digest can end, evicts nothing that was used twice.
//! When the file system lacks space, interrupted downloads go before stored blobs.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::SystemTime,
};

use cache_store::{Bound, CacheError, disk::Blocks, index::Reach};
use manifest_model::Digest;

use super::{Demand, EvictionReason, Options, Storage, eviction, reservations::Reserved};

/// An eviction is near once this share of the room is taken, as numerator and denominator.
const NEAR_EVICTION: (u64, u64) = (3, 4);

/// The step by which the room of a download grows, as a part of the cache's size and within bounds:
/// large enough that the looks at index and file system cost nothing beside the bytes, small enough
/// that evicting it in vain is no great loss.
const GROWTH_PART: u64 = 256;
const MIN_GROWTH: u64 = 64 * 1024;
const MAX_GROWTH: u64 = 16 * 1024 * 1024;

/// The room of one download, reserved for as long as this lives. Does not keep the cache open.
#[derive(Debug)]
pub(crate) struct Room {
    /// What it may grow to; of an unknown size, what it has taken.
    claimed: Reserved,
    /// What it has taken from the stored blobs.
    taken: Reserved,
    blocks: Blocks,
    reach: Reach,
    storage: Weak<Storage>,
}

impl Room {
    /// When its file gets its blocks: at once if nothing has to go for them.
    pub(crate) fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// Grows the room to `size` bytes in all, and some more. An error ends the download. Blocks.
    pub(crate) fn grow_to(&mut self, size: u64) -> Result<(), CacheError> {
        let missing = size.saturating_sub(self.taken.size());
        if missing == 0 {
            return Ok(());
        }
        let Some(storage) = self.storage.upgrade() else {
            // The fill is gone too, and nothing will be stored: its writer is about to see that.
            return Ok(());
        };
        let max_size = storage.options.max_size;
        let step = (max_size / GROWTH_PART).clamp(MIN_GROWTH, MAX_GROWTH);
        let announced = self.claimed.size() - self.taken.size();
        let left = match self.reach {
            Reach::All => announced,
            Reach::Probation => max_size.saturating_sub(storage.claimed.total()),
        };
        let growth = missing.max(step.min(left));
        let unclaimed = (self.taken.size() + growth).saturating_sub(self.claimed.size());
        storage.reserve(&mut self.claimed, unclaimed)?;
        storage.reserve(&mut self.taken, growth)?;
        let on_disk = match self.blocks {
            Blocks::AtOnce => 0,
            Blocks::AsWritten => growth,
        };
        storage.evict_for(on_disk, self.reach)
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

    /// The room for a download of `size` bytes. Bytes of an interrupted one have theirs at once. What
    /// could not have it, whatever were evicted, is refused, and so is what is not worth it. Blocks.
    pub(crate) fn make_room(
        self: &Arc<Self>,
        digest: &Digest,
        size: Option<u64>,
        demand: Demand,
    ) -> Result<Room, CacheError> {
        let partial = self.disk.ingest.partial(digest);
        let partial = partial.filter(|(known, _)| size == Some(*known));
        let there = partial.map_or(0, |(_, written)| written.total());
        let mut claimed = self.claimed.begin();
        self.reserve(&mut claimed, size.unwrap_or(0))?;
        if there == 0
            && let Some(size) = size
        {
            let needed = self.claimed.total();
            let sizes = (size, needed, self.options.max_size);
            let known = (&self.index, &self.uses);
            self.admission.admit(known, digest, sizes, demand)?;
        }
        let has_space = self.has_space(size.unwrap_or(0).saturating_sub(there))?;
        let blocks = match size {
            Some(_) if has_space => Blocks::AtOnce,
            _ => Blocks::AsWritten,
        };
        let mut room = Room {
            claimed,
            taken: self.taken.begin(),
            blocks,
            reach: if size.is_some() {
                Reach::All
            } else {
                Reach::Probation
            },
            storage: Arc::downgrade(self),
        };
        if there > 0 {
            room.grow_to(there)?;
        }
        Ok(room)
    }

    /// Whether the file system has `size` bytes to give, and stays with its free bytes; an error if
    /// it had not even if everything were evicted.
    fn has_space(&self, size: u64) -> Result<bool, CacheError> {
        let needed = size.saturating_add(self.options.min_free);
        let free = self.disk.free()?;
        if free >= needed {
            return Ok(true);
        }
        let is_running = |digest: &Digest| self.blobs.is_running(digest);
        let partials = self.disk.ingest.partials_size(is_running)?;
        let pinned = self.index.rows.pinned_bytes()?;
        let evictable = self.index.rows.bytes()?.saturating_sub(pinned);
        let most = free.saturating_add(partials).saturating_add(evictable);
        if most < needed {
            return Err(self.no_space(free, needed));
        }
        Ok(false)
    }

    /// Bounds the sums of all claims and of all that is taken by the cache's size less what is
    /// pinned: what does not fit beside the others is refused, and evicts nothing.
    fn reserve(&self, reserved: &mut Reserved, size: u64) -> Result<(), CacheError> {
        // More may be pinned by now than when the rest was reserved.
        if size == 0 {
            return Ok(());
        }
        let pinned = self.index.rows.pinned_bytes()?;
        let grown = reserved.grow(size, self.options.max_size.saturating_sub(pinned));
        grown.map_err(|free| CacheError::Full {
            bound: Bound::MaxSize,
            free,
            needed: size,
        })
    }

    /// Evicts until all that is taken fits under the cache's size and `size` more bytes leave the
    /// file system its free bytes. If even evicting everything would not suffice, nothing is
    /// evicted.
    fn evict_for(&self, size: u64, reach: Reach) -> Result<(), CacheError> {
        self.shrink_to_size(reach)?;
        if size == 0 || self.has_space(size)? {
            return Ok(());
        }
        let disk = &self.disk;
        let is_running = |digest: &Digest| self.blobs.is_running(digest);
        disk.ingest.delete_partials(is_running)?;
        let needed = size.saturating_add(self.options.min_free);
        let free = disk.free()?;
        if free < needed {
            // With the slack of the other bound, so that not each step evicts.
            let room = self.index.rows.bytes()?.saturating_sub(needed - free);
            self.shrink(self.low_water_of(room)?, reach, EvictionReason::MinFree)?;
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
        self.shrink_to_size(Reach::All)
    }

    /// Evicts within `reach` if the blobs have outgrown their room; an error if that did not bring
    /// them back because of `reach`.
    fn shrink_to_size(&self, reach: Reach) -> Result<(), CacheError> {
        let bytes = self.index.rows.bytes()?;
        self.bytes.store(bytes, Ordering::Relaxed);
        let room = self.options.max_size;
        let room = room.saturating_sub(self.taken.total());
        if bytes <= room {
            return Ok(());
        }
        self.shrink(self.low_water_of(room)?, reach, EvictionReason::Size)?;
        let bytes = self.bytes.load(Ordering::Relaxed);
        if reach == Reach::Probation && bytes > room {
            return Err(CacheError::Full {
                bound: Bound::MaxSize,
                free: 0,
                needed: bytes - room,
            });
        }
        Ok(())
    }

    /// The size at which an eviction stops that begins above `room` bytes. Reservations take their
    /// share of the slack with them: the whole slack would leave nothing of a small room. Of what is
    /// pinned nothing can go, so it has no slack.
    fn low_water_of(&self, room: u64) -> Result<u64, CacheError> {
        let Options {
            max_size,
            low_water,
            ..
        } = self.options;
        let pinned = self.index.rows.pinned_bytes()?;
        let free = room.saturating_sub(pinned);
        let share = u128::from(free) * u128::from(low_water) / u128::from(max_size.max(1));
        Ok(pinned + u64::try_from(share).map_or(free, |share| share.min(free)))
    }

    /// Corrects last uses that are in the future because the clock was set back: such blobs would
    /// outlive all others until the clock catches up. They were most likely used before this
    /// process started.
    pub(crate) fn correct_future_uses(&self) -> Result<(), CacheError> {
        let now = SystemTime::now();
        let then = self.opened.min(now);
        Ok(self.index.order.correct_future_uses(now, then)?)
    }

    fn shrink(&self, goal: u64, reach: Reach, reason: EvictionReason) -> Result<(), CacheError> {
        let _one_at_a_time = self.evicting.lock();
        self.uses.write(&self.index)?;
        self.correct_future_uses()?;
        // The file system may give less than the configured size.
        let held = self.index.rows.bytes()?.saturating_add(self.taken.total());
        let pinned = self.index.rows.pinned_bytes()?;
        let shared = self.options.max_size.min(held).saturating_sub(pinned);
        self.index.order.keep_shares(shared)?;
        let counted = (&self.counts, reason);
        eviction::shrink(&self.index, &self.blobs, goal, reach, counted)?;
        self.bytes
            .store(self.index.rows.bytes()?, Ordering::Relaxed);
        Ok(())
    }
}
