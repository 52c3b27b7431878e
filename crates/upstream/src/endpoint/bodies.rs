//! Whether the bodies of blobs come that an endpoint sends, or a store that it redirects to.
//!
//! An endpoint may answer every question and send no byte. Once a body has stalled while no other of
//! the same endpoint had a byte, its bodies are in doubt: a download must then show its first byte
//! soon to be taken, whatever it asks for. The first byte of any body ends the doubt, so one blob
//! that does not come closes nothing to the others. A while without a stall ends it too: for one of
//! last night no download is refused whose connections have yet to be made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::flow::Flow;
use crate::{error::CircuitOpen, policy::Outage};

/// How often an endpoint in doubt is tried while another one serves its clients.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// How long a stall casts doubt on the next bodies if nobody asks for any.
const MEMORY: Duration = Duration::from_mins(1);

/// Trials of an endpoint in doubt at the same time, with those that nobody waits for any longer.
const MAX_TRIALS: usize = 64;

/// When a client that was refused may come back.
const RETRY_IN: Duration = Duration::from_secs(1);

/// The bodies of one endpoint.
#[derive(Debug)]
pub(crate) struct Bodies {
    flow: Flow,
    /// Whether there is a doubt, for a cheap look. It changes under the lock of `doubt` alone.
    in_doubt: AtomicBool,
    doubt: Mutex<Option<Doubt>>,
    trials: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Doubt {
    since: Instant,
    last_stall: Instant,
    reason: Arc<str>,
    next_try: Instant,
}

impl Doubt {
    fn is_remembered(&self, now: Instant) -> bool {
        now < self.last_stall + MEMORY
    }
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self {
            flow: Flow::new(),
            in_doubt: AtomicBool::default(),
            doubt: Mutex::default(),
            trials: Arc::new(Semaphore::new(MAX_TRIALS)),
        }
    }

    /// Whether a download must show its first byte to be taken.
    pub(crate) fn are_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed) && self.doubt(Instant::now()).is_some()
    }

    fn doubt(&self, now: Instant) -> Option<Doubt> {
        let doubt = self.doubt.lock().clone();
        doubt.filter(|doubt| doubt.is_remembered(now))
    }

    /// The right to try it while it is in doubt, once there is one. Cancel safe.
    pub(crate) async fn trial(&self) -> OwnedSemaphorePermit {
        let trial = Arc::clone(&self.trials).acquire_owned().await;
        trial.expect("nobody closes the semaphore")
    }

    /// The right to try it, if there is one now.
    pub(crate) fn free_trial(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.trials).try_acquire_owned().ok()
    }

    /// Whether it is time to try again what nobody needs while others serve.
    pub(crate) fn are_due(&self, now: Instant) -> bool {
        let mut doubt = self.doubt.lock();
        let due = doubt.as_mut().filter(|doubt| now >= doubt.next_try);
        due.map(|doubt| doubt.next_try = now + TRY_EVERY).is_some()
    }

    /// The error for a download whose first byte did not come in time.
    pub(crate) fn refusal(&self) -> CircuitOpen {
        let outage = self.outage();
        let reason = outage.as_ref().map(|outage| Arc::clone(&outage.reason));
        CircuitOpen {
            reason: reason.unwrap_or_else(|| "no byte of a body came in time".into()),
            since: outage.map_or_else(SystemTime::now, |outage| outage.since_when()),
            retry_in: RETRY_IN,
        }
    }

    /// The doubt as operators see it.
    pub(super) fn outage(&self) -> Option<Outage> {
        let doubt = self.doubt(Instant::now())?;
        Some(Outage::of_bodies(doubt.since, doubt.reason))
    }

    /// Notes a byte of a body. It is cheap, for each chunk.
    pub(super) fn flows(&self, now: Instant) {
        self.flow.note(now);
        if self.in_doubt.load(Ordering::Relaxed) {
            let mut doubt = self.doubt.lock();
            *doubt = None;
            self.in_doubt.store(false, Ordering::Relaxed);
        }
    }

    /// Notes that no byte of a body has come since `last_byte`, not even its head from a store.
    pub(super) fn stalled(&self, last_byte: Instant, now: Instant) {
        if self.flow.last() > last_byte {
            return;
        }
        let pause = now.saturating_duration_since(last_byte).as_millis();
        let mut doubt = self.doubt.lock();
        let known = doubt.take().filter(|doubt| doubt.is_remembered(now));
        let mut known = known.unwrap_or_else(|| Doubt {
            since: now,
            last_stall: now,
            reason: format!("no byte of a body came for {pause} ms").into(),
            next_try: now + TRY_EVERY,
        });
        known.last_stall = now;
        *doubt = Some(known);
        self.in_doubt.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stall_casts_doubt_until_any_byte_comes() {
        let (bodies, now) = (Bodies::new(), Instant::now());
        bodies.stalled(now, now + 5 * SECOND);
        assert!(bodies.are_in_doubt());
        assert!(bodies.outage().is_some());
        assert_eq!(
            &*bodies.refusal().reason,
            "no byte of a body came for 5000 ms"
        );
        bodies.flows(now + 6 * SECOND);
        assert!(!bodies.are_in_doubt());
        assert!(bodies.outage().is_none());
    }

    #[test]
    fn one_body_that_stalls_while_others_flow_casts_none() {
        let (bodies, now) = (Bodies::new(), Instant::now());
        bodies.flows(now + SECOND);
        bodies.stalled(now, now + 5 * SECOND);
        assert!(!bodies.are_in_doubt());
    }

    #[test]
    fn a_doubt_is_forgotten_a_while_after_the_last_stall() {
        let (bodies, now) = (Bodies::new(), Instant::now());
        bodies.stalled(now, now);
        bodies.stalled(now, now + MEMORY / 2);
        let since = |at| bodies.doubt(at).map(|doubt| doubt.since);
        assert_eq!(since(now + MEMORY), Some(now));
        assert_eq!(since(now + MEMORY / 2 + MEMORY), None);
        let later = now + 2 * MEMORY;
        bodies.stalled(later, later);
        assert_eq!(since(later), Some(later), "it begins anew");
    }

    #[tokio::test]
    async fn no_more_trials_run_than_there_is_room_for() {
        let bodies = Bodies::new();
        let mut trials = Vec::new();
        for _ in 0..MAX_TRIALS {
            trials.push(bodies.trial().await);
        }
        assert!(bodies.free_trial().is_none());
        drop(trials);
        assert!(bodies.free_trial().is_some());
    }

    #[test]
    fn it_is_tried_now_and_then_by_one_caller() {
        let (bodies, now) = (Bodies::new(), Instant::now());
        assert!(!bodies.are_due(now), "there is no doubt");
        bodies.stalled(now, now);
        assert!(!bodies.are_due(now));
        assert!(bodies.are_due(now + TRY_EVERY));
        assert!(!bodies.are_due(now + TRY_EVERY));
    }
}
