//! Asking a registry: one [`Upstream`] per host, one method per question, and an error that says what to do about it.
//!
//! Every request carries the full `Accept`, never the client's; nothing a client sent reaches an upstream. Answers to digest
//! requests are verified here; blobs are verified by whoever stores them.

mod answer;
mod auth;
mod blob;
mod budget;
mod endpoint;
mod error;
mod health;
mod hedge;
mod inspect;
mod manifest;
mod metrics;
mod passthrough;
mod patience;
mod probe;
mod pushed;
mod redirect;
mod registry;
mod resolver;
mod standing;
mod transport;

use std::sync::Arc;

use config::UpstreamConfig;
use protocol::host::Host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

pub use self::auth::ecr::{Pushed, Unsaid};
use self::{
    auth::Authenticator,
    budget::Budget,
    endpoint::{Endpoint, Shared},
};
pub use self::{
    auth::ecr::EcrTokens,
    blob::{BlobBody, BlobSource, Part},
    budget::Urgency,
    error::{Absent, FetchError, Trouble},
    inspect::{Greeting, Inspector},
    metrics::{UpstreamMetrics, UpstreamTally},
    passthrough::{Listing, ListingKind},
    registry::Registry,
    standing::Standing,
};

/// How many downloads of one upstream may have all their connections at the same time; others get by with fewer.
const PARALLEL_DOWNLOADS: usize = 4;

/// One upstream registry: its endpoints in order, its credentials, its limits. Shared by all requests that mean it.
#[derive(Debug)]
pub struct Upstream {
    host: Host,
    config: UpstreamConfig,
    endpoints: Vec<Endpoint>,
    /// Connections that downloads may have here beside their first.
    extra_connections: Arc<Semaphore>,
}

impl Upstream {
    /// An upstream as configured. Builds its HTTP client, so this is done on first use, not at start.
    pub fn new(
        host: Host,
        config: UpstreamConfig,
        ecr: &Arc<EcrTokens>,
        tally: UpstreamTally,
        tasks: TaskTracker,
    ) -> Result<Self, FetchError> {
        let client = transport::client(&host, &config)?;
        let shared = Arc::new(Shared {
            host: host.clone(),
            client,
            budget: Budget::new(&config.limits),
            header_timeout: config.header_timeout,
            idle_timeout: config.idle_timeout,
            private_hosts: config.private_hosts.clone(),
            tally,
            tasks,
        });
        let last = config.endpoints.len() - 1;
        let endpoints = config.endpoints.iter().enumerate();
        let endpoints = endpoints
            .map(|(at, endpoint)| {
                let auth = Authenticator::new(&host, &config, endpoint, shared.client.clone(), ecr);
                Endpoint::new(Arc::clone(&shared), endpoint.url.clone(), auth, at == last)
            })
            .collect();
        let extra = config.parallel.saturating_sub(1) * PARALLEL_DOWNLOADS;
        Ok(Self {
            extra_connections: Arc::new(Semaphore::new(extra)),
            host,
            config,
            endpoints,
        })
    }

    /// The name it is known by, whatever its endpoints are called.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// How it was configured.
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// The leave for a download to have one more connection here, if the upstream's bound allows it now.
    pub fn extra_connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.extra_connections).try_acquire_owned().ok()
    }

    /// Asks the endpoints in order, those that are down last. An answer is an answer, a 404 too; only trouble moves on to the
    /// next, whose 404 counts for less.
    async fn first_answer<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a Endpoint) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + 'a,
    {
        self.answer_of(&self.in_order(), &ask).await
    }

    /// The same, but the second may be asked while the first takes its time.
    async fn hedged_answer<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a Endpoint) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + 'a,
    {
        let endpoints = self.in_order();
        match (
            self.config.limits.hedge_after,
            endpoints.split_at_checked(1),
        ) {
            (Some(after), Some((first, rest))) if !rest.is_empty() => {
                let (first, rest) = (self.answer_of(first, &ask), self.answer_of(rest, &ask));
                hedge::hedged(after, first, rest).await
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
        let mut first_trouble = None;
        for endpoint in endpoints {
            let answer = match endpoint.awake().await {
                Ok(()) => ask(endpoint).await,
                Err(resting) => Err(resting),
            };
            endpoint.shared.tally.answer(answer.as_ref().err());
            match answer {
                Err(error) if error.is_trouble() => {
                    tracing::debug!(upstream = %self.host, endpoint = endpoint.name(), error = %error.chain(), "an endpoint failed");
                    first_trouble.get_or_insert(error);
                }
                Err(FetchError::Absent { upstream, what, .. }) => {
                    return Err(FetchError::Absent {
                        upstream,
                        what,
                        by_stand_in: !std::ptr::eq(*endpoint, &raw const self.endpoints[0]),
                    });
                }
                answer => return answer,
            }
        }
        Err(first_trouble.expect("an upstream has at least one endpoint"))
    }

    /// The endpoints as configured, but those that are down last. They are looked after meanwhile, so that the first one is
    /// asked again when it is back.
    fn in_order(&self) -> Vec<&Endpoint> {
        let (well, down): (Vec<_>, Vec<_>) = self
            .endpoints
            .iter()
            .partition(|endpoint| endpoint.health.outage().is_none());
        if !well.is_empty() {
            for endpoint in &down {
                endpoint.look();
            }
        }
        [well, down].concat()
    }
}
