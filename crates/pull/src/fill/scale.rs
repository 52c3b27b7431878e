//! How many connections fetch one blob, and how much each asks for.
//!
//! A store limits each connection, or each connection is limited by its round trips; more of them
//! are then faster, up to where the line or the store itself is full. So a download begins with one
//! connection. If the rest would take it long, a few join it; after that one more at a time, for as
//! long as each makes the whole faster. Where the cache cannot keep up, connections end: what they
//! bring would wait in the system's buffers, and is lost if Archway ends.

use std::time::Duration;

/// The length of the first request. A blob that is no larger costs one request.
pub(super) const FIRST_REQUEST: u64 = 8 * 1024 * 1024;

/// The most one request asks for while several connections run.
const LARGEST_REQUEST: u64 = 64 * 1024 * 1024;

/// How long one request is to last: long beside a round trip, short beside a download.
const REQUEST_TIME: Duration = Duration::from_millis(250);

/// More connections are not worth it for a rest that takes one connection no longer than this.
const MIN_TIME_LEFT: Duration = Duration::from_secs(1);

/// Bytes a second of a connection that does not hold the download up.
const FAST_CONNECTION: u64 = 150 * 1024 * 1024;

/// The writer is busy when connections wait for it for this part of their time, as a divisor: they
/// are enough.
const BUSY_WRITER: u32 = 16;

/// And behind when they wait for this part of it: they are too many, if the last of them made
/// nothing faster.
const SLOW_WRITER: u32 = 2;

/// Connections as soon as more than one is worth it.
const FIRST_STEP: usize = 4;

/// The shortest time between two samples of a download.
pub(super) const TICK: Duration = Duration::from_millis(150);

/// The progress of a download since the last sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes received.
    pub(super) bytes: u64,
    /// The time since then.
    pub(super) time: Duration,
    /// How long connections have waited for the cache to take their bytes, all together.
    pub(super) writer_wait: Duration,
    /// Bytes left to fetch.
    pub(super) missing: u64,
    /// Connections running.
    pub(super) running: usize,
}

/// Counts connections up and down by what they bring.
#[derive(Debug)]
pub(super) struct ConnectionScaler {
    /// How many there may be; 1 is no parallel fetching at all.
    most: usize,
    wanted: usize,
    /// Bytes a second over all connections, at the last sample.
    rate: u64,
    /// How many there were then.
    running: u64,
    /// The rate before the last connection was added.
    before: u64,
}

impl ConnectionScaler {
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

    /// The time between two samples. Several connections bring bytes in bursts: when a gap is
    /// closed, all bytes behind it are hashed and sent at once.
    pub(super) fn period(&self) -> Duration {
        if self.wanted == 1 { TICK } else { 2 * TICK }
    }

    /// The length of the next request. Readers that wait far apart get short requests, so that each
    /// has its turn soon.
    pub(super) fn length(&self, far_apart: bool) -> u64 {
        if far_apart {
            return 4 * FIRST_REQUEST;
        }
        if self.wanted == 1 {
            return u64::MAX;
        }
        let one = self.rate / self.running;
        let millis = u64::try_from(REQUEST_TIME.as_millis()).unwrap_or(u64::MAX);
        (one.saturating_mul(millis) / 1000).clamp(FIRST_REQUEST, LARGEST_REQUEST)
    }

