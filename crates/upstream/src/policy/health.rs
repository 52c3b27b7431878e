//! A circuit breaker: it opens on an outage and closes when a probe is answered.
//!
//! While it is open, no call waits for the endpoint's timeouts: a client with nothing cached gets
//! an error at once and turns to its next host. After a pause, the next call starts one probe in
//! the background and waits briefly for it. Without calls there are no probes.
//!
//! A timeout or a failed connection opens the circuit. Errors that come at once must come
//! [`MAX_ERRORS`] times in a row, and a call that fails while others are answered proves nothing.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::error_chain::ErrorChain;
use tokio::{sync::watch, time::Instant};

use super::backoff::Backoff;
use crate::error::{Cause, CircuitOpen};

/// The first pause before a probe; it doubles with each that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long calls wait for a probe that has just started.
const PROBE_WAIT: Duration = Duration::from_millis(400);

/// The number of errors in a row that opens the circuit. Each comes at once, and so costs no wait.
const MAX_ERRORS: u32 = 5;

/// How an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A timeout or no connection: the next call would meet the same.
    Outage,
    /// A body that stalled: a probe tells at once whether it was more than one connection.
    Stall,
    /// An answered error or a closed connection: the next call may succeed.
    Error,
}

/// Why an endpoint is not asked, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The time of the first failure.
    pub since: Instant,
    /// The last failure with its causes, without URLs.
    pub reason: Arc<str>,
    /// The earliest time of the next probe.
    pub until: Instant,
    probe: Option<Instant>,
}

impl Outage {
    /// That of an endpoint which answers, and whose bodies do not come.
    pub(crate) fn of_bodies(since: Instant, reason: Arc<str>) -> Self {
        Self {
            since,
            reason,
            until: since,
            probe: None,
        }
    }

    /// The time of the first failure, by the calendar.
    pub fn since_when(&self) -> SystemTime {
        let ago = Instant::now().saturating_duration_since(self.since);
        SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH)
    }

    /// How long it is until the next probe, at the earliest.
    pub fn rest(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// The error of a call that is not made.
    pub(crate) fn error(&self) -> CircuitOpen {
        let now = Instant::now();
        CircuitOpen {
            reason: self.reason.clone(),
            since: self.since_when(),
            retry_in: self.until.saturating_duration_since(now),
        }
    }
}

#[derive(Clone, Debug)]
struct Circuit {
    outage: Option<Outage>,
    failures: u32,
    last_answer: Option<Instant>,
    backoff: Backoff,
}

/// Whether a call may be made.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Make the call.
    Ask,
    /// Fail at once.
    Refuse(Outage),
    /// Run this probe, and wait for its result until then.
    Probe(ProbeGuard, Instant),
    /// Wait until then for the running probe.
    Wait(Instant),
}

/// What changes when a circuit opens or closes, for the log.
pub(crate) trait Announce: fmt::Debug + Send + Sync {
    /// It has opened.
    fn opened(&self, reason: &str);
    /// It has closed, after this long.
    fn closed(&self, lasted: Duration);
}

/// The circuit of one endpoint or token realm.
#[derive(Debug)]
pub(crate) struct Health {
    state: watch::Sender<Circuit>,
    announce: Option<Box<dyn Announce>>,
}

