//! When a body last had a byte: of one endpoint, or of all of an upstream.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// The time of the last byte of any of some bodies.
#[derive(Debug)]
pub(super) struct Flow {
    began: Instant,
    /// Microseconds after `began`.
    last: AtomicU64,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            last: AtomicU64::default(),
        }
    }

    pub(super) fn note(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_micros();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.last.fetch_max(passed, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.began + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }
}
