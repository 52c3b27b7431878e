//! Whether a body still comes: its own bytes, and those of the other bodies of the same upstream.
//!
//! A body without a byte has stalled after `idle_timeout`. One that has begun has stalled sooner if
//! others flow meanwhile: then the line is good, and it is this one connection that hangs. Before
//! its first byte an upstream may have to fetch the body itself.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{bodies::Bodies, flow::Flow};
use crate::policy::Health;

/// The longest pause of a body while others flow.
const PAUSE_AMONG_OTHERS: Duration = Duration::from_secs(2);

/// Others flow if one of them has had a byte within this time.
const FLOWS: Duration = Duration::from_secs(1);

/// How often a silent body looks whether others flow.
const LOOK: Duration = Duration::from_millis(250);

/// A first byte gets this long, however little the wait for the headers has left.
const SHORTEST_FIRST_WAIT: Duration = Duration::from_secs(1);

/// How a body stalls: one connection hangs, or nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stall {
    AmongOthers,
    Silence,
}

/// The wait for the bytes of one body.
#[derive(Debug)]
pub(crate) struct Pulse {
    flow: Arc<Flow>,
    /// The circuit of where the body comes from.
    health: Arc<Health>,
    /// All bodies of the endpoint.
    bodies: Arc<Bodies>,
    idle: Duration,
    /// The last byte; at first the headers.
    last: Instant,
    /// How long the next byte may take.
    longest: Duration,
    has_begun: bool,
}

impl Pulse {
    /// The wait for a body whose headers have just come, when its client had `left` to wait.
    pub(super) fn new(
        flow: Arc<Flow>,
        health: Arc<Health>,
        bodies: Arc<Bodies>,
        idle: Duration,
        left: Duration,
    ) -> Self {
        Self {
            flow,
            health,
            bodies,
            idle,
            last: Instant::now(),
            longest: idle.min(left.max(SHORTEST_FIRST_WAIT)),
            has_begun: false,
        }
    }

    /// The output of `piece`, or how long it has been waited for in vain. That counts for the
    /// health of where the body comes from, unless others flow.
    pub(crate) async fn wait<F: Future>(&mut self, piece: F) -> Result<F::Output, Duration> {
        let mut piece = std::pin::pin!(piece);
        // The time in which nobody asked for the body does not count.
        self.last = Instant::now();
        let mut look = self.last + PAUSE_AMONG_OTHERS.min(self.longest);
        loop {
            if let Ok(output) = timeout_at(look, &mut piece).await {
                self.last = Instant::now();
                self.longest = self.idle;
                self.has_begun = true;
                self.flow.note(self.last);
                return Ok(output);
            }
            let now = Instant::now();
            if let Some(stall) = self.stalled_at(now) {
                self.bodies.stalled(self.last, now);
                if stall == Stall::Silence {
                    self.health.stalled(self.last, now);
                }
                return Err(now - self.last);
            }
            look = (look + LOOK).min(self.last + self.longest);
        }
    }

    /// Notes that what came was a byte.
    pub(crate) fn flows(&self) {
        self.bodies.flows(self.last);
    }

    fn stalled_at(&self, now: Instant) -> Option<Stall> {
        let silent = now.saturating_duration_since(self.last);
        let flows = self.flow.last() > self.last && self.flow.last() + FLOWS >= now;
        if flows && self.has_begun && silent >= PAUSE_AMONG_OTHERS {
            Some(Stall::AmongOthers)
        } else {
            (silent >= self.longest).then_some(Stall::Silence)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pulse(idle: Duration, left: Duration) -> (Pulse, Arc<Flow>, Instant) {
        let flow = Arc::new(Flow::new());
        let pulse = Pulse::new(
            Arc::clone(&flow),
            Health::new(),
            Arc::new(Bodies::new()),
            idle,
            left,
        );
        let last = pulse.last;
        (pulse, flow, last)
    }

    #[test]
    fn a_silent_body_stalls_after_the_idle_timeout() {
        let (pulse, _, last) = pulse(5 * SECOND, 9 * SECOND);
        assert_eq!(pulse.stalled_at(last + 4 * SECOND), None);
        assert_eq!(pulse.stalled_at(last + 5 * SECOND), Some(Stall::Silence));
    }

    #[test]
    fn a_silent_body_stalls_after_two_seconds_while_others_flow() {
        let (mut pulse, flow, last) = pulse(5 * SECOND, 9 * SECOND);
        flow.note(last + 2 * SECOND);
        assert_eq!(pulse.stalled_at(last + 2 * SECOND), None, "not begun");
        pulse.has_begun = true;
        pulse.flow = Arc::new(Flow::new());
        let flow = Arc::clone(&pulse.flow);
        flow.note(last + SECOND);
        assert_eq!(
            pulse.stalled_at(last + 3 * SECOND),
            None,
            "others are silent too"
        );
        flow.note(last + 2 * SECOND);
        assert_eq!(
            pulse.stalled_at(last + 2 * SECOND),
            Some(Stall::AmongOthers)
        );
        flow.note(last + SECOND);
        assert_eq!(pulse.flow.last(), flow.last(), "no byte is forgotten");
    }

    #[test]
    fn the_first_byte_shares_the_wait_for_the_headers() {
        let (late, _, last) = pulse(5 * SECOND, 3 * SECOND);
        assert_eq!(late.stalled_at(last + 3 * SECOND), Some(Stall::Silence));
        let (later, _, last) = pulse(5 * SECOND, Duration::ZERO);
        assert_eq!(later.stalled_at(last + SECOND / 2), None);
        assert_eq!(later.stalled_at(last + SECOND), Some(Stall::Silence));
    }

    #[tokio::test]
    async fn a_stall_opens_the_circuit_unless_others_were_answered_since() {
        let idle = Duration::from_millis(20);
        let (mut silent, _, _) = pulse(idle, SECOND);
        assert!(silent.wait(pending::<()>()).await.is_err());
        assert!(silent.health.outage().is_some());

        let (mut silent, _, _) = pulse(idle, SECOND);
        let health = Arc::clone(&silent.health);
        let wait = silent.wait(pending::<()>());
        let answer = async { health.answered(Instant::now() + idle) };
        let (wait, ()) = tokio::join!(wait, answer);
        assert!(wait.is_err());
        assert!(health.outage().is_none());
    }
}
