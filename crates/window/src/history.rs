//! A day of points, one a minute, in memory: what a page can draw without a database.

use std::{collections::VecDeque, time::Duration};

use admin_api::{History, Series, Time, Unit};
use parking_lot::Mutex;
use tokio::time::{Instant, interval_at};

use crate::counted::Counted;

/// How long after the start the sums begin: a start has enough to do.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The time between two points.
const INTERVAL: Duration = Duration::from_mins(1);

/// A day of them.
const MAX_POINTS: usize = 24 * 60;

/// An hour of them.
const HOUR: usize = 60;

/// One series: its name, its unit, whether it is what was added, and where it comes from.
type Source = (&'static str, Unit, bool, fn(&Counted) -> u64);

const SERIES: [Source; 12] = [
    ("sent", Unit::Bytes, true, |now| now.sum("sent_bytes_total")),
    ("received", Unit::Bytes, true, |now| {
        now.sum("upstream_received_bytes_total")
    }),
    ("stored", Unit::Bytes, false, |now| now.sum("cache_bytes")),
    ("evicted", Unit::Bytes, true, |now| {
        now.sum("evicted_bytes_total")
    }),
    ("requests", Unit::Count, true, |now| {
        now.sum("requests_total")
    }),
    ("hits", Unit::Count, true, hits),
    ("errors", Unit::Count, true, |now| {
        now.sum_where("requests_total", &[("status", "5xx")])
    }),
    ("stale", Unit::Count, true, |now| {
        now.sum("stale_answers_total")
    }),
    ("upstream_calls", Unit::Count, true, |now| {
        now.sum("upstream_request_duration_seconds_count")
    }),
    ("upstream_failures", Unit::Count, true, |now| {
        ["refused", "throttled", "unreachable", "broken"]
            .map(|answer| now.sum_where("upstream_answers_total", &[("answer", answer)]))
            .iter()
            .sum()
    }),
    ("fills", Unit::Count, false, |now| now.sum("fills_running")),
    ("connections", Unit::Count, false, |now| {
        now.sum("connections")
    }),
];

/// What is counted of the last hour, beside the series.
const LATELY: [fn(&Counted) -> u64; 7] = [
    |now| now.sum_where("requests_total", &[("status", "5xx")]),
    |now| now.sum("platform_missing_total"),
    |now| now.sum("stale_answers_total"),
    |now| now.sum("fills_unstored_total"),
    |now| now.sum("integrity_failures_total"),
    |now| now.sum_where("upstream_answers_total", &[("answer", "refused")]),
    |now| now.sum_where("upstream_token_renewals_total", &[("result", "failed")]),
];

/// What [`Past::of_the_hour`] tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastHour {
    pub(crate) errors: u64,
    pub(crate) platform_missing: u64,
    pub(crate) stale: u64,
    pub(crate) unstored: u64,
    pub(crate) damaged: u64,
    pub(crate) refused: u64,
    pub(crate) tokens_failed: u64,
}

/// The requests that were answered without an upstream.
pub(crate) fn hits(now: &Counted) -> u64 {
    let of = |outcome| now.sum_where("requests_total", &[("outcome", outcome)]);
    of("hit") + of("stale")
}

/// The points so far.
#[derive(Debug, Default)]
pub(crate) struct Past(Mutex<Points>);

#[derive(Debug, Default)]
struct Points {
    end: Option<Time>,
    /// The sums at the last point.
    last: [u64; SERIES.len()],
    kept: VecDeque<[u64; SERIES.len()]>,
    /// The sums of [`LATELY`], the oldest of an hour ago.
    lately: VecDeque<[u64; LATELY.len()]>,
}

impl Points {
    fn add(&mut self, now: &Counted) {
        let sums = SERIES.map(|(_, _, _, read)| read(now));
        let mut point = sums;
        for (at, (_, _, is_added, _)) in SERIES.iter().enumerate() {
            if *is_added {
                point[at] = sums[at].saturating_sub(self.last[at]);
            }
        }
        // The first look is where the sums begin.
        if self.end.is_some() {
            if self.kept.len() == MAX_POINTS {
                self.kept.pop_front();
            }
            self.kept.push_back(point);
        }
        self.last = sums;
        self.end = Some(Time::now());
        if self.lately.len() > HOUR {
            self.lately.pop_front();
        }
        self.lately.push_back(LATELY.map(|read| read(now)));
    }
}

impl Past {
    /// Takes a point each minute of what `count` finds.
    pub(crate) async fn keep(&self, count: impl Fn() -> Counted) {
        let mut minute = interval_at(Instant::now() + FIRST_LOOK, INTERVAL);
        loop {
            minute.tick().await;
            let counted = count();
            self.0.lock().add(&counted);
        }
    }

    /// All points so far, of a program that has `started` then.
    pub(crate) fn told(&self, started: Time) -> History {
        let points = self.0.lock();
        let of = |at: usize| points.kept.iter().map(|point| point[at]).collect();
        let series = SERIES.iter().enumerate();
        History {
            end: points.end.unwrap_or(started),
            interval: INTERVAL.as_secs(),
            series: series
                .map(|(at, (name, unit, per_interval, _))| Series {
                    name: (*name).to_owned(),
                    unit: *unit,
                    per_interval: *per_interval,
                    points: of(at),
                })
                .collect(),
        }
    }

    /// What happened in the last hour, or since the start.
    pub(crate) fn of_the_hour(&self, now: &Counted) -> LastHour {
        let sums = LATELY.map(|read| read(now));
        let before = self.0.lock().lately.front().copied().unwrap_or_default();
        let mut new = sums.iter().zip(before);
        let mut next = || new.next().map_or(0, |(now, then)| now.saturating_sub(then));
        LastHour {
            errors: next(),
            platform_missing: next(),
            stale: next(),
            unstored: next(),
            damaged: next(),
            refused: next(),
            tokens_failed: next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(sent: u64, stored: u64) -> Counted {
        Counted::read(&format!(
            "archway_sent_bytes_total{{outcome=\"hit\"}} {sent}\narchway_cache_bytes {stored}\n\
             archway_platform_missing_total{{platform=\"linux/arm64\"}} {sent}\n"
        ))
    }

    #[test]
    fn a_point_is_what_was_added_or_what_is_there_and_a_day_of_them_is_kept() {
        let mut points = Points::default();
        points.add(&counted(100, 7));
        points.add(&counted(130, 9));
        assert_eq!(points.kept.len(), 1, "sums have no past before the first");
        assert_eq!((points.kept[0][0], points.kept[0][2]), (30, 9));
        for _ in 0..MAX_POINTS + 3 {
            points.add(&counted(130, 9));
        }
        assert_eq!(points.kept.len(), MAX_POINTS);
        assert_eq!(points.kept[0][0], 0);
    }

    #[test]
    fn the_last_hour_is_counted_from_the_point_before_it() {
        let past = Past::default();
        past.0.lock().add(&counted(100, 0));
        assert_eq!(past.of_the_hour(&counted(130, 0)).platform_missing, 30);
        for _ in 0..=HOUR {
            past.0.lock().add(&counted(130, 0));
        }
        assert_eq!(past.of_the_hour(&counted(135, 0)).platform_missing, 5);
    }
}
