//! A rate limit: calls go one interval apart, and a burst at once after an idle time.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Urgency, WaitTooLong};

/// Grants permits in the order the calls came, pulls before confirmations.
#[derive(Debug)]
pub(super) struct RateLimiter {
    interval: Duration,
    /// Among how many like this one the rate is divided.
    among: AtomicU32,
    /// How far a burst may run ahead of the rate.
    tolerance: Duration,
    /// When the next call is due without a burst. Its lock is the queue: tokio's mutex is fair.
    due: Mutex<Instant>,
    /// The number of pulls in the queue.
    pulls: watch::Sender<usize>,
    confirmations: watch::Sender<usize>,
}

impl RateLimiter {
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            among: AtomicU32::new(1),
            tolerance: interval.saturating_mul(burst.saturating_sub(1)),
            due: Mutex::new(Instant::now()),
            pulls: watch::Sender::default(),
            confirmations: watch::Sender::default(),
        }
    }

    /// From now on the rate is divided among so many. What may go at once stays as long as before: of a
    /// rate that is half as high that is half as much.
    pub(super) fn divide(&self, among: u32) {
        self.among.store(among.max(1), Ordering::Relaxed);
    }

    fn interval(&self) -> Duration {
        let among = self.among.load(Ordering::Relaxed);
        self.interval.saturating_mul(among)
    }

    pub(super) fn waiting(&self) -> usize {
        *self.pulls.borrow() + *self.confirmations.borrow()
    }

    /// How many calls could go now, one after the other.
    pub(super) fn permits(&self, now: Instant) -> u32 {
        // Whoever has the lock waits for a permit.
        let Ok(due) = self.due.try_lock() else {
            return 0;
        };
        let ahead = due.saturating_duration_since(now);
        let Some(left) = self.tolerance.checked_sub(ahead) else {
            return 0;
        };
        let more = left.as_nanos() / self.interval.as_nanos().max(1);
        u32::try_from(more).map_or(u32::MAX, |more| more.saturating_add(1))
    }

    pub(super) async fn acquire(
        &self,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<(), WaitTooLong> {
        match urgency {
            Urgency::Pull => self.acquire_pull(deadline).await,
            Urgency::Confirmation => {
                let _queued = Queued::at(&self.confirmations);
                timeout_at(deadline, self.acquire_confirmation())
                    .await
                    .map_err(|_| WaitTooLong(self.interval()))
            }
        }
    }

    async fn acquire_pull(&self, deadline: Instant) -> Result<(), WaitTooLong> {
        let queued = Queued::at(&self.pulls);
        let ahead = self.interval().saturating_mul(queued.ahead);
        // Without a wait, a deadline in the past does not matter.
        let deadline = deadline.max(Instant::now());
        let wait = ahead.saturating_sub(self.tolerance);
        if !wait.is_zero() && Instant::now() + wait > deadline {
            return Err(WaitTooLong(ahead));
        }
        let mut due = timeout_at(deadline, self.due.lock())
            .await
            .map_err(|_| WaitTooLong(self.interval()))?;
        let now = Instant::now();
        let (start, next) = self.schedule(*due, now);
        if start > deadline.max(now) {
            return Err(WaitTooLong(start - now));
        }
        if start > now {
            // The lock is held during the sleep, so that later calls wait behind this one.
            sleep_until(start).await;
        }
        *due = next;
        Ok(())
    }

    async fn acquire_confirmation(&self) {
        let mut pulls = self.pulls.subscribe();
        loop {
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = pulls.wait_for(|pulls| *pulls == 0).await;
            let mut due = self.due.lock().await;
            let now = Instant::now();
            let (start, next) = self.schedule(*due, now);
            if start <= now {
                *due = next;
                return;
            }
            tokio::select! {
                biased;
                _ = pulls.wait_for(|pulls| *pulls > 0) => {}
                () = sleep_until(start) => {
                    *due = next;
                    return;
                }
            }
        }
    }

    /// When a call may start, and when the next one is due after it.
    fn schedule(&self, due: Instant, now: Instant) -> (Instant, Instant) {
        let due = due.max(now);
        let start = due.checked_sub(self.tolerance).unwrap_or(now).max(now);
        (start, due + self.interval())
    }
}

