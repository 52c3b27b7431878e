//! Asking a registry: one [`Upstream`] per host, one method per question, and an error that says what to do about it.
//!
//! Every request carries the full `Accept`, never the client's; nothing a client sent reaches an upstream. Answers to digest
//! requests are verified here; blobs are verified by whoever stores them.

mod auth;
mod blob;
mod endpoint;
mod error;
mod inspect;
mod manifest;
mod passthrough;
mod redirect;
mod registry;

use std::sync::Arc;

use self::{auth::Authenticator, endpoint::Endpoint};
pub use self::{
    auth::ecr::EcrTokens,
    blob::BlobBody,
    error::{Absent, Chain, FetchError, Trouble},
    inspect::{Greeting, Inspector},
    passthrough::{Listing, ListingKind},
    registry::Registry,
};
use crate::{config::UpstreamConfig, protocol::host::Host};

/// One upstream registry: its endpoints in order, its credentials, its limits. Shared by all requests that mean it.
#[derive(Debug)]
pub struct Upstream {
    host: Host,
    config: UpstreamConfig,
    endpoints: Vec<Endpoint>,
}

impl Upstream {
    /// An upstream as configured. Builds its HTTP client, so this is done on first use, not at start.
    pub fn new(
        host: Host,
        config: UpstreamConfig,
        ecr: &Arc<EcrTokens>,
    ) -> Result<Self, FetchError> {
        let client = endpoint::client(&host, &config)?;
        let auth = Arc::new(Authenticator::new(&host, &config, client.clone(), ecr));
        let endpoints = config.endpoints.iter().map(|url| {
            Endpoint::new(
                host.clone(),
                url.clone(),
                client.clone(),
                Arc::clone(&auth),
                &config,
            )
        });
        Ok(Self {
            endpoints: endpoints.collect(),
            host,
            config,
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

    /// Asks the endpoints in order. An answer is an answer, a 404 too; only trouble moves on to the next.
    async fn first_answer<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a Endpoint) -> F,
    ) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, FetchError>> + 'a,
    {
        let mut first_trouble = None;
        for endpoint in &self.endpoints {
            match ask(endpoint).await {
                Err(error) if error.is_trouble() => {
                    tracing::debug!(upstream = %self.host, endpoint = endpoint.name(), error = %error.chain(), "an endpoint failed");
                    first_trouble.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        Err(first_trouble.expect("an upstream has at least one endpoint"))
    }
}
