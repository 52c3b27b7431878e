//! How long one call waits for its permits.

use std::time::Duration;

use tokio::time::Instant;

use super::budget::{Budget, Throttle, Urgency, WaitTooLong};
use crate::error::Resource;

/// How long a call waits for an endpoint's 429 to pass if it need not be made there: a stale copy
/// or another endpoint serves the client sooner.
const OPTIONAL_CALL_WAIT: Duration = Duration::from_secs(1);

/// One call upstream, and how long it may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    resource: Resource,
    urgency: Urgency,
    deadline: Instant,
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
    ) -> Self {
        Self {
            resource,
            urgency,
            deadline: budget.deadline(),
            is_needed: is_last && urgency == Urgency::Pull,
        }
    }

    /// Waits until the endpoint's 429s and the upstream's rates allow one request.
    pub(crate) async fn acquire(
        &self,
        throttle: &Throttle,
        budget: &Budget,
    ) -> Result<(), WaitTooLong> {
        let deadline = if self.is_needed {
            self.deadline
        } else {
            self.deadline.min(Instant::now() + OPTIONAL_CALL_WAIT)
        };
        throttle.acquire(deadline).await?;
        budget
            .acquire(self.resource, self.urgency, self.deadline)
            .await
    }

    /// Whether to repeat the call after `wait`.
    pub(crate) fn may_wait(&self, wait: Duration) -> bool {
        self.is_needed && Instant::now() + wait <= self.deadline
    }
}
