//! How many connections fetch one blob, and how much each asks for.
//!
//! A store limits each connection, or each connection is limited by its round trips; more of them are then faster, up to where
//! the line or the store itself is full. So one connection begins. If what is left would take it long, a few join it; after that
//! one more at a time, for as long as each makes the whole faster. Where the cache cannot keep up, fewer do: what they bring
//! would wait in the system's buffers, and is lost if Archway ends.

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

/// The cache is busy when a download's connections spend this part of their time waiting for it: they are enough.
const BUSY: u32 = 16;

/// And behind when they spend this part of it: they are too many, if the last of them made nothing faster.
const BEHIND: u32 = 2;

/// Connections from the moment more than one is worth it.
const FIRST_STEP: usize = 4;

/// How often a download is looked at.
pub(super) const TICK: Duration = Duration::from_millis(150);

/// What a download has done since the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Bytes that came.
    pub(super) bytes: u64,
    /// How long ago that was.
    pub(super) time: Duration,
    /// How long connections have waited for the cache to take what they had, all together.
    pub(super) held: Duration,
    /// Bytes that are left to fetch.
    pub(super) missing: u64,
    /// Connections that run.
    pub(super) running: usize,
}

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

    /// How long there should be between two looks. Several connections come in bursts: when a gap is closed, all that lies behind
    /// it is hashed and sent at once.
    pub(super) fn period(&self) -> Duration {
        if self.wanted == 1 { TICK } else { 2 * TICK }
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

    /// Considers more or fewer connections.
    pub(super) fn look(&mut self, look: Look) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.rate = look.bytes.saturating_mul(1_000_000) / micros(look.time).max(1);
        let running = u32::try_from(look.running).map_or(u32::MAX, |running| running.max(1));
        self.running = u64::from(running);
        let waits = |part: u32| look.held >= look.time * running / part;
        let seconds_left = look.missing / self.rate.max(1);
        if self.wanted == 1 {
            let is_slow = self.rate / self.running < FAST && !waits(BEHIND);
            if is_slow && seconds_left >= WORTH_IT.as_secs() {
                self.before = self.rate;
                self.wanted = FIRST_STEP.min(self.most);
            }
            return;
        }
        let has_paid = self.rate > self.before + self.before / 8;
        if self.rate < self.before / 2 || (waits(BEHIND) && !has_paid) {
            self.before = self.rate;
            self.wanted = (self.wanted - 1).max(2);
        } else if has_paid && !waits(BUSY) && self.wanted < self.most {
            self.before = self.rate;
            self.wanted += 1;
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

    /// A second in which one connection brought nothing, and a GiB is left.
    const SECOND: Look = Look {
        bytes: 0,
        time: Duration::from_secs(1),
        held: Duration::ZERO,
        missing: GIB,
        running: 1,
    };

    /// A tenth of a second in which connections waited so many milliseconds for the cache, all together.
    fn held(mebibytes: u64, millis: u64, running: usize) -> Look {
        Look {
            bytes: mebibytes * MIB,
            time: Duration::from_millis(100),
            held: Duration::from_millis(millis),
            running,
            ..SECOND
        }
    }

    #[test]
    fn a_fast_line_stays_with_one_connection_that_asks_for_everything() {
        let mut pace = Pace::new(6);
        pace.look(Look {
            bytes: 8 * MIB,
            time: Duration::from_millis(8),
            missing: 500 * MIB,
            ..SECOND
        });
        assert_eq!((pace.wanted(), pace.length(false)), (1, u64::MAX));
    }

    #[test]
    fn a_slow_connection_gets_company_while_that_helps() {
        let mut pace = Pace::new(6);
        pace.look(held(10, 0, 1));
        assert_eq!(pace.wanted(), 4);
        pace.look(held(40, 0, 4));
        assert_eq!(pace.wanted(), 5);
        pace.look(held(41, 0, 5));
        assert_eq!(pace.wanted(), 5, "the last one has brought nothing");
        pace.look(held(10, 0, 5));
        assert_eq!(pace.wanted(), 4);
    }

    #[test]
    fn what_is_fast_already_is_left_alone_however_much_is_left() {
        let mut pace = Pace::new(6);
        pace.look(Look {
            bytes: 400 * MIB,
            missing: 100 * GIB,
            ..SECOND
        });
        assert_eq!(pace.wanted(), 1);
    }

    #[test]
    fn connections_for_readers_far_apart_do_not_make_one_look_fast() {
        let mut pace = Pace::new(6);
        pace.look(Look {
            bytes: 300 * MIB,
            running: 3,
            ..SECOND
        });
        assert_eq!(pace.wanted(), 4);
    }

    #[test]
    fn a_cache_that_is_busy_gets_no_further_connection() {
        let mut pace = Pace::new(6);
        pace.look(held(10, 0, 1));
        pace.look(held(40, 30, 4));
        assert_eq!(pace.wanted(), 4);
        pace.look(held(40, 20, 4));
        assert_eq!(pace.wanted(), 5);
    }

    #[test]
    fn connections_that_only_wait_for_the_cache_become_fewer() {
        let mut pace = Pace::new(6);
        pace.look(held(1, 90, 1));
        assert_eq!(pace.wanted(), 1, "more would wait too");
        pace.look(held(10, 0, 1));
        pace.look(held(40, 300, 4));
        assert_eq!(pace.wanted(), 4, "they wait, and still it is faster");
        pace.look(held(11, 300, 4));
        assert_eq!(pace.wanted(), 3);
        pace.look(held(11, 250, 3));
        pace.look(held(11, 180, 2));
        assert_eq!(pace.wanted(), 2, "while one asks, another brings");
    }

    #[test]
    fn one_is_one() {
        let mut pace = Pace::new(1);
        pace.look(Look {
            bytes: 1000,
            ..SECOND
        });
        assert_eq!((pace.wanted(), pace.length(false)), (1, u64::MAX));
    }

    #[test]
    fn a_request_lasts_about_a_quarter_of_a_second() {
        let mut pace = Pace::new(4);
        pace.look(held(10, 0, 1));
        pace.look(held(40, 0, 4));
        assert_eq!(pace.length(false), 25 * MIB);
    }
}
