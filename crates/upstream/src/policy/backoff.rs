//! Exponential backoff.

use std::time::Duration;

/// Pauses that double from one failure to the next, up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    pause: Duration,
}

impl Backoff {
    /// Begins with the pause `first`; no pause is longer than `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            pause: first,
        }
    }

    /// The pause after the next failure.
    pub const fn pause(&self) -> Duration {
        self.pause
    }

    /// Doubles the pause.
    pub fn lengthen(&mut self) {
        self.pause = self.pause.saturating_mul(2).min(self.longest);
    }

    /// Begins again with the first pause.
    pub fn reset(&mut self) {
        self.pause = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for seconds in [1, 2, 4, 5, 5] {
            assert_eq!(backoff.pause(), Duration::from_secs(seconds));
            backoff.lengthen();
        }
        backoff.reset();
        assert_eq!(backoff.pause(), Duration::from_secs(1));
    }
}