    /// Considers more or fewer connections.
    pub(super) fn observe(&mut self, sample: Sample) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.rate = sample.bytes.saturating_mul(1_000_000) / micros(sample.time).max(1);
        let running = u32::try_from(sample.running).map_or(u32::MAX, |running| running.max(1));
        self.running = u64::from(running);
        let waits = |part: u32| sample.writer_wait >= sample.time * running / part;
        let seconds_left = sample.missing / self.rate.max(1);
        if self.wanted == 1 {
            let is_slow = self.rate / self.running < FAST_CONNECTION && !waits(SLOW_WRITER);
            if is_slow && seconds_left >= MIN_TIME_LEFT.as_secs() {
                self.before = self.rate;
                self.wanted = FIRST_STEP.min(self.most);
            }
            return;
        }
        let has_paid = self.rate > self.before + self.before / 8;
        if self.rate < self.before / 2 || (waits(SLOW_WRITER) && !has_paid) {
            self.before = self.rate;
            self.wanted = (self.wanted - 1).max(2);
        } else if has_paid && !waits(BUSY_WRITER) && self.wanted < self.most {
            self.before = self.rate;
            self.wanted += 1;
        }
    }

    /// The download has moved to a place that takes so many.
    pub(super) fn allow(&mut self, most: usize) {
        self.most = most.max(1);
        self.wanted = self.wanted.min(self.most);
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
    const SECOND: Sample = Sample {
        bytes: 0,
        time: Duration::from_secs(1),
        writer_wait: Duration::ZERO,
        missing: GIB,
        running: 1,
    };

    /// A tenth of a second in which connections waited so many milliseconds for the cache.
    fn waiting(mebibytes: u64, millis: u64, running: usize) -> Sample {
        Sample {
            bytes: mebibytes * MIB,
            time: Duration::from_millis(100),
            writer_wait: Duration::from_millis(millis),
            running,
            ..SECOND
        }
    }

    #[test]
    fn a_fast_line_stays_with_one_connection_that_asks_for_everything() {
        let mut scaler = ConnectionScaler::new(6);
        scaler.observe(Sample {
            bytes: 8 * MIB,
            time: Duration::from_millis(8),
            missing: 500 * MIB,
            ..SECOND
        });
        assert_eq!((scaler.wanted(), scaler.length(false)), (1, u64::MAX));
    }

    #[test]
    fn a_slow_connection_gets_company_while_that_helps() {
        let mut scaler = ConnectionScaler::new(6);
        scaler.observe(waiting(10, 0, 1));
        assert_eq!(scaler.wanted(), 4);
        scaler.observe(waiting(40, 0, 4));
        assert_eq!(scaler.wanted(), 5);
        scaler.observe(waiting(41, 0, 5));
        assert_eq!(scaler.wanted(), 5, "the last one has brought nothing");
        scaler.observe(waiting(10, 0, 5));
        assert_eq!(scaler.wanted(), 4);
    }

    #[test]
    fn what_is_fast_already_is_left_alone_however_much_is_left() {
        let mut scaler = ConnectionScaler::new(6);
        scaler.observe(Sample {
            bytes: 400 * MIB,
            missing: 100 * GIB,
            ..SECOND
        });
        assert_eq!(scaler.wanted(), 1);
    }

    #[test]
    fn connections_for_readers_far_apart_do_not_make_one_look_fast() {
        let mut scaler = ConnectionScaler::new(6);
        scaler.observe(Sample {
            bytes: 300 * MIB,
            running: 3,
            ..SECOND
        });
        assert_eq!(scaler.wanted(), 4);
    }

    #[test]
    fn a_cache_that_is_busy_gets_no_further_connection() {
        let mut scaler = ConnectionScaler::new(6);
        scaler.observe(waiting(10, 0, 1));
        scaler.observe(waiting(40, 30, 4));
        assert_eq!(scaler.wanted(), 4);
        scaler.observe(waiting(40, 20, 4));
        assert_eq!(scaler.wanted(), 5);
    }

    #[test]
    fn connections_that_only_wait_for_the_cache_become_fewer() {
        let mut scaler = ConnectionScaler::new(6);
        scaler.observe(waiting(1, 90, 1));
        assert_eq!(scaler.wanted(), 1, "more would wait too");
        scaler.observe(waiting(10, 0, 1));
        scaler.observe(waiting(40, 300, 4));
        assert_eq!(scaler.wanted(), 4, "they wait, and still it is faster");
        scaler.observe(waiting(11, 300, 4));
        assert_eq!(scaler.wanted(), 3);
        scaler.observe(waiting(11, 250, 3));
        scaler.observe(waiting(11, 180, 2));
        assert_eq!(scaler.wanted(), 2, "while one asks, another brings");
    }

    #[test]
    fn one_is_one() {
        let mut scaler = ConnectionScaler::new(1);
        scaler.observe(Sample {
            bytes: 1000,
            ..SECOND
        });
        assert_eq!((scaler.wanted(), scaler.length(false)), (1, u64::MAX));
    }

    #[test]
    fn another_place_has_another_bound() {
        let mut scaler = ConnectionScaler::new(6);
        scaler.observe(waiting(10, 0, 1));
        scaler.allow(1);
        assert_eq!((scaler.wanted(), scaler.length(false)), (1, u64::MAX));
        scaler.allow(3);
        scaler.observe(waiting(10, 0, 1));
        assert_eq!(scaler.wanted(), 3);
    }

    #[test]
    fn a_request_lasts_about_a_quarter_of_a_second() {
        let mut scaler = ConnectionScaler::new(4);
        scaler.observe(waiting(10, 0, 1));
        scaler.observe(waiting(40, 0, 4));
        assert_eq!(scaler.length(false), 25 * MIB);
    }
}
