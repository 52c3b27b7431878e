//! Asking an endpoint within what it and its upstream allow, and waiting where that is worth it.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use tokio::time::Instant;

use super::{
    answer::{is_signature_refusal, retry_after},
    budget::{Kind, TooLong, Urgency},
    endpoint::{Ask, Endpoint},
    error::FetchError,
};

/// The pause after a store's 429 that names none, and the shortest if it names one.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How long a call that need not be made waits out an endpoint's 429.
const NO_PATIENCE: Duration = Duration::from_secs(1);

/// Whose turn a call is, and until when.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    kind: Kind,
    urgency: Urgency,
    deadline: Instant,
}

impl Endpoint {
    /// [`Self::ask_as`] for a client that has nothing.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Response, FetchError> {
        self.ask_as(Urgency::Pull, ask).await
    }

    /// The answer, if it is a good one: 2xx or 304.
    ///
    /// A 429 is waited out while that is shorter than the upstream's `patience`.
    pub(super) async fn ask_as(
        &self,
        urgency: Urgency,
        ask: Ask<'_>,
    ) -> Result<Response, FetchError> {
        let turn = Turn {
            kind: ask.kind(),
            urgency,
            deadline: self.shared.budget.deadline(),
        };
        loop {
            let asked = Instant::now();
            // Boxed: what asks is deep already, and a call upstream is no hot path.
            let response = Box::pin(self.ask_twice(&ask, turn)).await?;
            if response.status() != StatusCode::TOO_MANY_REQUESTS {
                return self.judge(response, ask.absent).await;
            }
            let wait = self.throttled(asked, &response);
            let may_wait = self.is_last && urgency == Urgency::Pull;
            if !may_wait || Instant::now() + wait > turn.deadline {
                return Err(self.too_many(TooLong(wait)));
            }
            // The registry's own pause is everybody's, and waited out where each call takes its turn.
            if self.is_elsewhere(&response) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// A store that refuses a signed URL gets a fresh one, once: the first may have expired on the way.
    async fn ask_twice(&self, ask: &Ask<'_>, turn: Turn) -> Result<Response, FetchError> {
        let response = self.try_ask(ask, turn).await?;
        if self.is_elsewhere(&response) && is_signature_refusal(response.status()) {
            return self.try_ask(ask, turn).await;
        }
        Ok(response)
    }

    /// How long nobody asks again.
    fn throttled(&self, asked: Instant, response: &Response) -> Duration {
        let retry_after = retry_after(response.headers());
        if self.is_elsewhere(response) {
            retry_after.unwrap_or(STORE_PAUSE).max(STORE_PAUSE)
        } else {
            self.throttle.throttled(asked, retry_after)
        }
    }

    /// Waits for a call's turn.
    pub(super) async fn turn(&self, turn: Turn) -> Result<(), FetchError> {
        let patient = self.is_last && turn.urgency == Urgency::Pull;
        let deadline = if patient {
            turn.deadline
        } else {
            turn.deadline.min(Instant::now() + NO_PATIENCE)
        };
        let held = self.throttle.pass(deadline).await;
        held.map_err(|wait| self.too_many(wait))?;
        let budget = &self.shared.budget;
        let passed = budget.pass(turn.kind, turn.urgency, turn.deadline).await;
        passed.map_err(|wait| self.too_many(wait))
    }

    fn too_many(&self, TooLong(wait): TooLong) -> FetchError {
        FetchError::Throttled {
            upstream: self.host().clone(),
            retry_after: Some(wait),
        }
    }
}
