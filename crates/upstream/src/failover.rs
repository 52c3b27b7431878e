//! The endpoints of one upstream, and the order in which they are asked: as configured, but those
//! that are down last.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use protocol::host::{Host, HostPattern};
use tally::UpstreamTally;
use tokio::time::Instant;

use crate::{
    auth::{EcrKey, EcrTokens},
    endpoint::{Endpoint, Turn},
    error::FetchError,
    metrics,
    policy::{Deadline, EndpointStatus, Pause, hedge::hedged},
};

/// The endpoints of one upstream as configured, the first one preferred.
#[derive(Debug)]
pub(crate) struct Endpoints {
    host: Host,
    /// The parents first.
    all: Vec<Endpoint>,
    /// After how long the second is asked too; never without it.
    hedge_after: Option<Duration>,
    tally: UpstreamTally,
    /// Whether one of them has given what it was asked for.
    proven: AtomicBool,
}

impl Endpoints {
    /// `all` has at least one endpoint.
    pub(crate) fn new(
        host: Host,
        all: Vec<Endpoint>,
        hedge_after: Option<Duration>,
        tally: UpstreamTally,
    ) -> Self {
        Self {
            host,
            all,
            hedge_after,
            tally,
            proven: AtomicBool::new(false),
        }
    }

    /// Whether one of them has ever given what it was asked for.
    pub(crate) fn are_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// The counters of the upstream.
    pub(crate) fn tally(&self) -> &UpstreamTally {
        &self.tally
    }

    pub(crate) fn get(&self, position: usize) -> &Endpoint {
        &self.all[position]
    }

    /// The positions of those whose bodies are in doubt and due to be tried, while there are others.
    pub(crate) fn doubtful(&self, now: Instant) -> Vec<usize> {
        let all = || self.all.iter().enumerate();
        let up = || all().filter(|(_, endpoint)| endpoint.is_up());
        if up().all(|(_, endpoint)| endpoint.bodies().are_in_doubt()) {
            return Vec::new();
        }
        let doubtful = up().filter(|(_, endpoint)| endpoint.bodies().are_in_doubt());
        let due = doubtful.filter(|(_, endpoint)| endpoint.bodies().are_due(now));
        due.map(|(position, _)| position).collect()
    }

    pub(crate) fn position(&self, endpoint: &Endpoint) -> Option<usize> {
        self.all
            .iter()
            .position(|known| std::ptr::eq(known, endpoint))
    }

    /// The state of each endpoint. Only the first counts the calls that wait, since they wait for
    /// the upstream as a whole.
    pub(crate) fn statuses(&self, pattern: &HostPattern) -> Vec<EndpointStatus> {
        let mut statuses: Vec<_> = self
            .all
            .iter()
            .map(|endpoint| endpoint.status(pattern))
            .collect();
        for other in statuses.iter_mut().skip(1) {
            other.waiting = 0;
        }
        statuses
    }

    /// Holds back calls to one of them, by its URL as its state has it.
    pub(crate) fn pause(&self, endpoint: &str, pause: Pause) {
        let mut named = self.all.iter();
        let named = named.find(|one| one.name().trim_end_matches('/') == endpoint);
        if let Some(named) = named {
            named.pause(pause);
        }
    }

    /// The ECR tokens of the first endpoint that has some.
    pub(crate) fn ecr(&self) -> Option<(&EcrTokens, &EcrKey)> {
        self.all.iter().find_map(Endpoint::ecr)
    }

