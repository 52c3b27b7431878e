//! The bytes that may be downloaded ahead from each upstream: a bucket that fills up within an hour.
//! What came in spite of it is a debt, which fills up first.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::host::Host;

/// The time in which an empty bucket fills up.
const HOUR: Duration = Duration::from_hours(1);

/// The budgets of all upstreams. A full bucket is not remembered, so their number is bounded by
/// what was downloaded within an hour.
#[derive(Debug)]
pub(super) struct Budgets {
    each: AtomicU64,
    spent: Mutex<HashMap<Host, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Negative while it owes.
    left: i128,
    at: Instant,
}

impl Budgets {
    /// Budgets of so many bytes an hour each.
    pub(super) fn new(each: u64) -> Self {
        Self {
            each: AtomicU64::new(each),
            spent: Mutex::default(),
        }
    }

    /// Budgets of so many bytes an hour each from now on.
    pub(super) fn replace(&self, each: u64) {
        self.each.store(each, Ordering::Relaxed);
    }

    fn each(&self) -> u64 {
        self.each.load(Ordering::Relaxed)
    }

    /// Takes `bytes` from an upstream's budget, and returns what is left of it; `None` if it does
    /// not have them.
    pub(super) fn take(&self, upstream: &Host, bytes: u64) -> Option<u64> {
        self.take_at(upstream, bytes, Instant::now())
    }

    fn take_at(&self, upstream: &Host, bytes: u64, now: Instant) -> Option<u64> {
        let mut spent = self.spent.lock();
        spent.retain(|_, bucket| self.refilled(bucket, now) < i128::from(self.each()));
        let bucket = spent.get(upstream);
        let left = bucket.map_or(i128::from(self.each()), |bucket| self.refilled(bucket, now));
        let left = left - i128::from(bytes);
        let rest = u64::try_from(left).ok()?;
        spent.insert(upstream.clone(), Bucket { left, at: now });
        Some(rest)
    }

    /// Takes bytes that came beyond what was asked for, if need be as a debt.
    pub(super) fn owe(&self, upstream: &Host, bytes: u64) {
        self.add_at(upstream, -i128::from(bytes), Instant::now());
    }

    /// Gives back what was taken for a download that was none.
    pub(super) fn give_back(&self, upstream: &Host, bytes: u64) {
        self.add_at(upstream, i128::from(bytes), Instant::now());
    }

    fn add_at(&self, upstream: &Host, bytes: i128, now: Instant) {
        let full = i128::from(self.each());
        let mut spent = self.spent.lock();
        let bucket = spent.get(upstream);
        let left = bucket.map_or(full, |bucket| self.refilled(bucket, now));
        let left = (left + bytes).min(full);
        spent.insert(upstream.clone(), Bucket { left, at: now });
    }

    fn refilled(&self, bucket: &Bucket, now: Instant) -> i128 {
        let passed = now.saturating_duration_since(bucket.at).as_millis();
        let gained = u128::from(self.each()) * passed / HOUR.as_millis();
        let gained = i128::try_from(gained).unwrap_or(i128::MAX);
        bucket
            .left
            .saturating_add(gained)
            .min(i128::from(self.each()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_upstream_has_so_many_bytes_an_hour() {
        let budgets = Budgets::new(3600);
        let [one, two] = ["one.test", "two.test"].map(|host| host.parse::<Host>().unwrap());
        let now = Instant::now();
        assert_eq!(budgets.take_at(&one, 3000, now), Some(600));
        assert_eq!(budgets.take_at(&one, 601, now), None);
        assert_eq!(budgets.take_at(&two, 3600, now), Some(0));
        assert_eq!(budgets.take_at(&one, 610, now + HOUR / 360), Some(0));
        assert_eq!(budgets.take_at(&two, 3601, now + 2 * HOUR), None);
        assert_eq!(budgets.take_at(&one, 3600, now + 2 * HOUR), Some(0));
        assert_eq!(budgets.spent.lock().len(), 1, "a full one is forgotten");
    }

    #[test]
    fn what_was_no_download_is_given_back_and_what_came_too_much_is_owed() {
        let budgets = Budgets::new(3600);
        let host: Host = "one.test".parse().unwrap();
        let now = Instant::now();
        assert_eq!(budgets.take_at(&host, 3000, now), Some(600));
        budgets.add_at(&host, 3000, now);
        assert_eq!(budgets.take_at(&host, 3600, now), Some(0));
        budgets.add_at(&host, -3600, now);
        assert_eq!(budgets.take_at(&host, 1, now + HOUR), None, "still in debt");
        assert_eq!(budgets.take_at(&host, 1800, now + HOUR * 3 / 2), Some(0));
    }
}
