//! How many connections fetch one blob, and how much each asks for.
//!
//! A store limits each connection, or each connection is limited by its round trips; more of them are then faster, up to where
//! the line or the store itself is full. So one connection begins. If what is left would take it long, a few join it; after that
//! one more at a time, for as long as each makes the whole faster.

use std::time::Duration;

/// What the first request asks for. A blob that is no larger costs one request.
pub(super) const FIRST: u64 = 8 * 1024 * 1024;

/// The most one request asks for while several connections run.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The time one request is to last: long beside a round trip, short beside a download.
const STRETCH: Duration = Duration::from_millis(250);

/// More connections are not worth their while for a rest that takes one no longer than this.
const WORTH_IT: Duration = Duration::from_secs(1);

/// A connection that brings so many bytes a second is not what holds the download up.
const FAST: u64 = 150 * 1024 * 1024;

/// Connections from the moment more than one is worth it.
const FIRST_STEP: usize = 4;

/// How often more or fewer connections are considered.
pub(super) const TICK: Duration = Duration::from_millis(150);

/// Counts connections up and down by what they bring.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many there may be; 1 is no parallel fetching at all.
    most: usize,
    wanted: usize,
    /// Bytes a second over all connections, at the last look.
    rate: u64,
    /// How many there were then.
    running: u64,
    /// The rate before the last connection was added.
    before: u64,
}

impl Pace {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            wanted: 1,
            rate: 0,
            running: 1,
            before: 0,
        }
    }

    /// How many connections there should be now.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// What the next request asks for, with or without readers that wait far apart: those have short requests, so that each is
    /// come to soon.
    pub(super) fn length(&self, far_apart: bool) -> u64 {
        if far_apart {
            return 4 * FIRST;
        }
        if self.wanted == 1 {
            return u64::MAX;
        }
        let one = self.rate / self.running;
        let stretch = u64::try_from(STRETCH.as_millis()).unwrap_or(u64::MAX);
        (one.saturating_mul(stretch) / 1000).clamp(FIRST, LARGEST)
    }

    /// `bytes` came in `time` over `running` connections and `missing` are left.
    pub(super) fn look(&mut self, bytes: u64, time: Duration, missing: u64, running: usize) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.rate = bytes.saturating_mul(1_000_000) / micros;
        self.running = running.max(1) as u64;
        let seconds_left = missing / self.rate.max(1);
        if self.wanted == 1 {
            if self.rate / self.running < FAST && seconds_left >= WORTH_IT.as_secs() {
                self.before = self.rate;
                self.wanted = FIRST_STEP.min(self.most);
            }
        } else if self.rate > self.before + self.before / 8 && self.wanted < self.most {
            self.before = self.rate;
            self.wanted += 1;
        } else if self.rate < self.before / 2 && self.wanted > 2 {
            self.before = self.rate;
            self.wanted -= 1;
        }
    }

    /// A connection has failed while others run: no more than those.
    pub(super) fn shrink_to(&mut self, running: usize) {
        self.most = running.max(1);
        self.wanted = self.wanted.min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    #[test]
    fn a_fast_line_stays_with_one_connection_that_asks_for_everything() {
        let mut pace = Pace::new(6);
        pace.look(8 * MIB, Duration::from_millis(8), 500 * MIB, pace.wanted());
        assert_eq!((pace.wanted(), pace.length(false)), (1, u64::MAX));
    }

    #[test]
    fn a_slow_connection_gets_company_while_that_helps() {
        let mut pace = Pace::new(6);
        pace.look(10 * MIB, Duration::from_millis(100), GIB, pace.wanted());
        assert_eq!(pace.wanted(), 4);
        pace.look(40 * MIB, Duration::from_millis(100), GIB, pace.wanted());
        assert_eq!(pace.wanted(), 5);
        pace.look(41 * MIB, Duration::from_millis(100), GIB, pace.wanted());
        assert_eq!(pace.wanted(), 5, "the last one has brought nothing");
        pace.look(10 * MIB, Duration::from_millis(100), GIB, pace.wanted());
        assert_eq!(pace.wanted(), 4);
    }

    #[test]
    fn what_is_fast_already_is_left_alone_however_much_is_left() {
        let mut pace = Pace::new(6);
        pace.look(400 * MIB, Duration::from_secs(1), 100 * GIB, pace.wanted());
        assert_eq!(pace.wanted(), 1);
    }

    #[test]
    fn connections_for_readers_far_apart_do_not_make_one_look_fast() {
        let mut pace = Pace::new(6);
        pace.look(300 * MIB, Duration::from_secs(1), GIB, 3);
        assert_eq!(pace.wanted(), 4);
    }

    #[test]
    fn one_is_one() {
        let mut pace = Pace::new(1);
        pace.look(1000, Duration::from_secs(1), GIB, pace.wanted());
        assert_eq!((pace.wanted(), pace.length(false)), (1, u64::MAX));
    }

    #[test]
    fn a_request_lasts_about_a_quarter_of_a_second() {
        let mut pace = Pace::new(4);
        pace.look(100 * MIB, Duration::from_secs(1), GIB, pace.wanted());
        pace.look(400 * MIB, Duration::from_secs(1), GIB, pace.wanted());
        assert_eq!(pace.length(false), 25 * MIB);
    }
}
