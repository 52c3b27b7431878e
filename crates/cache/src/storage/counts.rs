//! What was evicted and why, and how much of it came back soon: whether the cache is large enough.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use manifest_model::Digest;
use parking_lot::Mutex;

/// How long an evicted blob is remembered.
const MEMORY: Duration = Duration::from_hours(24);

/// Evicted blobs remembered at the same time, of some 40 bytes each; then the oldest is forgotten.
const MAX_GONE: usize = 32_768;

/// Why a blob went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionReason {
    /// The cache had reached its size.
    Size,
    /// The file system had too little left.
    MinFree,
    /// The same, and nobody was expected to ask for it.
    Unwanted,
}

impl EvictionReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Size, Self::MinFree, Self::Unwanted];

    /// The spelling in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::MinFree => "min_free",
            Self::Unwanted => "unwanted",
        }
    }
}

/// The counts of one cache since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// By [`EvictionReason`].
    blobs: [AtomicU64; EvictionReason::ALL.len()],
    bytes: AtomicU64,
    refetched: AtomicU64,
    gone: Mutex<Gone>,
}

impl Counts {
    /// Blobs evicted, by [`EvictionReason`].
    pub(super) fn blobs(&self) -> [u64; EvictionReason::ALL.len()] {
        EvictionReason::ALL.map(|reason| self.blobs[reason as usize].load(Ordering::Relaxed))
    }

    /// Bytes evicted.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of blobs that were stored again within a day of their eviction.
    pub(super) fn refetched(&self) -> u64 {
        self.refetched.load(Ordering::Relaxed)
    }

    pub(super) fn evicted(&self, digest: &Digest, size: u64, reason: EvictionReason) {
        self.blobs[reason as usize].fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.gone.lock().add(digest, Instant::now());
    }

    pub(super) fn stored(&self, digest: &Digest, size: u64) {
        if self.gone.lock().take(digest, Instant::now()) {
            self.refetched.fetch_add(size, Ordering::Relaxed);
        }
    }
}

/// The blobs evicted lately, each by a hash of its digest.
#[derive(Debug, Default)]
struct Gone {
    hasher: RandomState,
    known: HashSet<u64>,
    /// The oldest first; one that was stored again is here and not among the known.
    order: VecDeque<(Instant, u64)>,
}

impl Gone {
    fn add(&mut self, digest: &Digest, now: Instant) {
        let hash = self.hasher.hash_one(digest);
        self.forget(now);
        if self.order.len() == MAX_GONE
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(hash);
        self.order.push_back((now, hash));
    }

    /// Whether it is among them; it is not any more.
    fn take(&mut self, digest: &Digest, now: Instant) -> bool {
        self.forget(now);
        let hash = self.hasher.hash_one(digest);
        self.known.remove(&hash)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, hash)) = self.order.front()
            && now.saturating_duration_since(*at) > MEMORY
        {
            self.known.remove(hash);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    #[test]
    fn what_comes_back_within_a_day_is_counted_once() {
        let counts = Counts::default();
        counts.evicted(&digest("a"), 10, EvictionReason::Unwanted);
        counts.stored(&digest("b"), 5);
        assert_eq!(counts.refetched(), 0);
        counts.stored(&digest("a"), 10);
        counts.stored(&digest("a"), 10);
        assert_eq!(counts.refetched(), 10);
        assert_eq!((counts.blobs(), counts.bytes()), ([0, 0, 1], 10));
    }

    #[test]
    fn it_is_forgotten_after_a_day_and_when_there_are_too_many() {
        let (mut gone, now) = (Gone::default(), Instant::now());
        gone.add(&digest("old"), now);
        assert!(!gone.take(&digest("old"), now + MEMORY + Duration::from_secs(1)));
        gone.add(&digest("first"), now);
        for number in 0..MAX_GONE {
            gone.add(&digest(&number.to_string()), now);
        }
        assert!(!gone.take(&digest("first"), now));
        assert!(gone.take(&digest("7"), now));
        assert_eq!(gone.order.len(), MAX_GONE);
    }
}
