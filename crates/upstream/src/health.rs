//! Whether an endpoint is worth asking: a breaker that opens on an outage and closes when a probe is answered.
//!
//! While it is open nobody waits for the endpoint's timeouts; a client with nothing cached is told at once and turns to its next
//! host. After a pause, the next who asks sets off one probe, in the background, and gives it a moment; nobody polls an upstream
//! that nobody wants.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::error::Trouble;

/// The first pause before a probe; it doubles with each that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long those who come when a probe starts wait for it.
pub(super) const GLANCE: Duration = Duration::from_millis(400);

/// Failures in a row that come at once, and so keep nobody waiting, until the endpoint is left alone.
const MOST_FAILURES: u32 = 5;

/// How an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It let us wait, or nothing listens there: the next would fare no better.
    Outage,
    /// It answered with an error or hung up: the next may fare better.
    Error,
}

/// Why an endpoint is not asked, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When it began.
    pub since: Instant,
    /// What happened last, without URLs.
    pub reason: Arc<str>,
    /// The earliest time of the next probe.
    pub until: Instant,
    probe: Option<Instant>,
}

impl Outage {
    /// What who would have asked is told.
    pub(super) fn trouble(&self) -> Trouble {
        Trouble::Resting {
            reason: self.reason.clone(),
            retry_in: self.until.saturating_duration_since(Instant::now()),
        }
    }
}

#[derive(Clone, Debug)]
struct State {
    outage: Option<Outage>,
    failures: u32,
    last_answer: Option<Instant>,
    pause: Duration,
}

/// What to do with a call.
#[derive(Debug)]
pub(super) enum Admission {
    /// Ask.
    Ask,
    /// Do not.
    Refuse(Outage),
    /// Run this probe, and wait for its outcome until then.
    Probe(Probe, Instant),
    /// Wait until then for the probe that runs.
    Wait(Instant),
}

/// The memory of one endpoint.
#[derive(Debug)]
pub(super) struct Health {
    state: watch::Sender<State>,
}

impl Health {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: watch::Sender::new(State {
                outage: None,
                failures: 0,
                last_answer: None,
                pause: FIRST_PAUSE,
            }),
        })
    }

    /// Why it is not asked; `None` while it is.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.state.borrow().outage.clone()
    }

    /// Whether a call may go that comes at `now`.
    pub(super) fn admit(self: &Arc<Self>, now: Instant) -> Admission {
        let mut admission = Admission::Ask;
        self.state.send_if_modified(|state| {
            let Some(outage) = &mut state.outage else {
                return false;
            };
            admission = match outage.probe {
                None if now < outage.until => Admission::Refuse(outage.clone()),
                None => {
                    outage.probe = Some(now);
                    Admission::Probe(Probe(Some(Arc::clone(self))), now + GLANCE)
                }
                Some(started) if now < started + GLANCE => Admission::Wait(started + GLANCE),
                Some(_) => Admission::Refuse(outage.clone()),
            };
            false
        });
        admission
    }

    /// Returns once it may be asked, which is at once while all is well; the outage, within a moment, while it is down. A probe
    /// that is due is handed to `start`, which does not wait for it.
    pub(super) async fn awake(self: &Arc<Self>, start: impl FnOnce(Probe)) -> Result<(), Outage> {
        let deadline = match self.admit(Instant::now()) {
            Admission::Ask => return Ok(()),
            Admission::Refuse(outage) => return Err(outage),
            Admission::Wait(deadline) => deadline,
            Admission::Probe(probe, deadline) => {
                start(probe);
                deadline
            }
        };
        self.settled(deadline).await.map_or(Ok(()), Err)
    }

    /// Waits for the probe that runs; the outage if it goes on, also when `deadline` comes first.
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

    /// It answered, with whatever.
    pub(super) fn answered(&self, now: Instant) {
        self.state.send_if_modified(|state| {
            state.failures = 0;
            state.last_answer = Some(now);
            state.pause = FIRST_PAUSE;
            state.outage.take().is_some()
        });
    }

    /// It failed a call that began at `asked`. What was answered since then speaks against an outage.
    pub(super) fn failed(
        &self,
        asked: Instant,
        now: Instant,
        failure: Failure,
        reason: impl FnOnce() -> String,
    ) {
        self.state.send_if_modified(|state| {
            if state.outage.is_some() || state.last_answer.is_some_and(|answer| answer > asked) {
                return false;
            }
            state.failures += 1;
            if failure == Failure::Error && state.failures < MOST_FAILURES {
                return false;
            }
            state.outage = Some(Outage {
                since: now,
                reason: reason().into(),
                until: now + state.pause,
                probe: None,
            });
            true
        });
    }

    /// The probe was answered. The pause is kept: only a real answer shows that all is well.
    fn recovered(&self) {
        self.state.send_if_modified(|state| {
            state.failures = 0;
            state.outage.take().is_some()
        });
    }

    fn still_down(&self, now: Instant, reason: Option<String>) {
        self.state.send_if_modified(|state| {
            let Some(outage) = &mut state.outage else {
                return false;
            };
            state.pause = (state.pause * 2).min(LONGEST_PAUSE);
            outage.until = now + state.pause;
            outage.probe = None;
            if let Some(reason) = reason {
                outage.reason = reason.into();
            }
            true
        });
    }
}

