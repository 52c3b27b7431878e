//! How often the log tells the same: what others do without end is told once in a while.

use std::time::{Duration, Instant};

/// The while.
pub const EVERY: Duration = Duration::from_mins(1);

/// What was told of one thing.
#[derive(Debug, Default)]
pub struct Told {
    last: Option<Instant>,
    untold: u64,
}

impl Told {
    /// How often it was not told since the last time, if it is to be told now.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if self.is_fresh(now) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

    /// Whether it would not be told now.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now < last + EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_minute_with_the_number_of_the_others() {
        let (mut told, now) = (Told::default(), Instant::now());
        assert_eq!(told.due(now), Some(0));
        assert_eq!(told.due(now), None);
        assert_eq!(told.due(now + EVERY / 2), None);
        assert_eq!(told.due(now + EVERY), Some(2));
    }
}
