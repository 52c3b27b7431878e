//! The time a client may wait for its next byte: one budget of everything that is done meanwhile.
//!
//! Connections, tokens, redirects, endpoints, repeats and resumes share it, and each gets what is
//! left. The clock stands still while a rate limit is waited out, ours or the upstream's: a client
//! can wait for that, and nobody has a better answer. `patience` bounds that wait, and all of it
//! together: what comes after a rate limit has what is left of `patience` and a second.

use std::{pin::pin, sync::Arc, time::Duration};

use config::UpstreamSettings;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// The budget at default settings. No client is to wait for 10 s; a second is for what is done here.
const LONGEST_WAIT: Duration = Duration::from_secs(9);

/// What a budget has beside the longest single call that the settings allow.
const BESIDE_ONE_CALL: Duration = Duration::from_secs(1);

/// What it has beside the longest wait for a rate limit: the call that was waited for is still to be
/// made.
const BESIDE_PATIENCE: Duration = Duration::from_secs(1);

/// How long the last thing that may help has, however long the others have taken.
const LAST_MOMENT: Duration = Duration::from_millis(800);

/// When a client's wait for its next byte ends. A clone runs on the same clock.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Arc<Clock>,
    /// On the clock.
    end: Duration,
    /// With the time in which the clock stood still for rate limits.
    longest: Duration,
}

/// A clock that stands still while at least one wait holds it.
#[derive(Debug)]
struct Clock {
    started: Instant,
    stops: Mutex<Stops>,
}

#[derive(Debug, Default)]
struct Stops {
    /// How long it has stood still.
    so_far: Still,
    /// Since when it stands still, and for how many waits.
    now: Option<(Instant, usize)>,
}

/// Time that does not count.
#[derive(Clone, Copy, Debug, Default)]
struct Still {
    /// Waited for a rate limit.
    held: Duration,
    /// Given back, since bytes came.
    given_back: Duration,
}

impl Still {
    fn and(self, more: Self) -> Self {
        Self {
            held: self.held + more.held,
            given_back: self.given_back + more.given_back,
        }
    }

    /// What has come since it was `before`.
    fn since(self, before: Self) -> Self {
        Self {
            held: self.held.saturating_sub(before.held),
            given_back: self.given_back.saturating_sub(before.given_back),
        }
    }
}

impl Deadline {
    /// The wait for an answer of an upstream with these settings begins. Settings that let a single
    /// call take longer make the whole longer.
    pub fn new(settings: &UpstreamSettings) -> Self {
        let call = settings.header_timeout.max(settings.idle_timeout);
        let end = LONGEST_WAIT.max(call.saturating_add(BESIDE_ONE_CALL));
        let patience = settings.limits.patience.saturating_add(BESIDE_PATIENCE);
        Self::since(Instant::now(), end, end.max(patience))
    }

    fn since(started: Instant, end: Duration, longest: Duration) -> Self {
        Self {
            clock: Arc::new(Clock {
                started,
                stops: Mutex::default(),
            }),
            end,
            longest,
        }
    }

    /// A wait of the same length, which began when a byte came.
    #[must_use]
    pub fn renewed(&self, last_byte: Instant) -> Self {
        Self::since(last_byte, self.end, self.longest)
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
        self.left_with(Still::default(), now)
    }

    /// The rest of the wait if the clock had stood still for so much more.
    fn left_with(&self, more: Still, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.clock.started);
        let Still { held, given_back } = self.clock.still(now).and(more);
        let counted = passed.saturating_sub(given_back);
        let on_clock = self.end.saturating_sub(counted.saturating_sub(held));
        on_clock.min(self.longest.saturating_sub(counted))
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
        let passed = now.saturating_duration_since(self.clock.started);
        let Still { held, given_back } = self.clock.still(now);
        let time = passed.saturating_sub(held + given_back);
        Self {
            clock: Arc::clone(&self.clock),
            end: time + self.left_at(now) / 2,
            longest: self.longest,
        }
    }

    /// The output of `work`; `None` if the wait is over before.
    pub async fn bound<F: Future>(&self, work: F) -> Option<F::Output> {
        bound_by(work, || self.left()).await
    }

    /// The output of `work`, which a client's answer depends on after everything else has failed: it
    /// has what is left, and a moment at least.
    pub async fn bound_last<F: Future>(&self, work: F) -> Option<F::Output> {
        let time = self.left().max(LAST_MOMENT);
        timeout(time, work).await.ok()
    }

    /// The output of `work` that was begun for another client, which waits until `other`; `None` if
    /// this wait is over before. What the other's clock stands still, this one does too.
    pub async fn bound_with<F: Future>(&self, other: &Self, work: F) -> Option<F::Output> {
        if Arc::ptr_eq(&self.clock, &other.clock) {
            return Some(work.await);
        }
        let before = other.clock.still(Instant::now());
        let since = |now| other.clock.still(now).since(before);
        let left = || {
            let now = Instant::now();
            self.left_with(since(now), now)
        };
        let output = bound_by(work, left).await;
        // Not under the lock: the other may wait with this one.
        let more = since(Instant::now());
        let so_far = &mut self.clock.stops.lock().so_far;
        *so_far = so_far.and(more);
        output
    }

    /// Gives back time that was well spent, and never more than has passed.
    pub(crate) fn credit(&self, time: Duration) {
        self.credit_at(time, Instant::now());
    }

    fn credit_at(&self, time: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.clock.started);
        let given_back = &mut self.clock.stops.lock().so_far.given_back;
        *given_back = (*given_back + time).min(passed);
    }

    /// Runs `wait` while the clock stands still.
    pub(crate) async fn hold<F: Future>(&self, wait: F) -> F::Output {
        let _held = self.clock.hold(Instant::now());
        wait.await
    }
}