/// The duty to find out. Dropped without a verdict, the endpoint stays as it is, and the next may probe.
#[derive(Debug)]
pub(super) struct Probe(Option<Arc<Health>>);

impl Probe {
    /// Says how it went; the error is the reason.
    pub(super) fn report(mut self, now: Instant, outcome: Result<(), String>) {
        if let Some(health) = self.0.take() {
            match outcome {
                Ok(()) => health.recovered(),
                Err(reason) => health.still_down(now, Some(reason)),
            }
        }
    }
}

impl Drop for Probe {
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

    fn probe(health: &Arc<Health>, now: Instant) -> Probe {
        match health.admit(now) {
            Admission::Probe(probe, deadline) => {
                assert_eq!(deadline, now + GLANCE);
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
    fn errors_that_come_at_once_have_to_come_in_a_row() {
        let (health, now) = (Health::new(), Instant::now());
        let fail = || health.failed(now, now, Failure::Error, String::new);
        (1..MOST_FAILURES).for_each(|_| fail());
        health.answered(now);
        (1..MOST_FAILURES).for_each(|_| fail());
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
    fn after_a_pause_one_probes_and_the_others_wait_a_moment() {
        let start = Instant::now();
        let health = down(start);
        let now = start + FIRST_PAUSE;
        let probe = probe(&health, now);
        assert!(matches!(health.admit(now), Admission::Wait(_)));
        assert!(matches!(health.admit(now + GLANCE), Admission::Refuse(_)));
        probe.report(now + GLANCE, Ok(()));
        assert!(matches!(health.admit(now + GLANCE), Admission::Ask));
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
            probe(&health, now).report(now, Err("still refused".into()));
        }
        health.answered(now);
        health.failed(now, now, Failure::Outage, String::new);
        probe(&health, now + FIRST_PAUSE);
    }

    #[test]
    fn a_probe_that_gets_lost_leaves_its_place_to_the_next() {
        let start = Instant::now();
        let health = down(start);
        drop(probe(&health, start + FIRST_PAUSE));
        probe(&health, Instant::now() + 3 * FIRST_PAUSE);
    }

    #[test]
    fn a_late_answer_ends_the_outage() {
        let now = Instant::now();
        let health = down(now);
        health.answered(now);
        assert!(matches!(health.admit(now), Admission::Ask));
    }

    #[tokio::test]
    async fn who_waits_for_a_probe_has_its_outcome_or_leaves() {
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
