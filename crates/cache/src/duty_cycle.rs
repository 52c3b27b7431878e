//! How long work that nobody waits for leaves the cores to those who wait.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

/// How long it works in one go. It is what a request on the same core may be late by.
const STINT: Duration = Duration::from_millis(5);

/// How many times as long it rests: it takes a tenth of a core.
const RESTS: u32 = 9;

/// No rest is longer, whatever a step took: the work must see soon that it is to stop.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// The share of one core that a long walk over the cache may take: a tenth, in stints of some milliseconds. A step of more than
/// 22 ms costs more than that: no rest is as long as it would need.
///
/// A low priority of its thread would not do: a thread that hardly runs may hold a lock that others need.
#[derive(Debug)]
pub struct DutyCycle {
    since: Cell<Instant>,
}

impl DutyCycle {
    /// The first stint begins now.
    pub fn begin() -> Self {
        Self {
            since: Cell::new(Instant::now()),
        }
    }

    /// To be called between small steps, by who holds no lock. Blocks the thread once a stint is over, for 200 ms at most.
    pub fn rest(&self) {
        if let Some(rest) = rest_after(self.since.get().elapsed()) {
            thread::sleep(rest);
            self.since.set(Instant::now());
        }
    }
}

fn rest_after(worked: Duration) -> Option<Duration> {
    (worked >= STINT).then(|| (worked * RESTS).min(LONGEST_REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stint_is_followed_by_nine_times_as_long_a_rest() {
        assert_eq!(rest_after(Duration::from_micros(4_999)), None);
        assert_eq!(rest_after(STINT), Some(STINT * 9));
        assert_eq!(
            rest_after(Duration::from_millis(20)),
            Some(Duration::from_millis(180))
        );
    }

    #[test]
    fn after_a_rest_a_new_stint_begins() {
        let duty = DutyCycle::begin();
        let long_ago = Instant::now().checked_sub(STINT * 2).unwrap();
        duty.since.set(long_ago);
        duty.rest();
        assert!(duty.since.get() >= long_ago + STINT * 20);
    }

    #[test]
    fn no_rest_keeps_the_work_from_seeing_that_it_is_to_stop() {
        assert_eq!(rest_after(Duration::from_mins(1)), Some(LONGEST_REST));
    }
}
