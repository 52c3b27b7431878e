//! How often, and after which pauses, an upstream that fails in the middle is asked again.
//!
//! The first part of a download has the chances of all later ones: what a store does to it is
//! undone by a fresh address as well.

use std::time::Duration;

use tracing::debug;
use upstream::{Backoff, Deadline, FetchError};

/// How often in a row it may be asked again without a byte gained in between.
const MAX_RESUMES: u32 = 4;

/// Stalls in a row, without a byte gained in between, that end it: others may do better.
const MAX_STALLS: u32 = 2;

/// The pause before the first resume; it doubles each time, up to that before the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_millis(800);

/// The chances that are left.
#[derive(Debug)]
pub(crate) struct Resumes {
    used: u32,
    stalls: u32,
    backoff: Backoff,
}

impl Resumes {
    pub(crate) fn new() -> Self {
        Self {
            used: 0,
            stalls: 0,
            backoff: Backoff::new(FIRST_PAUSE, MAX_PAUSE),
        }
    }

    /// A byte was gained: all chances are there again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Uses up a chance; returns at its time. `false` if there is none left, or no client waits any
    /// longer. An error is none where a body just ended early.
    pub(crate) async fn again(&mut self, error: Option<&FetchError>, deadline: &Deadline) -> bool {
        self.used += 1;
        self.stalls += u32::from(error.is_some_and(FetchError::is_stall));
        if self.used > MAX_RESUMES || self.stalls >= MAX_STALLS || deadline.is_over() {
            return false;
        }
        tokio::time::sleep(self.backoff.pause()).await;
        self.backoff.lengthen();
        true
    }
}

/// The answer to `ask`, which is asked again while the store behind the registry fails. What the
/// registry says itself stands.
pub(crate) async fn through_store_failures<T, F>(
    deadline: &Deadline,
    ask: impl Fn() -> F,
) -> Result<T, FetchError>
where
    F: Future<Output = Result<T, FetchError>>,
{
    let mut resumes = Resumes::new();
    loop {
        match ask().await {
            Err(error)
                if error.is_store_failure() && resumes.again(Some(&error), deadline).await =>
            {
                debug!(error = %error.chain(), "a store failed; asking for a fresh address");
            }
            answer => return answer,
        }
    }
}
