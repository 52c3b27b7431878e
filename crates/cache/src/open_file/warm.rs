//! Which parts of a file were seen in memory a moment ago, so that who sends the same bytes again
//! need not look again.
//!
//! A look is a few system calls for each window that is sent, and most windows are sent many times a
//! second or never again. What was in memory a moment ago is there now: the kernel takes back first
//! what nobody has used for long. `cachestat(2)` would look at a whole window in one call, but it
//! also counts pages that are still being read, for which `sendfile` would wait.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::time::{ClockId, clock_gettime};

/// The part of a file that is noted as one: what a body sends with one call.
pub(super) const CHUNK: u64 = 2 * 1024 * 1024;

/// How long a note holds, in milliseconds: shorter than memory takes to get short.
const NOTE_HOLDS: u64 = 250;

/// When each [`CHUNK`] of a file was last seen in memory, in the file's order.
#[derive(Debug, Default)]
pub(super) struct WarmChunks {
    seen: Box<[AtomicU64]>,
    size: u64,
}

/// Milliseconds of a clock that never goes back. Never zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl Moment {
    /// As of the clock's last tick: a few milliseconds late, and next to nothing to ask for.
    pub(super) fn now() -> Self {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
        Self(1 + seconds * 1000 + nanos / 1_000_000)
    }
}

impl WarmChunks {
    /// The notes of a file of `size` bytes: none yet.
    pub(super) fn of(size: u64) -> Self {
        Self {
            seen: (0..size.div_ceil(CHUNK))
                .map(|_| AtomicU64::new(0))
                .collect(),
            size,
        }
    }

    /// Whether all of `range` was seen in memory a moment before `now`.
    pub(super) fn hold(&self, range: &Range<u64>, now: Moment) -> bool {
        let touched = index(range.start / CHUNK)..index(range.end.div_ceil(CHUNK));
        let notes = self.seen.get(touched).unwrap_or_default();
        let is_fresh = |seen: &AtomicU64| match seen.load(Ordering::Relaxed) {
            0 => false,
            seen => now.0.saturating_sub(seen) <= NOTE_HOLDS,
        };
        !notes.is_empty() && notes.iter().all(is_fresh)
    }

    /// Notes that `range` was seen in memory. Chunks of which it is only a part are left out.
    pub(super) fn note(&self, range: &Range<u64>, now: Moment) {
        let whole_end = match range.end {
            end if end == self.size => end.div_ceil(CHUNK),
            end => end / CHUNK,
        };
        let whole = index(range.start.div_ceil(CHUNK))..index(whole_end);
        for seen in self.seen.get(whole).unwrap_or_default() {
            seen.store(now.0, Ordering::Relaxed);
        }
    }

    /// Forgets all: a part of the file is not in memory any more, so others may not be either.
    pub(super) fn forget(&self) {
        for seen in &self.seen {
            seen.store(0, Ordering::Relaxed);
        }
    }
}

/// Beyond every note if it does not fit.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_000_000);

    fn later(by: u64) -> Moment {
        Moment(NOW.0 + by)
    }

    #[test]
    fn a_window_seen_a_moment_ago_is_not_looked_at_again() {
        let chunks = WarmChunks::of(3 * CHUNK + 1);
        chunks.note(&(CHUNK..2 * CHUNK), NOW);
        assert!(chunks.hold(&(CHUNK..2 * CHUNK), NOW));
        assert!(chunks.hold(&(CHUNK + 5..CHUNK + 9), later(NOTE_HOLDS)));
        assert!(!chunks.hold(&(CHUNK..2 * CHUNK), later(NOTE_HOLDS + 1)));
    }

    #[test]
    fn what_was_not_seen_is_not_taken_for_seen() {
        let chunks = WarmChunks::of(3 * CHUNK + 1);
        assert!(!chunks.hold(&(0..3 * CHUNK + 1), NOW));
        chunks.note(&(1..2 * CHUNK + 1), NOW);
        assert!(chunks.hold(&(CHUNK..2 * CHUNK), NOW));
        for range in [0..CHUNK, 1..2 * CHUNK, CHUNK..2 * CHUNK + 1, 0..0] {
            assert!(!chunks.hold(&range, NOW), "{range:?}");
        }
    }

    #[test]
    fn the_short_end_of_a_file_is_a_chunk_too() {
        let size = 3 * CHUNK + 1;
        let chunks = WarmChunks::of(size);
        chunks.note(&(3 * CHUNK..size), NOW);
        assert!(chunks.hold(&(3 * CHUNK..size), NOW));
        assert!(!chunks.hold(&(2 * CHUNK..size), NOW));
    }

    #[test]
    fn after_a_cold_look_nothing_is_taken_for_warm() {
        let chunks = WarmChunks::of(4 * CHUNK);
        chunks.note(&(0..4 * CHUNK), NOW);
        chunks.forget();
        assert!(!chunks.hold(&(0..CHUNK), NOW));
    }

    #[test]
    fn ranges_beyond_the_file_or_of_no_file_are_never_warm() {
        let none = WarmChunks::default();
        none.note(&(0..CHUNK), NOW);
        assert!(!none.hold(&(0..CHUNK), NOW));
        let chunks = WarmChunks::of(CHUNK);
        chunks.note(&(0..9 * CHUNK), NOW);
        assert!(!chunks.hold(&(0..2 * CHUNK), NOW));
    }
}
