//! Backing off from an endpoint that answers 429, and the spacing of calls after that.
//!
//! The pause holds back all callers. After it, calls go one at a time, at intervals that shrink
//! with each good answer.
//!
//! No single answer holds all callers back for long: a pause that was asked to be longer than
//! [`LONGEST_HOLD`] ends there for one call, whose answer decides about the others.
//!
//! Once a call has waited as long as a client can, and in vain, the others do not wait for the same:
//! they are told at once until one is answered.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::WaitTooLong;
use crate::policy::backoff::Backoff;

/// The pause after a 429 without `Retry-After`; it doubles while they go on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The shortest pause, whatever the upstream asks for: `Retry-After: 0` must not become a loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause that one answer makes, whatever it asks for.
const LONGEST_HOLD: Duration = Duration::from_mins(5);

/// How long the other calls wait for the answer to the one that goes first after such a pause; then
/// the next one goes.
const TRIAL: Duration = Duration::from_secs(2);

/// The time between two calls after the first 429; it doubles with each, and shrinks with each good
/// answer.
const FIRST_SPACING: Duration = Duration::from_millis(50);
const LONGEST_SPACING: Duration = Duration::from_secs(1);
/// A spacing below this is dropped.
const SHORTEST_SPACING: Duration = Duration::from_millis(5);

/// The state that an endpoint's 429s leave behind. All calls to the endpoint share it.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<ThrottleState>);

#[derive(Debug)]
struct ThrottleState {
    /// The end of the pause.
    until: Option<Instant>,
    /// Whether the upstream asked for a longer pause: then calls go one at a time after it, until
    /// one is answered.
    on_trial: bool,
    /// Whether a call has given up after its wait, since the last good answer.
    is_in_vain: bool,
    backoff: Backoff,
    /// The last 429; none since a good answer.
    last_throttled: Option<Instant>,
    /// The first 429 since calls were last spaced.
    since: Option<Instant>,
    spacing: Duration,
    /// The earliest time of the next call.
    next: Option<Instant>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(ThrottleState {
            until: None,
            on_trial: false,
            is_in_vain: false,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            last_throttled: None,
            since: None,
            spacing: Duration::ZERO,
            next: None,
        }))
    }
}

impl Throttle {
    /// Waits until the endpoint may be asked again.
    pub(crate) async fn acquire(&self, deadline: Instant) -> Result<(), WaitTooLong> {
        loop {
            let now = Instant::now();
            let claimed = self.0.lock().claim(now, deadline);
            let start = claimed.map_err(|start| WaitTooLong(start - now))?;
            if start <= now {
                return Ok(());
            }
            sleep_until(start).await;
            // Another 429 may have made the pause longer.
            if self.remaining().is_none() {
                return Ok(());
            }
        }
    }

    /// Backs off after a 429 to a call that went out at `asked`. Returns the rest of the pause.
    pub(crate) fn throttled(&self, asked: Instant, retry_after: Option<Duration>) -> Duration {
        self.throttled_at(asked, Instant::now(), retry_after)
    }

    /// Whether calls are paused or spaced for a 429.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.lock().since.is_some()
    }

    /// Holds calls back for a pause that was asked of somebody else. What goes wrong here is counted here
    /// alone.
    pub(crate) fn pause(&self, left: Duration) {
        let now = Instant::now();
        let mut state = self.0.lock();
        let until = now + left.min(LONGEST_HOLD);
        let until = state.until.map_or(until, |before| before.max(until));
        state.until = Some(until);
    }

    fn throttled_at(
        &self,
        asked: Instant,
        now: Instant,
        retry_after: Option<Duration>,
    ) -> Duration {
        let mut state = self.0.lock();
        state.since.get_or_insert(now);
        match state.last_throttled {
            // Calls that were in flight together are throttled together: that counts once.
            Some(last) if last > asked => {}
            last => {
                if last.is_some() {
                    state.backoff.lengthen();
                }
                state.spacing = (state.spacing * 2).clamp(FIRST_SPACING, LONGEST_SPACING);
                state.last_throttled = Some(now);
            }
        }
        let pause = retry_after.unwrap_or(state.backoff.pause());
        let until = now + pause.clamp(SHORTEST_PAUSE, LONGEST_HOLD);
        state.on_trial |= pause > LONGEST_HOLD;
        let until = state.until.map_or(until, |before| before.max(until));
        state.until = Some(until);
        until - now
    }

    /// Notes that a call has waited for as long as its client can, and was still throttled.
    pub(crate) fn gave_up(&self) {
        self.0.lock().is_in_vain = true;
    }

    /// Whether a wait would most likely be in vain: the last one was.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.0.lock().is_in_vain
    }

    /// Eases off after any other answer than a 429. Returns how long the limit has lasted once no call
    /// is spaced any longer.
    pub(crate) fn answered(&self) -> Option<Duration> {
        let state = &mut *self.0.lock();
        state.backoff.reset();
        state.last_throttled = None;
        state.is_in_vain = false;
        if std::mem::take(&mut state.on_trial) {
            state.next = None;
        }
        state.spacing -= state.spacing / 8;
        if state.spacing >= SHORTEST_SPACING {
            return None;
        }
        state.spacing = Duration::ZERO;
        Some(state.since.take()?.elapsed())
    }

    /// The rest of the pause.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        let now = Instant::now();
        let until = self.0.lock().until.filter(|until| *until > now);
        until.map(|until| until - now)
    }
}

