//! The pauses between attempts at an API that does not answer.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double from half a second to half a minute. A fifth of each is chance, so that the
/// replicas of a cluster do not come back together.
#[derive(Debug)]
pub(crate) struct BackOff(Duration);

impl BackOff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause.mul_f64(fastrand::f64().mul_add(0.2, 0.8))
    }

    /// Begins anew: something has worked.
    pub(crate) fn reset(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_begin_anew() {
        let mut back_off = BackOff::new();
        let pauses: Vec<Duration> = (0..12).map(|_| back_off.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST.mul_f64(0.8));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
        assert!(pauses[11] >= LONGEST.mul_f64(0.8));
        back_off.reset();
        assert!(back_off.next() <= FIRST);
    }
}
