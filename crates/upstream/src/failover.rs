//! The endpoints of one upstream, and the order in which they are asked: as configured, but those
//! that are down last.

use std::time::Duration;

use protocol::host::{Host, HostPattern};

use crate::{
    auth::{EcrKey, EcrTokens},
    endpoint::Endpoint,
    error::FetchError,
    metrics::UpstreamTally,
    policy::{EndpointStatus, hedge::hedged},
};

/// The endpoints of one upstream as configured, the first one preferred.
#[derive(Debug)]
pub(crate) struct Endpoints {
    host: Host,
    all: Vec<Endpoint>,
    /// After how long the second is asked too; never without it.
    hedge_after: Option<Duration>,
    tally: UpstreamTally,
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
        }
    }

    pub(crate) fn get(&self, position: usize) -> &Endpoint {
        &self.all[position]
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

    /// The ECR tokens of the first endpoint that has some.
    pub(crate) fn ecr(&self) -> Option<(&EcrTokens, &EcrKey)> {
        self.all.iter().find_map(Endpoint::ecr)
    }

    /// Asks the endpoints in order, those that are down last. Only a failure moves on to the next
    /// endpoint; a 404 is an answer, and is marked if a fallback gave it.
    pub(crate) async fn first_answer<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a Endpoint) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + 'a,
    {
        self.answer_of(&self.in_order(), &ask).await
    }

    /// As [`Self::first_answer`], but the second endpoint is asked too while the first is slow.
    pub(crate) async fn hedged_answer<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a Endpoint) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + 'a,
    {
        let endpoints = self.in_order();
        match (self.hedge_after, endpoints.split_at_checked(1)) {
            (Some(after), Some((first, rest))) if !rest.is_empty() => {
                let (first, rest) = (self.answer_of(first, &ask), self.answer_of(rest, &ask));
                hedged(after, first, rest).await
            }
            _ => self.answer_of(&endpoints, &ask).await,
        }
    }

    async fn answer_of<'a, T, F>(
        &'a self,
        endpoints: &[&'a Endpoint],
        ask: &impl Fn(&'a Endpoint) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + 'a,
    {
        let mut first_failure = None;
        for endpoint in endpoints {
            let answer = match endpoint.ready().await {
                Ok(()) => ask(endpoint).await,
                Err(open) => Err(open),
            };
            self.tally.answer(answer.as_ref().err());
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
                Err(FetchError::NotFound { upstream, what, .. }) => {
                    return Err(FetchError::NotFound {
                        upstream,
                        what,
                        from_fallback: self.position(endpoint) != Some(0),
                    });
                }
                answer => return answer,
            }
        }
        Err(first_failure.expect("an upstream has at least one endpoint"))
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
