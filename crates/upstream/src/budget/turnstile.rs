//! A rate: calls go one interval apart, some at once where none went for a while.

use std::time::Duration;

use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::{TooLong, Urgency};

/// Lets calls through in the order they came, pulls before confirmations.
#[derive(Debug)]
pub(super) struct Turnstile {
    interval: Duration,
    /// How far ahead of the rate a burst may run.
    tolerance: Duration,
    /// When the next call would be due without a burst. Its lock is the queue: tokio's mutex is fair.
    due: Mutex<Instant>,
    /// Pulls in the queue.
    pulls: watch::Sender<usize>,
    confirmations: watch::Sender<usize>,
}

impl Turnstile {
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            tolerance: interval.saturating_mul(burst.saturating_sub(1)),
            due: Mutex::new(Instant::now()),
            pulls: watch::Sender::default(),
            confirmations: watch::Sender::default(),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        *self.pulls.borrow() + *self.confirmations.borrow()
    }

    pub(super) async fn pass(&self, urgency: Urgency, deadline: Instant) -> Result<(), TooLong> {
        match urgency {
            Urgency::Pull => self.pull(deadline).await,
            Urgency::Confirmation => {
                let _queued = Queued::at(&self.confirmations);
                timeout_at(deadline, self.confirmation())
                    .await
                    .map_err(|_| TooLong(self.interval))
            }
        }
    }

    async fn pull(&self, deadline: Instant) -> Result<(), TooLong> {
        let queued = Queued::at(&self.pulls);
        let ahead = self.interval.saturating_mul(queued.ahead);
        // Where there is nothing to wait for, a deadline that is over does not matter.
        let deadline = deadline.max(Instant::now());
        let wait = ahead.saturating_sub(self.tolerance);
        if !wait.is_zero() && Instant::now() + wait > deadline {
            return Err(TooLong(ahead));
        }
        let mut due = timeout_at(deadline, self.due.lock())
            .await
            .map_err(|_| TooLong(self.interval))?;
        let now = Instant::now();
        let (start, next) = self.slot(*due, now);
        if start > deadline.max(now) {
            return Err(TooLong(start - now));
        }
        if start > now {
            // Asleep with the lock in hand: whoever comes later waits behind.
            sleep_until(start).await;
        }
        *due = next;
        Ok(())
    }

    async fn confirmation(&self) {
        let mut pulls = self.pulls.subscribe();
        loop {
            // The sender lives as long as we do, so waiting cannot fail.
            let _ = pulls.wait_for(|pulls| *pulls == 0).await;
            let mut due = self.due.lock().await;
            let now = Instant::now();
            let (start, next) = self.slot(*due, now);
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

    /// When a call may start, and when the next would be due after it.
    fn slot(&self, due: Instant, now: Instant) -> (Instant, Instant) {
        let due = due.max(now);
        let start = due.checked_sub(self.tolerance).unwrap_or(now).max(now);
        (start, due + self.interval)
    }
}

/// A place in a queue, given up when dropped.
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
        let turnstile = Turnstile::new(INTERVAL, 3);
        let start = Instant::now();
        let times = join_all((0..6).map(async |_| {
            turnstile.pass(Urgency::Pull, far()).await.unwrap();
            start.elapsed()
        }));
        let times = times.await;
        for (time, intervals) in times.iter().skip(2).zip(0_u32..) {
            assert!(*time >= INTERVAL * intervals, "{times:?}");
        }
        assert!(times.is_sorted(), "first come, first served: {times:?}");
    }

    #[tokio::test]
    async fn pulls_overtake_confirmations() {
        let turnstile = Turnstile::new(INTERVAL, 1);
        turnstile.pass(Urgency::Pull, far()).await.unwrap();
        let order = Mutex::new(Vec::new());
        let pass = async |name, urgency| {
            turnstile.pass(urgency, far()).await.unwrap();
            order.lock().await.push(name);
        };
        tokio::join!(
            pass("confirmation", Urgency::Confirmation),
            pass("first pull", Urgency::Pull),
            pass("second pull", Urgency::Pull),
        );
        let order = order.into_inner();
        assert_eq!(order, ["first pull", "second pull", "confirmation"]);
    }

    #[tokio::test]
    async fn who_cannot_be_served_in_time_is_told_at_once() {
        let turnstile = Turnstile::new(Duration::from_hours(1), 1);
        turnstile.pass(Urgency::Pull, far()).await.unwrap();
        assert!(turnstile.pass(Urgency::Pull, far()).await.is_err());
        let soon = Instant::now() + INTERVAL;
        assert!(turnstile.pass(Urgency::Confirmation, soon).await.is_err());
        assert_eq!(turnstile.waiting(), 0);
    }

    #[tokio::test]
    async fn who_never_waits_may_go_while_nobody_else_does() {
        let turnstile = Turnstile::new(Duration::from_hours(1), 2);
        let past = Instant::now();
        turnstile.pass(Urgency::Pull, past).await.unwrap();
        turnstile.pass(Urgency::Confirmation, past).await.unwrap();
        assert!(turnstile.pass(Urgency::Pull, past).await.is_err());
    }

    #[tokio::test]
    async fn who_leaves_the_queue_takes_no_turn() {
        let turnstile = Turnstile::new(Duration::from_hours(1), 2);
        turnstile.pass(Urgency::Pull, far()).await.unwrap();
        turnstile.pass(Urgency::Pull, far()).await.unwrap();
        let before = *turnstile.due.lock().await;
        let deadline = Instant::now() + Duration::from_hours(3);
        let third = turnstile.pass(Urgency::Pull, deadline);
        assert!(tokio::time::timeout(INTERVAL, third).await.is_err());
        assert_eq!(turnstile.waiting(), 0);
        assert_eq!(*turnstile.due.lock().await, before);
    }
}