    /// Asks the endpoints in order, those that are down last. Only a failure moves on to the next
    /// endpoint; a 404 is an answer, and is marked if a fallback gave it. One of a parent is none: it
    /// need not know the registry, and remembers for itself what is not there. An endpoint gets at
    /// most half of the client's wait while there is another to ask.
    pub(crate) async fn first_answer<'a, T, F>(
        &'a self,
        deadline: &Deadline,
        ask: impl Fn(Turn<'a>) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + Send + 'a,
    {
        self.first_answer_after(None, deadline, ask).await
    }

    /// As [`Self::first_answer`], for the body of a blob: the endpoint at position `last`, and those
    /// whose bodies are in doubt, are asked after the others that are up.
    pub(crate) async fn first_answer_after<'a, T, F>(
        &'a self,
        last: Option<usize>,
        deadline: &Deadline,
        ask: impl Fn(Turn<'a>) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + Send + 'a,
    {
        let mut endpoints = self.in_order();
        let last = last.map(|last| self.get(last));
        // Stable: what is left is in its order.
        endpoints.sort_by_key(|endpoint| {
            let is_last = last.is_some_and(|last| std::ptr::eq(*endpoint, last));
            let is_up = endpoint.is_up();
            (
                !is_up,
                is_up && (is_last || endpoint.bodies().are_in_doubt()),
            )
        });
        self.answer_of(&endpoints, deadline, &ask).await
    }

    /// As [`Self::first_answer`], but the second endpoint is asked too while the first is slow; not
    /// where there are parents.
    pub(crate) async fn hedged_answer<'a, T, F>(
        &'a self,
        deadline: &Deadline,
        ask: impl Fn(Turn<'a>) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + Send + 'a,
    {
        let endpoints = self.in_order();
        // A parent's "not found" is no answer, so a parent may not be the only one asked.
        let hedge_after = self
            .hedge_after
            .filter(|_| !self.all.iter().any(Endpoint::is_parent));
        match (hedge_after, endpoints.split_at_checked(1)) {
            (Some(after), Some((first, rest))) if !rest.is_empty() => {
                let share = share(deadline, rest);
                let first = self.answer_of(first, &share, &ask);
                let rest = self.answer_of(rest, deadline, &ask);
                hedged(after, first, rest).await
            }
            _ => self.answer_of(&endpoints, deadline, &ask).await,
        }
    }

    async fn answer_of<'a, T, F>(
        &'a self,
        endpoints: &[&'a Endpoint],
        deadline: &Deadline,
        ask: &impl Fn(Turn<'a>) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + Send + 'a,
    {
        let mut first_failure = None;
        for (at, endpoint) in endpoints.iter().copied().enumerate() {
            if first_failure.is_some() && deadline.is_over() {
                break;
            }
            let answer = match endpoint.ready().await {
                Ok(()) => {
                    let turn = Turn::new(endpoint, share(deadline, &endpoints[at + 1..]));
                    // Boxed: a call upstream is no hot path, and the types would nest too deep.
                    ask(turn).boxed().await
                }
                Err(open) => Err(open),
            };
            if answer.is_ok() {
                self.proven.store(true, Ordering::Relaxed);
            }
            metrics::count(&self.tally, answer.as_ref().err());
            match answer {
                Err(error) if error.allows_failover() => {
                    tracing::debug!(
                        upstream = %self.host,
                        endpoint = endpoint.name(),
                        error = %error.chain(),
                        "an endpoint failed"
                    );
                    first_failure.get_or_insert(error);
                }
                Err(FetchError::NotFound { .. }) if endpoint.is_parent() => {}
                Err(FetchError::NotFound { upstream, what, .. }) => {
                    return Err(FetchError::NotFound {
                        upstream,
                        what,
                        from_fallback: self.is_fallback(endpoint),
                    });
                }
                answer => return answer,
            }
        }
        Err(first_failure.expect("an upstream has at least one endpoint that is no parent"))
    }

    fn is_fallback(&self, endpoint: &Endpoint) -> bool {
        let first = self.all.iter().find(|endpoint| !endpoint.is_parent());
        !first.is_some_and(|first| std::ptr::eq(first, endpoint))
    }

    /// The endpoints as configured, but those that are down last. These are probed meanwhile, so
    /// that the first one is asked again when it is back.
    fn in_order(&self) -> Vec<&Endpoint> {
        let (up, down): (Vec<_>, Vec<_>) = self.all.iter().partition(|endpoint| endpoint.is_up());
        if !up.is_empty() {
            for endpoint in &down {
                endpoint.probe_if_due();
            }
        }
        [up, down].concat()
    }
}

/// What an endpoint gets of the client's wait before the next ones are asked.
fn share(deadline: &Deadline, next: &[&Endpoint]) -> Deadline {
    if next.iter().any(|endpoint| endpoint.is_up()) {
        deadline.half()
    } else {
        deadline.clone()
    }
}
