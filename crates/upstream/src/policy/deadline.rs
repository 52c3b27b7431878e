//! The time a client may wait for its next byte: one budget of everything that is done meanwhile.
//!
//! Connections, tokens, redirects, endpoints, repeats and resumes share it, and each gets what is
//! left. The clock stands still while a rate limit is waited out, ours or the upstream's: a client
//! can wait for that, and nobody has a better answer. `patience` bounds that wait.

use std::{pin::pin, sync::Arc, time::Duration};

use config::UpstreamSettings;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// The budget at default settings. No client is to wait for 10 s; a second is for what is done here.
const LONGEST_WAIT: Duration = Duration::from_secs(9);

/// What a budget has beside the longest single call that the settings allow.
const BESIDE_ONE_CALL: Duration = Duration::from_secs(1);

/// When a client's wait for its next byte ends. A clone runs on the same clock.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Arc<Clock>,
    /// On the clock.
    end: Duration,
}

/// A clock that stands still while at least one wait holds it.
#[derive(Debug)]
struct Clock {
    started: Instant,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// How long it has stood still.
    total: Duration,
    /// Since when it stands still, and for how many waits.
    now: Option<(Instant, usize)>,
}

impl Deadline {
    /// The wait for an answer of an upstream with these settings begins. Settings that let a single
    /// call take longer make the whole longer.
    pub fn new(settings: &UpstreamSettings) -> Self {
        let call = settings.header_timeout.max(settings.idle_timeout);
        Self::after(LONGEST_WAIT.max(call.saturating_add(BESIDE_ONE_CALL)))
    }

    /// A wait of this length that begins now.
    fn after(wait: Duration) -> Self {
        Self::since(Instant::now(), wait)
    }

    fn since(started: Instant, wait: Duration) -> Self {
        Self {
            clock: Arc::new(Clock {
                started,
                held: Mutex::default(),
            }),
            end: wait,
        }
    }

    /// A wait of the same length, which began when a byte came.
    #[must_use]
    pub fn renewed(&self, last_byte: Instant) -> Self {
        Self::since(last_byte, self.end)
    }

    /// When the wait began.
    pub(crate) fn started(&self) -> Instant {
        self.clock.started
    }

    /// The rest of the wait; zero when it is over.
    pub fn left(&self) -> Duration {
        self.left_at(Instant::now())
    }

    fn left_at(&self, now: Instant) -> Duration {
        self.end.saturating_sub(self.clock.time(now))
    }

    /// The rest of the wait if the clock had stood still for `credit` more.
    fn left_with(&self, credit: Duration) -> Duration {
        (self.end + credit).saturating_sub(self.clock.time(Instant::now()))
    }

    /// Whether the wait is over.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Half of the rest: the share of an endpoint after which another is asked.
    pub(crate) fn half(&self) -> Self {
        self.half_at(Instant::now())
    }

    fn half_at(&self, now: Instant) -> Self {
        let time = self.clock.time(now);
        Self {
            clock: Arc::clone(&self.clock),
            end: time + self.end.saturating_sub(time) / 2,
        }
    }

    /// The output of `work`; `None` if the wait is over before.
    pub async fn bound<F: Future>(&self, work: F) -> Option<F::Output> {
        self.bound_by(work, || self.left()).await
    }

    /// The output of `work` that was begun for another client, which waits until `other`; `None` if
    /// this wait is over before. What the other's clock stands still, this one does too.
    pub async fn bound_with<F: Future>(&self, other: &Self, work: F) -> Option<F::Output> {
        if Arc::ptr_eq(&self.clock, &other.clock) {
            return Some(work.await);
        }
        let before = other.clock.held(Instant::now());
        let credit = || other.clock.held(Instant::now()).saturating_sub(before);
        let output = self.bound_by(work, || self.left_with(credit())).await;
        self.clock.held.lock().total += credit();
        output
    }

    async fn bound_by<F: Future>(&self, work: F, left: impl Fn() -> Duration) -> Option<F::Output> {
        let mut work = pin!(work);
        loop {
            let rest = left();
            if let Ok(output) = timeout(rest, &mut work).await {
                return Some(output);
            }
            // The clock may have stood still meanwhile.
            if left().is_zero() {
                return None;
            }
        }
    }

    /// Gives back time that was well spent, and never more than has passed.
    pub(crate) fn credit(&self, time: Duration) {
        let passed = self.clock.started.elapsed();
        let mut held = self.clock.held.lock();
        held.total = (held.total + time).min(passed);
    }

    /// Runs `wait` while the clock stands still.
    pub(crate) async fn hold<F: Future>(&self, wait: F) -> F::Output {
        let _held = self.clock.hold(Instant::now());
        wait.await
    }
}

