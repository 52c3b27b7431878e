//! How long one call waits for its permits.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    budget::{Budget, Urgency, WaitTooLong},
    deadline::Deadline,
    throttles::Throttles,
};
use crate::error::{CallKind, Resource};

/// How long a call waits for an endpoint's 429 to pass if it need not be made there: a stale copy
/// or another endpoint serves the client sooner.
const OPTIONAL_CALL_WAIT: Duration = Duration::from_millis(500);

/// How long a call waits for an endpoint's 429 to pass after another has waited in vain: long enough
/// for the spacing of calls that go one by one.
const IN_VAIN_WAIT: Duration = Duration::from_millis(500);

/// One call upstream, and how long it may wait.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    kind: CallKind,
    urgency: Urgency,
    /// When the wait for rate limits ends.
    patience: Instant,
    deadline: Deadline,
    /// Nobody else can answer: a client has nothing, and there is no other endpoint.
    is_needed: bool,
}

impl Call {
    /// A call that begins now. `is_last` is whether no endpoint comes after the one called.
    pub(crate) fn new(
        resource: Resource,
        urgency: Urgency,
        budget: &Budget,
        is_last: bool,
        deadline: &Deadline,
    ) -> Self {
        Self {
            kind: CallKind::of(resource),
            urgency,
            patience: budget.patience_from(deadline.started()),
            deadline: deadline.clone(),
            is_needed: is_last && urgency == Urgency::Pull,
        }
    }

    /// What it asks for, as far as registries limit that apart.
    pub(crate) fn kind(&self) -> CallKind {
        self.kind
    }

    /// Waits until the endpoint's 429s and the upstream's rates allow one request.
    pub(crate) async fn acquire(
        &self,
        throttles: &Throttles,
        budget: &Budget,
    ) -> Result<(), WaitTooLong> {
        let (now, throttle) = (Instant::now(), throttles.of(self.kind));
        let until = if throttle.is_in_vain() {
            now + IN_VAIN_WAIT
        } else if self.is_needed {
            self.patience
        } else {
            self.patience.min(now + OPTIONAL_CALL_WAIT)
        };
        let permit = async {
            throttle.acquire(until).await?;
            budget.acquire(self.kind, self.urgency, self.patience).await
        };
        self.deadline.hold(permit).await
    }

    /// Whether nobody else can answer.
    pub(crate) fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// Whether to repeat the call after `wait`.
    pub(crate) fn may_wait(&self, wait: Duration) -> bool {
        self.is_needed && Instant::now() + wait <= self.patience
    }

    /// The client's wait, of which each request of the call gets what is left.
    pub(crate) fn deadline(&self) -> &Deadline {
        &self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_call_for_the_same_client_has_what_the_first_has_left_of_its_patience() {
        let config = config::Config::parse("archway.toml", "").unwrap();
        let upstream = config.upstreams.find(&"docker.io".parse().unwrap());
        let upstream = upstream.unwrap();
        let budget = Budget::new(&upstream.limits);
        let seconds = Duration::from_secs;
        let began = Instant::now().checked_sub(seconds(10)).unwrap();
        let deadline = Deadline::new(&upstream).renewed(began);
        let call = |is_last| {
            Call::new(
                Resource::Blob,
                Urgency::Pull,
                &budget,
                is_last,
                &deadline.clone(),
            )
        };
        assert!(call(true).may_wait(seconds(4)), "15 s in all");
        assert!(!call(true).may_wait(seconds(6)));
        assert!(
            !call(false).may_wait(seconds(1)),
            "another endpoint is asked"
        );
    }
}