impl Health {
    /// A circuit of which nothing is logged.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(None)
    }

    /// A circuit whose changes are told.
    pub(crate) fn announced(announce: impl Announce + 'static) -> Arc<Self> {
        Self::with(Some(Box::new(announce)))
    }

    fn with(announce: Option<Box<dyn Announce>>) -> Arc<Self> {
        Arc::new(Self {
            announce,
            state: watch::Sender::new(Circuit {
                outage: None,
                failures: 0,
                last_answer: None,
                backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            }),
        })
    }

    /// The outage; `None` while the circuit is closed.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.state.borrow().outage.clone()
    }

    /// Decides about a call at `now`.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Admission {
        let mut admission = Admission::Ask;
        self.state.send_if_modified(|state| {
            let Some(outage) = &mut state.outage else {
                return false;
            };
            admission = match outage.probe {
                None if now < outage.until => Admission::Refuse(outage.clone()),
                None => {
                    outage.probe = Some(now);
                    Admission::Probe(ProbeGuard(Some(Arc::clone(self))), now + PROBE_WAIT)
                }
                Some(started) if now < started + PROBE_WAIT => {
                    Admission::Wait(started + PROBE_WAIT)
                }
                Some(_) => Admission::Refuse(outage.clone()),
            };
            false
        });
        admission
    }

    /// Returns at once while the circuit is closed; while it is open, within [`PROBE_WAIT`], by
    /// then perhaps closed. `start` runs a probe that is due, without waiting for it.
    pub(crate) async fn closed(
        self: &Arc<Self>,
        start: impl FnOnce(ProbeGuard),
    ) -> Result<(), CircuitOpen> {
        let deadline = match self.admit(Instant::now()) {
            Admission::Ask => return Ok(()),
            Admission::Refuse(outage) => return Err(outage.error()),
            Admission::Wait(deadline) => deadline,
            Admission::Probe(probe, deadline) => {
                start(probe);
                deadline
            }
        };
        let outage = self.settled(deadline).await;
        outage.map_or(Ok(()), |outage| Err(outage.error()))
    }

    /// Waits for the running probe until `deadline`. Returns the outage unless the probe ended it.
    async fn settled(&self, deadline: Instant) -> Option<Outage> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| {
            let outage = state.outage.as_ref();
            outage.is_none_or(|outage| outage.probe.is_none())
        });
        match tokio::time::timeout_at(deadline, settled).await {
            Ok(Ok(state)) => state.outage.clone(),
            Ok(Err(_)) | Err(_) => self.outage(),
        }
    }

    /// Notes an answer, whatever it was.
    pub(crate) fn answered(&self, now: Instant) {
        self.close(now, |state| {
            state.last_answer = Some(now);
            state.backoff.reset();
        });
    }

    /// Notes the failure of a call that began at `asked`. An answer since then rules out an outage.
    pub(crate) fn failed(
        &self,
        asked: Instant,
        now: Instant,
        failure: Failure,
        reason: impl FnOnce() -> String,
    ) {
        let mut opened = None;
        self.state.send_if_modified(|state| {
            if state.outage.is_some() || state.last_answer.is_some_and(|answer| answer > asked) {
                return false;
            }
            state.failures += 1;
            if failure == Failure::Error && state.failures < MAX_ERRORS {
                return false;
            }
            let pause = match failure {
                Failure::Stall => Duration::ZERO,
                Failure::Outage | Failure::Error => state.backoff.pause(),
            };
            let reason: Arc<str> = reason().into();
            opened = Some(Arc::clone(&reason));
            state.outage = Some(Outage {
                since: now,
                reason,
                until: now + pause,
                probe: None,
            });
            true
        });
        if let (Some(reason), Some(announce)) = (opened, &self.announce) {
            announce.opened(&reason);
        }
    }

    /// Notes that no byte of a body has come since `last_byte`. Whether other bodies come is another
    /// matter: a probe tells at once whether anything is answered.
    pub(crate) fn stalled(&self, last_byte: Instant, now: Instant) {
        let pause = now.saturating_duration_since(last_byte);
        let reason = || format!("a body stalled for {} ms", pause.as_millis());
        self.failed(last_byte, now, Failure::Stall, reason);
    }

    /// Notes an answered probe. The pause stays long: only the answer to a real call resets it.
    fn recovered(&self, now: Instant) {
        self.close(now, |_| {});
    }

    fn close(&self, now: Instant, note: impl FnOnce(&mut Circuit)) {
        let mut ended = None;
        self.state.send_if_modified(|state| {
            state.failures = 0;
            note(state);
            ended = state.outage.take();
            ended.is_some()
        });
        if let (Some(outage), Some(announce)) = (ended, &self.announce) {
            announce.closed(now.saturating_duration_since(outage.since));
        }
    }

    fn still_down(&self, now: Instant, reason: Option<String>) {
        self.state.send_if_modified(|state| {
            let Some(outage) = &mut state.outage else {
                return false;
            };
            state.backoff.lengthen();
            outage.until = now + state.backoff.pause();
            outage.probe = None;
            if let Some(reason) = reason {
                outage.reason = reason.into();
            }
            true
        });
    }
}

/// The duty to probe. Dropped without a report, the circuit stays open and the next call may probe.
#[derive(Debug)]
pub(crate) struct ProbeGuard(Option<Arc<Health>>);

impl ProbeGuard {
    /// Reports the result of the probe.
    pub(crate) fn report(mut self, now: Instant, outcome: Result<(), Cause>) {
        if let Some(health) = self.0.take() {
            match outcome {
                Ok(()) => health.recovered(now),
                Err(cause) => health.still_down(now, Some(ErrorChain(&cause).to_string())),
            }
        }
    }
}

