//! The deadlines of a connection that no library has, judged once in a while for all connections.
//!
//! hyper ends an HTTP/1 connection whose client asks no more, and the kernel one whose client does
//! not read (`TCP_USER_TIMEOUT`, see `listeners`). An HTTP/2 client can do neither while its
//! connection lives on pings: its streams have windows of their own. Nor does hyper tell the time
//! between two heads from that within one, which is shorter.

use std::time::Duration;

use config::Server as Limits;

use crate::{
    activity::{Activity, Tick, Waiting},
    tls::Protocol,
};

/// The longest time between two sweeps.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// How long connections may wait for their clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// For the first request, and for any head that has begun.
    head: Duration,
    next_request: Duration,
    send: Duration,
}

/// What happens to a connection, and the reason as its metric has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No further requests; those that are open may end.
    End(&'static str),
    /// It is cut.
    Cut(&'static str),
}

impl Rules {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            head: limits.header_timeout,
            next_request: limits.idle_timeout,
            send: limits.send_timeout,
        }
    }

    /// The time between two sweeps: short against the deadlines.
    pub(crate) fn interval(&self) -> Duration {
        let shortest = self.head.min(self.next_request).min(self.send);
        (shortest / 4).clamp(Duration::from_millis(10), MAX_INTERVAL)
    }
}

/// What happens to a connection that has been asked to end at `leaving`, if it has.
pub(crate) fn judge(
    activity: &Activity,
    leaving: Option<Tick>,
    now: Tick,
    rules: &Rules,
) -> Option<Verdict> {
    match activity.protocol()? {
        Protocol::Http1 => judge_http1(activity, now, rules),
        Protocol::Http2 => judge_http2(activity, leaving, now, rules),
    }
}

fn judge_http1(activity: &Activity, now: Tick, rules: &Rules) -> Option<Verdict> {
    let (waiting, since) = activity.waiting();
    let is_asking = matches!(waiting, Waiting::FirstRequest | Waiting::Head);
    (is_asking && now.since(since) >= rules.head).then_some(Verdict::Cut("head"))
}

fn judge_http2(
    activity: &Activity,
    leaving: Option<Tick>,
    now: Tick,
    rules: &Rules,
) -> Option<Verdict> {
    let (waiting, since) = activity.waiting();
    let rested = now.since(since);
    if waiting == Waiting::Client && rested >= rules.send {
        return Some(Verdict::Cut("stalled"));
    }
    let is_idle = matches!(waiting, Waiting::FirstRequest | Waiting::NextRequest);
    if let Some(leaving) = leaving {
        // Whoever answers the farewell is gone by now, and so is who had little left to read.
        let is_over = now.since(leaving) >= rules.head
            && ((is_idle && rested >= rules.head) || activity.take_abuse());
        return is_over.then_some(Verdict::Cut("idle"));
    }
    if activity.take_abuse() {
        return Some(Verdict::End("resets"));
    }
    let patience = match waiting {
        Waiting::FirstRequest => rules.head,
        Waiting::NextRequest => rules.next_request,
        Waiting::Head | Waiting::Client | Waiting::Us => return None,
    };
    (rested >= patience).then_some(Verdict::End("idle"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::End;

    const RULES: Rules = Rules {
        head: Duration::from_secs(10),
        next_request: Duration::from_mins(1),
        send: Duration::from_secs(30),
    };

    /// A connection that `begun` since a moment ago.
    fn connection(begun: impl Fn(&Activity)) -> Activity {
        let activity = Activity::new();
        activity.speak(Protocol::Http2);
        begun(&activity);
        activity
    }

    /// What happens to it after so many seconds without a move.
    fn after(activity: &Activity, leaving: Option<Tick>, seconds: u64) -> Option<Verdict> {
        let now = Tick::now().plus(Duration::from_secs(seconds));
        judge(activity, leaving, now, &RULES)
    }

    #[test]
    fn each_kind_of_waiting_has_its_own_patience() {
        let fresh = connection(|_| {});
        assert_eq!(after(&fresh, None, 9), None);
        assert_eq!(after(&fresh, None, 11), Some(Verdict::End("idle")));

        let served = connection(|activity| {
            activity.begin();
            activity.end(End::Whole);
        });
        assert_eq!(after(&served, None, 59), None);
        assert_eq!(after(&served, None, 61), Some(Verdict::End("idle")));

        let unread = connection(|activity| {
            activity.begin();
            activity.stall();
        });
        assert_eq!(after(&unread, None, 29), None);
        assert_eq!(after(&unread, None, 31), Some(Verdict::Cut("stalled")));

        let ours = connection(Activity::begin);
        assert_eq!(after(&ours, None, 3600), None, "it waits for us");
    }

    #[test]
    fn who_was_asked_to_end_and_does_not_is_cut_but_not_while_it_is_served() {
        let now = Tick::now();
        let idle = connection(|_| {});
        assert_eq!(after(&idle, Some(now), 9), None);
        assert_eq!(after(&idle, Some(now), 11), Some(Verdict::Cut("idle")));
        let served = connection(Activity::begin);
        assert_eq!(after(&served, Some(now), 3600), None);
    }

    #[test]
    fn http1_has_a_deadline_here_while_its_client_is_asking_and_the_others_elsewhere() {
        let late = Some(Verdict::Cut("head"));
        let activity = Activity::new();
        assert_eq!(
            after(&activity, None, 3600),
            None,
            "a handshake has its own"
        );
        activity.speak(Protocol::Http1);
        assert_eq!(after(&activity, None, 9), None);
        assert_eq!(after(&activity, None, 11), late);
        activity.begin();
        activity.stall();
        assert_eq!(after(&activity, None, 3600), None, "the kernel's");
        activity.unstall();
        activity.end(End::Whole);
        assert_eq!(after(&activity, None, 3600), None, "hyper's");
        activity.hear();
        assert_eq!(after(&activity, None, 9), None);
        assert_eq!(after(&activity, None, 11), late);
        let now = Tick::now();
        assert_eq!(after(&activity, Some(now), 11), late, "it does not leave");
    }
}