/// A place in a queue. Dropping it leaves the queue.
struct Queued<'a> {
    queue: &'a watch::Sender<usize>,
    ahead: u32,
}

impl<'a> Queued<'a> {
    fn at(queue: &'a watch::Sender<usize>) -> Self {
        let mut ahead = 0;
        queue.send_modify(|count| {
            ahead = u32::try_from(*count).unwrap_or(u32::MAX);
            *count += 1;
        });
        Self { queue, ahead }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.queue.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(40);

    fn far() -> Instant {
        Instant::now() + Duration::from_mins(10)
    }

    #[tokio::test]
    async fn calls_go_an_interval_apart_after_the_burst() {
        let limiter = RateLimiter::new(INTERVAL, 3);
        let start = Instant::now();
        let times = join_all((0..6).map(async |_| {
            limiter.acquire(Urgency::Pull, far()).await.unwrap();
            start.elapsed()
        }));
        let times = times.await;
        for (time, intervals) in times.iter().skip(2).zip(0_u32..) {
            assert!(*time >= INTERVAL * intervals, "{times:?}");
        }
        assert!(times.is_sorted(), "first come, first served: {times:?}");
    }

    #[tokio::test]
    async fn the_permits_left_are_those_of_the_burst() {
        let limiter = RateLimiter::new(Duration::from_hours(1), 3);
        for left in [3, 2, 1] {
            assert_eq!(limiter.permits(Instant::now()), left);
            limiter.acquire(Urgency::Pull, far()).await.unwrap();
        }
        assert_eq!(limiter.permits(Instant::now()), 0);
    }

    #[tokio::test]
    async fn pulls_overtake_confirmations() {
        let limiter = RateLimiter::new(INTERVAL, 1);
        limiter.acquire(Urgency::Pull, far()).await.unwrap();
        let order = Mutex::new(Vec::new());
        let call = async |name, urgency| {
            limiter.acquire(urgency, far()).await.unwrap();
            order.lock().await.push(name);
        };
        tokio::join!(
            call("confirmation", Urgency::Confirmation),
            call("first pull", Urgency::Pull),
            call("second pull", Urgency::Pull),
        );
        let order = order.into_inner();
        assert_eq!(order, ["first pull", "second pull", "confirmation"]);
    }

    #[tokio::test]
    async fn a_call_that_cannot_go_in_time_fails_at_once() {
        let limiter = RateLimiter::new(Duration::from_hours(1), 1);
        limiter.acquire(Urgency::Pull, far()).await.unwrap();
        assert!(limiter.acquire(Urgency::Pull, far()).await.is_err());
        let soon = Instant::now() + INTERVAL;
        assert!(limiter.acquire(Urgency::Confirmation, soon).await.is_err());
        assert_eq!(limiter.waiting(), 0);
    }

    #[tokio::test]
    async fn a_call_past_its_deadline_goes_while_nobody_waits() {
        let limiter = RateLimiter::new(Duration::from_hours(1), 2);
        let past = Instant::now();
        limiter.acquire(Urgency::Pull, past).await.unwrap();
        limiter.acquire(Urgency::Confirmation, past).await.unwrap();
        assert!(limiter.acquire(Urgency::Pull, past).await.is_err());
    }

    #[tokio::test]
    async fn a_call_that_leaves_the_queue_takes_no_permit() {
        let limiter = RateLimiter::new(Duration::from_hours(1), 2);
        limiter.acquire(Urgency::Pull, far()).await.unwrap();
        limiter.acquire(Urgency::Pull, far()).await.unwrap();
        let before = *limiter.due.lock().await;
        let deadline = Instant::now() + Duration::from_hours(3);
        let third = limiter.acquire(Urgency::Pull, deadline);
        assert!(tokio::time::timeout(INTERVAL, third).await.is_err());
        assert_eq!(limiter.waiting(), 0);
        assert_eq!(*limiter.due.lock().await, before);
    }
}
