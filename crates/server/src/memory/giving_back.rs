//! When free memory is given back to the kernel: after it has grown, and not all the time.
//!
//! What is free shows nowhere: memory that a flood of clients has left looks like memory in use. So
//! it is tried while memory is well above its least, and less often while that brings nothing.

use std::time::Duration;

use tokio::time::Instant;

/// How far memory is above its least before giving back is tried.
const WORTH_IT: u64 = 8 << 20;

/// After an attempt that gave something back.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// After one that gave next to nothing.
const LONG_PAUSE: Duration = Duration::from_secs(20);

/// What an attempt has to bring so that the next comes soon.
const GAIN: u64 = 1 << 20;

/// When to try.
#[derive(Debug)]
pub(super) struct GivingBack {
    /// The least that the process had.
    least: u64,
    next: Instant,
}

impl GivingBack {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            least: u64::MAX,
            next: now + SHORT_PAUSE,
        }
    }

    /// Whether to try it now, with `used` bytes.
    pub(super) fn is_due(&mut self, used: u64, now: Instant) -> bool {
        self.least = self.least.min(used);
        now >= self.next && used >= self.least.saturating_add(WORTH_IT)
    }

    /// Notes what came of an attempt.
    pub(super) fn tried(&mut self, before: u64, after: u64, now: Instant) {
        self.least = self.least.min(after);
        let has_gained = before.saturating_sub(after) >= GAIN;
        let pause = if has_gained { SHORT_PAUSE } else { LONG_PAUSE };
        self.next = now + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_when_memory_has_grown_and_less_often_where_that_brings_nothing() {
        let start = Instant::now();
        let mut giving_back = GivingBack::new(start);
        assert!(!giving_back.is_due(10 * MIB, start));
        let first = start + SHORT_PAUSE;
        assert!(
            !giving_back.is_due(17 * MIB, first),
            "it has not grown by much"
        );
        assert!(giving_back.is_due(40 * MIB, first));
        giving_back.tried(40 * MIB, 39 * MIB + 1, first);
        assert!(!giving_back.is_due(40 * MIB, first + SHORT_PAUSE));
        assert!(giving_back.is_due(40 * MIB, first + LONG_PAUSE));
        let second = first + LONG_PAUSE;
        giving_back.tried(40 * MIB, 20 * MIB, second);
        assert!(giving_back.is_due(20 * MIB, second + SHORT_PAUSE));
        giving_back.tried(20 * MIB, 12 * MIB, second + SHORT_PAUSE);
        assert!(!giving_back.is_due(12 * MIB, second + LONG_PAUSE));
    }
}
