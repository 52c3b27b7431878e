//! When the bucket is left alone: as soon as it is silent or refuses us, and after a few failures.
//!
//! Nobody waits for a bucket in trouble twice. Reads begin again once a question that no client waits
//! for was answered; writes wait on the disk, so the next of them is that question.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    error::TierError,
    metrics::{Direction, TierMetrics},
};

/// Failures in a row after which it is left alone.
const MAX_FAILURES: u32 = 3;

/// How long it is left alone at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// How often the same trouble is worth a warning.
const WARN_AGAIN: Duration = Duration::from_mins(10);

/// The state of one direction: reads, or writes.
#[derive(Debug)]
pub(crate) struct Breaker {
    direction: Direction,
    metrics: TierMetrics,
    state: Mutex<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    failures: u32,
    open: Option<Open>,
    pause: Duration,
    warned: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: Instant,
    is_tried: bool,
}

impl Breaker {
    pub(crate) fn new(direction: Direction, metrics: TierMetrics) -> Self {
        metrics.show_left_alone(direction, false);
        Self {
            direction,
            metrics,
            state: Mutex::new(Trouble {
                failures: 0,
                open: None,
                pause: FIRST_PAUSE,
                warned: None,
            }),
        }
    }

    /// Whether the bucket is asked for a client.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().open.is_none()
    }

    /// Whether a question may go out that no client waits for: always while the bucket is well, and
    /// one at the end of each pause.
    pub(crate) fn may_try(&self) -> bool {
        let (mut state, now) = (self.state.lock(), Instant::now());
        let pause = state.pause;
        match &mut state.open {
            None => true,
            Some(open) if open.until <= now => {
                // Whoever asks may have nothing to ask after all.
                open.until = now + pause;
                open.is_tried = true;
                true
            }
            Some(_) => false,
        }
    }

    /// Notes how a request went.
    pub(crate) fn note<T>(&self, outcome: &Result<T, TierError>) {
        match outcome {
            Ok(_) | Err(TierError::Absent) => self.went_well(),
            Err(TierError::LeftAlone) => {}
            Err(error) => self.went_wrong(error),
        }
    }

    fn went_well(&self) {
        let mut state = self.state.lock();
        state.failures = 0;
        if state.open.take().is_some() {
            state.pause = FIRST_PAUSE;
            self.metrics.show_left_alone(self.direction, false);
            info!(
                direction = self.direction.as_str(),
                "the bucket of the tier answers again"
            );
        }
    }

    fn went_wrong(&self, error: &TierError) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.failures += 1;
        let at_once = matches!(error, TierError::Denied(_) | TierError::Silent(_));
        let is_first = match state.open {
            // One that began before.
            Some(open) if !open.is_tried => return,
            Some(_) => false,
            None if at_once || state.failures >= MAX_FAILURES => true,
            None => return,
        };
        let pause = state.pause;
        state.pause = (pause * 2).min(LONGEST_PAUSE);
        state.open = Some(Open {
            until: now + pause,
            is_tried: false,
        });
        if !is_first {
            debug!(%error, ?pause, "the bucket of the tier is still in trouble");
            return;
        }
        self.metrics.show_left_alone(self.direction, true);
        let direction = self.direction.as_str();
        let is_news = |warned: Instant| now.duration_since(warned) >= WARN_AGAIN;
        if state.warned.is_none_or(is_news) {
            state.warned = Some(now);
            warn!(%error, direction, "the bucket of the tier is left alone until it answers again; archway doctor tier says more");
        } else {
            debug!(%error, direction, "the bucket of the tier is left alone again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Direction::Read, TierMetrics::default())
    }

    fn fails(breaker: &Breaker, error: TierError) {
        breaker.note::<()>(&Err(error));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_refusals_open_it_at_once_and_failures_after_three() {
        for error in [
            TierError::Silent(String::new()),
            TierError::Denied(String::new()),
        ] {
            let breaker = breaker();
            fails(&breaker, error);
            assert!(!breaker.is_closed());
        }
        let breaker = breaker();
        for _ in 1..MAX_FAILURES {
            fails(&breaker, TierError::Failed(String::new()));
            assert!(breaker.is_closed());
        }
        fails(&breaker, TierError::Failed(String::new()));
        assert!(!breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_absent_object_is_an_answer() {
        let breaker = breaker();
        for _ in 0..10 {
            fails(&breaker, TierError::Absent);
        }
        assert!(breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_at_the_end_of_each_pause_and_pauses_grow() {
        let breaker = breaker();
        fails(&breaker, TierError::Silent(String::new()));
        assert!(!breaker.may_try());
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(breaker.may_try());
        assert!(!breaker.may_try(), "one at a time");
        tokio::time::advance(2 * FIRST_PAUSE).await;
        assert!(breaker.may_try(), "nothing came of it");
        fails(&breaker, TierError::Silent(String::new()));
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(!breaker.may_try(), "the pause is longer now");
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(breaker.may_try());
        breaker.note(&Ok(()));
        assert!(breaker.is_closed() && breaker.may_try());
    }
}