/// The output of `work`; `None` once nothing is `left` before it is there.
async fn bound_by<F: Future>(work: F, left: impl Fn() -> Duration) -> Option<F::Output> {
    let mut work = pin!(work);
    loop {
        if let Ok(output) = timeout(left(), &mut work).await {
            return Some(output);
        }
        // The clock may have stood still meanwhile.
        if left().is_zero() {
            return None;
        }
    }
}

impl Clock {
    fn still(&self, now: Instant) -> Still {
        let stops = self.stops.lock();
        let current = stops
            .now
            .map(|(since, _)| now.saturating_duration_since(since));
        let current = Still {
            held: current.unwrap_or_default(),
            ..Still::default()
        };
        stops.so_far.and(current)
    }

    fn hold(&self, now: Instant) -> HoldGuard<'_> {
        let mut stops = self.stops.lock();
        stops.now = match stops.now {
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
        let mut stops = self.0.stops.lock();
        match stops.now {
            Some((since, 1)) => {
                stops.so_far.held += now.saturating_duration_since(since);
                stops.now = None;
            }
            Some((since, waits)) => stops.now = Some((since, waits - 1)),
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

    /// A wait of this length that begins now, and may stand still ever so long.
    fn after(wait: Duration) -> Deadline {
        Deadline::since(Instant::now(), wait, Duration::MAX)
    }

    #[test]
    fn what_one_call_takes_the_next_one_lacks() {
        let deadline = after(9 * SECOND);
        let start = deadline.started();
        assert_eq!(deadline.left_at(start + 3 * SECOND), 6 * SECOND);
        assert_eq!(deadline.left_at(start + 10 * SECOND), Duration::ZERO);
    }

    #[test]
    fn the_first_of_two_endpoints_gets_half_and_the_second_the_rest() {
        let deadline = after(8 * SECOND);
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
        let deadline = after(9 * SECOND);
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

    #[test]
    fn what_comes_after_a_rate_limit_has_no_wait_of_its_own() {
        let deadline = Deadline::since(Instant::now(), 9 * SECOND, 16 * SECOND);
        let start = deadline.started();
        let held = deadline.clock.hold(start + SECOND);
        held.release(start + 14 * SECOND);
        mem::forget(held);
        assert_eq!(deadline.left_at(start + 14 * SECOND), 2 * SECOND);
        let first = deadline.half_at(start + 14 * SECOND);
        assert_eq!(first.left_at(start + 14 * SECOND), SECOND);
        assert_eq!(deadline.left_at(start + 16 * SECOND), Duration::ZERO);
        let renewed = deadline.renewed(start + 14 * SECOND);
        assert_eq!(renewed.left_at(start + 14 * SECOND), 9 * SECOND);
    }

    #[test]
    fn time_in_which_bytes_came_is_given_back_of_the_longest_wait_too() {
        let deadline = Deadline::since(Instant::now(), 9 * SECOND, 16 * SECOND);
        let now = deadline.started() + 20 * SECOND;
        assert_eq!(deadline.left_at(now), Duration::ZERO);
        deadline.credit_at(15 * SECOND, now);
        assert_eq!(deadline.left_at(now), 4 * SECOND);
        deadline.credit_at(15 * SECOND, now);
        assert_eq!(deadline.left_at(now), 9 * SECOND, "no more than has passed");
    }

    #[tokio::test]
    async fn work_ends_with_the_wait_and_what_is_there_is_taken_even_then() {
        let deadline = after(SOON);
        assert_eq!(deadline.bound(pending::<()>()).await, None);
        assert!(deadline.is_over());
        assert_eq!(deadline.bound(async { 1 }).await, Some(1));
    }

    #[tokio::test]
    async fn what_may_help_at_last_has_a_moment_of_its_own() {
        let over = after(Duration::ZERO);
        assert_eq!(over.bound_last(tokio::task::yield_now()).await, Some(()));
        assert_eq!(over.bound_last(pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_held_clock_ends_no_work_and_goes_on_when_the_wait_is_dropped() {
        let deadline = after(2 * SOON);
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
        let (other, mine) = (after(SOON / 5), after(2 * SOON));
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
            let deadline = Deadline::new(&config.upstreams.find(&host).unwrap());
            (deadline.end, deadline.longest)
        };
        assert_eq!(wait(""), (9 * SECOND, 16 * SECOND));
        let both = |seconds| (seconds * SECOND, seconds * SECOND);
        assert_eq!(wait("header_timeout = \"30s\""), both(31));
        assert_eq!(wait("idle_timeout = \"1m\""), both(61));
        assert_eq!(wait("patience = \"0s\""), both(9));
        assert_eq!(wait("patience = \"1m\""), (9 * SECOND, 61 * SECOND));
    }
}