impl Clock {
    fn time(&self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.started);
        passed.saturating_sub(self.held(now))
    }

    fn held(&self, now: Instant) -> Duration {
        let held = self.held.lock();
        let current = held
            .now
            .map(|(since, _)| now.saturating_duration_since(since));
        held.total + current.unwrap_or_default()
    }

    fn hold(&self, now: Instant) -> HoldGuard<'_> {
        let mut held = self.held.lock();
        held.now = match held.now {
            Some((since, waits)) => Some((since, waits + 1)),
            None => Some((now, 1)),
        };
        HoldGuard(self)
    }
}

/// The clock stands still until the last of these is dropped.
struct HoldGuard<'a>(&'a Clock);

impl HoldGuard<'_> {
    fn release(&self, now: Instant) {
        let mut held = self.0.held.lock();
        match held.now {
            Some((since, 1)) => {
                held.total += now.saturating_duration_since(since);
                held.now = None;
            }
            Some((since, waits)) => held.now = Some((since, waits - 1)),
            None => {}
        }
    }
}

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        self.release(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, mem};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SOON: Duration = Duration::from_millis(50);

    #[test]
    fn what_one_call_takes_the_next_one_lacks() {
        let deadline = Deadline::after(9 * SECOND);
        let start = deadline.started();
        assert_eq!(deadline.left_at(start + 3 * SECOND), 6 * SECOND);
        assert_eq!(deadline.left_at(start + 10 * SECOND), Duration::ZERO);
    }

    #[test]
    fn the_first_of_two_endpoints_gets_half_and_the_second_the_rest() {
        let deadline = Deadline::after(8 * SECOND);
        let start = deadline.started();
        let first = deadline.half_at(start + 2 * SECOND);
        assert_eq!(first.left_at(start + 2 * SECOND), 3 * SECOND);
        assert_eq!(first.left_at(start + 5 * SECOND), Duration::ZERO);
        assert_eq!(deadline.left_at(start + 5 * SECOND), 3 * SECOND);
        let third = deadline.half_at(start + 9 * SECOND);
        assert_eq!(third.left_at(start + 9 * SECOND), Duration::ZERO);
    }

    #[test]
    fn the_clock_stands_still_while_a_rate_limit_is_waited_out() {
        let deadline = Deadline::after(9 * SECOND);
        let start = deadline.started();
        let held = deadline.clock.hold(start + SECOND);
        let beside = deadline.clock.hold(start + 4 * SECOND);
        assert_eq!(deadline.left_at(start + 9 * SECOND), 8 * SECOND);
        held.release(start + 10 * SECOND);
        mem::forget(held);
        assert_eq!(
            deadline.left_at(start + 11 * SECOND),
            8 * SECOND,
            "one waits still"
        );
        beside.release(start + 14 * SECOND);
        mem::forget(beside);
        assert_eq!(deadline.left_at(start + 16 * SECOND), 6 * SECOND);
    }

    #[tokio::test]
    async fn work_ends_with_the_wait_and_what_is_there_is_taken_even_then() {
        let deadline = Deadline::after(SOON);
        assert_eq!(deadline.bound(pending::<()>()).await, None);
        assert!(deadline.is_over());
        assert_eq!(deadline.bound(async { 1 }).await, Some(1));
    }

    #[tokio::test]
    async fn a_held_clock_ends_no_work_and_goes_on_when_the_wait_is_dropped() {
        let deadline = Deadline::after(2 * SOON);
        let work = async {
            let held = timeout(4 * SOON, deadline.hold(pending::<()>())).await;
            assert!(held.is_err());
            pending::<()>().await;
        };
        assert_eq!(deadline.bound(work).await, None);
        assert!(deadline.started().elapsed() >= 6 * SOON);
    }

    #[tokio::test]
    async fn who_joins_anothers_call_has_its_own_deadline_and_the_others_waits_for_rates() {
        let (other, mine) = (Deadline::after(SOON / 5), Deadline::after(2 * SOON));
        let calls = async {
            let _ = timeout(4 * SOON, other.hold(pending::<()>())).await;
            pending::<()>().await;
        };
        assert_eq!(mine.bound_with(&other, calls).await, None);
        assert!(mine.started().elapsed() >= 6 * SOON);
        assert!(mine.is_over());
    }

    #[test]
    fn settings_that_let_one_call_take_longer_make_the_whole_longer() {
        let wait = |lines: &str| {
            let text = format!("[upstream.\"registry.example\"]\n{lines}");
            let config = config::Config::parse("archway.toml", &text).unwrap();
            let host = "registry.example".parse().unwrap();
            Deadline::new(&config.upstreams.find(&host).unwrap()).end
        };
        assert_eq!(wait(""), 9 * SECOND);
        assert_eq!(wait("header_timeout = \"30s\""), 31 * SECOND);
        assert_eq!(wait("idle_timeout = \"1m\""), 61 * SECOND);
    }
}
