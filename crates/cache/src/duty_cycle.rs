//! Pacing work that nobody waits for, so that requests have the cores.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

/// The length of one stint of work, and so the delay of a request on the same core.
const STINT: Duration = Duration::from_millis(5);

/// The length of a rest, in stints: the work takes a tenth of a core.
const REST_PER_WORK: u32 = 9;

/// The bound on a rest, however long a step took: the work must notice soon that it has to stop.
const MAX_REST: Duration = Duration::from_millis(200);

/// The share of one core that a long walk over the cache may take: a tenth, in stints of a few
/// milliseconds. A step longer than 22 ms takes more, since the rest after it is bounded.
///
/// A low thread priority would not do: a thread that hardly runs may hold a lock that others need.
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

    /// Call this between small steps, holding no lock. Once a stint is over, it blocks the thread
    /// for 200 ms at most.
    pub fn rest(&self) {
        if let Some(rest) = rest_after(self.since.get().elapsed()) {
            thread::sleep(rest);
            self.since.set(Instant::now());
        }
    }
}

fn rest_after(worked: Duration) -> Option<Duration> {
    (worked >= STINT).then(|| (worked * REST_PER_WORK).min(MAX_REST))
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
        assert_eq!(rest_after(Duration::from_mins(1)), Some(MAX_REST));
    }
}