impl Drop for ProbeGuard {
    fn drop(&mut self) {
        if let Some(health) = self.0.take() {
            health.still_down(Instant::now(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An endpoint that went down at the given time.
    fn down(now: Instant) -> Arc<Health> {
        let health = Health::new();
        health.failed(now, now, Failure::Outage, || "refused".into());
        health
    }

    fn probe(health: &Arc<Health>, now: Instant) -> ProbeGuard {
        match health.admit(now) {
            Admission::Probe(probe, deadline) => {
                assert_eq!(deadline, now + PROBE_WAIT);
                probe
            }
            other => panic!("{other:?}, but the pause is over"),
        }
    }

    #[test]
    fn an_outage_is_remembered_at_once() {
        let now = Instant::now();
        let Admission::Refuse(outage) = down(now).admit(now) else {
            panic!("it is down");
        };
        assert_eq!(&*outage.reason, "refused");
    }

    #[test]
    fn only_errors_in_a_row_open_the_circuit() {
        let (health, now) = (Health::new(), Instant::now());
        let fail = || health.failed(now, now, Failure::Error, String::new);
        (1..MAX_ERRORS).for_each(|_| fail());
        health.answered(now);
        (1..MAX_ERRORS).for_each(|_| fail());
        assert!(matches!(health.admit(now), Admission::Ask));
        fail();
        assert!(matches!(health.admit(now), Admission::Refuse(_)));
    }

    #[test]
    fn a_call_that_fails_while_others_are_answered_is_no_outage() {
        let (health, asked) = (Health::new(), Instant::now());
        let now = asked + Duration::from_secs(1);
        health.answered(now);
        health.failed(asked, now, Failure::Outage, String::new);
        assert!(matches!(health.admit(now), Admission::Ask));
    }

    #[test]
    fn after_a_pause_one_call_probes_and_the_others_wait_briefly() {
        let start = Instant::now();
        let health = down(start);
        let now = start + FIRST_PAUSE;
        let probe = probe(&health, now);
        assert!(matches!(health.admit(now), Admission::Wait(_)));
        assert!(matches!(
            health.admit(now + PROBE_WAIT),
            Admission::Refuse(_)
        ));
        probe.report(now + PROBE_WAIT, Ok(()));
        assert!(matches!(health.admit(now + PROBE_WAIT), Admission::Ask));
    }

    #[test]
    fn each_failed_probe_makes_the_pause_longer_until_a_real_answer() {
        let mut now = Instant::now();
        let health = down(now);
        for factor in [1, 2, 4, 8, 16, 30, 30] {
            let early = now + FIRST_PAUSE * factor / 2;
            let refused = matches!(health.admit(early), Admission::Refuse(_));
            assert!(refused, "{factor}");
            now += FIRST_PAUSE * factor;
            probe(&health, now).report(now, Err(Cause::Status(503)));
        }
        health.answered(now);
        health.failed(now, now, Failure::Outage, String::new);
        probe(&health, now + FIRST_PAUSE);
    }

    #[test]
    fn a_probe_that_is_dropped_makes_way_for_the_next() {
        let start = Instant::now();
        let health = down(start);
        drop(probe(&health, start + FIRST_PAUSE));
        probe(&health, Instant::now() + 3 * FIRST_PAUSE);
    }

    #[test]
    fn a_stalled_body_is_probed_for_at_once_unless_something_was_answered_since() {
        let (health, now) = (Health::new(), Instant::now());
        let last_byte = now.checked_sub(Duration::from_secs(5)).unwrap();
        health.stalled(last_byte, now);
        probe(&health, now).report(now, Ok(()));
        health.answered(now);
        health.stalled(last_byte, now);
        assert!(matches!(health.admit(now), Admission::Ask));
    }

    #[derive(Clone, Debug, Default)]
    struct Told(Arc<parking_lot::Mutex<Vec<String>>>);

    impl Announce for Told {
        fn opened(&self, reason: &str) {
            self.0.lock().push(reason.to_owned());
        }

        fn closed(&self, lasted: Duration) {
            self.0.lock().push(format!("over after {lasted:?}"));
        }
    }

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let (told, now) = (Told::default(), Instant::now());
        let health = Health::announced(told.clone());
        for _ in 0..3 {
            health.failed(now, now, Failure::Outage, || "refused".into());
        }
        let later = now + Duration::from_secs(7);
        probe(&health, now + FIRST_PAUSE).report(later, Ok(()));
        health.answered(later);
        assert_eq!(*told.0.lock(), ["refused", "over after 7s"]);
    }

    #[test]
    fn a_late_answer_ends_the_outage() {
        let now = Instant::now();
        let health = down(now);
        health.answered(now);
        assert!(matches!(health.admit(now), Admission::Ask));
    }

    #[tokio::test]
    async fn a_call_waits_for_the_probe_until_its_deadline() {
        let now = Instant::now();
        let health = down(now);
        let probe = probe(&health, now + FIRST_PAUSE);
        assert!(health.settled(Instant::now()).await.is_some());
        let settled = health.settled(now + Duration::from_mins(1));
        let report = async { probe.report(now, Ok(())) };
        let (settled, ()) = tokio::join!(settled, report);
        assert_eq!(settled, None);
    }
}