impl ThrottleState {
    /// The time of a call that comes now. If that is after its deadline, it is an error, and the
    /// time is not taken.
    fn claim(&mut self, now: Instant, deadline: Instant) -> Result<Instant, Instant> {
        let mut start = now.max(self.until.unwrap_or(now));
        if !self.spacing.is_zero() {
            start = start.max(self.next.unwrap_or(start));
        }
        // Without a wait, a deadline in the past does not matter.
        if start > deadline.max(now) {
            return Err(start);
        }
        let spacing = if self.on_trial { TRIAL } else { self.spacing };
        self.next = Some(start + spacing);
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The wait of a call at `now`; an error if it is longer than `longest`.
    fn wait(throttle: &Throttle, now: Instant, longest: Duration) -> Result<Duration, Duration> {
        let start = throttle.0.lock().claim(now, now + longest);
        start.map(|start| start - now).map_err(|start| start - now)
    }

    #[test]
    fn no_call_waits_before_a_429() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(wait(&throttle, now, SECOND), Ok(Duration::ZERO));
        }
    }

    #[test]
    fn all_calls_wait_for_the_pause_and_then_go_one_by_one() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        throttle.throttled_at(now, now, Some(7 * SECOND));
        assert_eq!(wait(&throttle, now, 5 * SECOND), Err(7 * SECOND));
        assert_eq!(wait(&throttle, now, 20 * SECOND), Ok(7 * SECOND));
        assert_eq!(
            wait(&throttle, now, 20 * SECOND),
            Ok(7 * SECOND + FIRST_SPACING)
        );
    }

    #[test]
    fn a_call_past_its_deadline_goes_while_there_is_no_pause() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let start = throttle.0.lock().claim(now + SECOND, now);
        assert_eq!(start, Ok(now + SECOND));
    }

    #[tokio::test]
    async fn a_call_that_cannot_wait_that_long_fails_at_once() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        throttle.throttled_at(now, now, Some(60 * SECOND));
        let error = throttle.acquire(now + 20 * SECOND).await.unwrap_err();
        assert!(error.0 > 50 * SECOND, "{error:?}");
    }

    #[test]
    fn without_retry_after_the_pause_doubles_while_429s_go_on() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = throttle.throttled_at(now, now, None);
            assert_eq!(pause, seconds * SECOND);
            now += pause;
        }
        throttle.answered();
        assert_eq!(throttle.throttled_at(now, now, None), FIRST_PAUSE);
    }

    #[test]
    fn calls_throttled_together_count_once() {
        let (throttle, asked) = (Throttle::default(), Instant::now());
        let now = asked + SECOND;
        for _ in 0..100 {
            assert_eq!(throttle.throttled_at(asked, now, None), FIRST_PAUSE);
        }
    }

    #[test]
    fn retry_after_zero_still_waits_the_shortest_pause() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let pause = throttle.throttled_at(now, now, Some(Duration::ZERO));
        assert_eq!(pause, SHORTEST_PAUSE);
    }

    #[test]
    fn no_answer_holds_all_calls_back_for_longer_than_minutes() {
        let (throttle, asked) = (Throttle::default(), Instant::now());
        let pause = throttle.throttled_at(asked, asked, Some(3600 * SECOND));
        assert_eq!(pause, LONGEST_HOLD);
        assert!(wait(&throttle, asked, 60 * SECOND).is_err());

        let now = asked + LONGEST_HOLD;
        assert_eq!(wait(&throttle, now, Duration::ZERO), Ok(Duration::ZERO));
        let others = wait(&throttle, now, Duration::ZERO);
        assert_eq!(
            others,
            Err(TRIAL),
            "one goes, the others wait for its answer"
        );
        throttle.throttled_at(now, now, Some(3600 * SECOND));
        assert_eq!(wait(&throttle, now, 60 * SECOND), Err(LONGEST_HOLD));

        let now = now + LONGEST_HOLD;
        assert_eq!(wait(&throttle, now, Duration::ZERO), Ok(Duration::ZERO));
        throttle.answered();
        let next = wait(&throttle, now, SECOND).unwrap();
        assert!(next < SECOND, "no longer on trial: {next:?}");
    }

    #[test]
    fn good_answers_bring_the_spacing_back_to_zero() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        now += throttle.throttled_at(now, now, None);
        for _ in 0..40 {
            now += wait(&throttle, now, SECOND).unwrap();
            throttle.answered();
        }
        assert_eq!(wait(&throttle, now, SECOND), Ok(Duration::ZERO));
        assert_eq!(wait(&throttle, now, SECOND), Ok(Duration::ZERO));
    }
}
