//! The pauses an upstream has asked for, and the pace its 429s have taught.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::TooLong;

/// The pause after a 429 that names none; it doubles while they go on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The shortest pause, whatever the upstream says: `Retry-After: 0` must not become a loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// The time between two calls after the first 429; it doubles with each, and shrinks while all goes well.
const FIRST_PACE: Duration = Duration::from_millis(50);
const SLOWEST_PACE: Duration = Duration::from_secs(1);
/// Below this it is no pace any more.
const NO_PACE: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    strikes: u32,
    last_strike: Option<Instant>,
    pace: Duration,
    next: Option<Instant>,
}

impl Hold {
    pub(super) async fn pass(&self, deadline: Instant) -> Result<(), TooLong> {
        loop {
            let now = Instant::now();
            let slot = self.with(|state| state.claim(now, deadline));
            let slot = slot.map_err(|slot| TooLong(slot - now))?;
            if slot <= now {
                return Ok(());
            }
            sleep_until(slot).await;
            // The pause may have been made longer meanwhile.
            if self.remaining(Instant::now()).is_none() {
                return Ok(());
            }
        }
    }

    pub(super) fn extend(
        &self,
        asked: Instant,
        now: Instant,
        retry_after: Option<Duration>,
    ) -> Duration {
        self.with(|state| {
            // Calls that were under way together are throttled together: that is one strike.
            if state.last_strike.is_none_or(|last| last <= asked) {
                state.strikes += 1;
                state.pace = (state.pace * 2).clamp(FIRST_PACE, SLOWEST_PACE);
                state.last_strike = Some(now);
            }
            let doubled = FIRST_PAUSE.saturating_mul(1 << (state.strikes - 1).min(10));
            let pause = retry_after.unwrap_or(doubled.min(LONGEST_PAUSE));
            let until = now + pause.max(SHORTEST_PAUSE);
            let until = state.until.map_or(until, |before| before.max(until));
            state.until = Some(until);
            until - now
        })
    }

    pub(super) fn relax(&self) {
        self.with(|state| {
            state.strikes = 0;
            state.last_strike = None;
            state.pace -= state.pace / 8;
            if state.pace < NO_PACE {
                state.pace = Duration::ZERO;
            }
        });
    }

    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.with(|state| state.until.filter(|until| *until > now))
            .map(|until| until - now)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// The time of a call that comes now; an error where that is after its deadline, and then it is not taken.
    fn claim(&mut self, now: Instant, deadline: Instant) -> Result<Instant, Instant> {
        let mut slot = now.max(self.until.unwrap_or(now));
        if !self.pace.is_zero() {
            slot = slot.max(self.next.unwrap_or(slot));
        }
        // Where there is nothing to wait for, a deadline that is over does not matter.
        if slot > deadline.max(now) {
            return Err(slot);
        }
        self.next = Some(slot + self.pace);
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long a call waits that comes at `now`, if it waits for so long.
    fn wait(hold: &Hold, now: Instant, patience: Duration) -> Result<Duration, Duration> {
        let slot = hold.with(|state| state.claim(now, now + patience));
        slot.map(|slot| slot - now).map_err(|slot| slot - now)
    }

    #[test]
    fn nothing_is_held_before_a_429() {
        let (hold, now) = (Hold::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(wait(&hold, now, SECOND), Ok(Duration::ZERO));
        }
    }

    #[test]
    fn the_pause_asked_for_is_kept_by_all_and_then_they_go_one_by_one() {
        let (hold, now) = (Hold::default(), Instant::now());
        hold.extend(now, now, Some(7 * SECOND));
        assert_eq!(wait(&hold, now, 5 * SECOND), Err(7 * SECOND));
        assert_eq!(wait(&hold, now, 20 * SECOND), Ok(7 * SECOND));
        assert_eq!(wait(&hold, now, 20 * SECOND), Ok(7 * SECOND + FIRST_PACE));
    }

    #[test]
    fn who_never_waits_may_go_while_nothing_is_held() {
        let (hold, now) = (Hold::default(), Instant::now());
        let slot = hold.with(|state| state.claim(now + SECOND, now));
        assert_eq!(slot, Ok(now + SECOND));
    }

    #[tokio::test]
    async fn who_cannot_wait_that_long_is_told_at_once() {
        let (hold, now) = (Hold::default(), Instant::now());
        hold.extend(now, now, Some(60 * SECOND));
        let told = hold.pass(now + 20 * SECOND).await.unwrap_err();
        assert!(told.0 > 50 * SECOND, "{told:?}");
    }

    #[test]
    fn without_a_word_the_pause_doubles_while_429s_go_on() {
        let (hold, mut now) = (Hold::default(), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = hold.extend(now, now, None);
            assert_eq!(pause, seconds * SECOND);
            now += pause;
        }
        hold.relax();
        assert_eq!(hold.extend(now, now, None), FIRST_PAUSE);
    }

    #[test]
    fn calls_throttled_together_are_one_strike() {
        let (hold, asked) = (Hold::default(), Instant::now());
        let now = asked + SECOND;
        for _ in 0..100 {
            assert_eq!(hold.extend(asked, now, None), FIRST_PAUSE);
        }
    }

    #[test]
    fn asked_to_come_again_at_once_we_do_not() {
        let (hold, now) = (Hold::default(), Instant::now());
        let pause = hold.extend(now, now, Some(Duration::ZERO));
        assert_eq!(pause, SHORTEST_PAUSE);
    }

    #[test]
    fn the_pace_is_forgotten_when_all_goes_well() {
        let (hold, mut now) = (Hold::default(), Instant::now());
        now += hold.extend(now, now, None);
        for _ in 0..40 {
            now += wait(&hold, now, SECOND).unwrap();
            hold.relax();
        }
        assert_eq!(wait(&hold, now, SECOND), Ok(Duration::ZERO));
        assert_eq!(wait(&hold, now, SECOND), Ok(Duration::ZERO));
    }
}
