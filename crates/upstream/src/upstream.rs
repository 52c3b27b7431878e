//! One upstream registry: one method per question.

use std::sync::Arc;

use config::UpstreamConfig;
use manifest_model::{Digest, Manifest, Reference, RepoName, Tag};
use protocol::host::Host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::{
    auth::{Authenticator, EcrRepository, EcrTokens, ImagePushTimes},
    blob,
    endpoint::{Endpoint, Shared},
    error::FetchError,
    failover::Endpoints,
    lists::{self, Listing, ListingKind},
    manifest,
    metrics::UpstreamTally,
    policy::{Budget, EndpointStatus, Urgency},
    transport,
};

/// How many downloads of one upstream may have all their connections at the same time; further ones
/// get by with fewer.
const PARALLEL_DOWNLOADS: usize = 4;

/// One upstream registry: its endpoints in order, its credentials, its limits. All requests to it
/// share one value.
#[derive(Debug)]
pub struct Upstream {
    host: Host,
    config: UpstreamConfig,
    endpoints: Endpoints,
    /// The connections that downloads may have here beside their first.
    extra_connections: Arc<Semaphore>,
}

impl Upstream {
    /// An upstream as configured. It builds an HTTP client, so it is made on first use and not at
    /// the start.
    pub fn new(
        host: Host,
        config: UpstreamConfig,
        ecr: &Arc<EcrTokens>,
        tally: UpstreamTally,
        tasks: TaskTracker,
    ) -> Result<Self, FetchError> {
        let client = transport::client(&host, &config)?;
        let budget = Budget::new(&config.limits);
        let shared = Arc::new(Shared::new(
            host.clone(),
            &config,
            client.clone(),
            budget,
            tally.clone(),
            tasks,
        ));
        let last = config.endpoints.len() - 1;
        let endpoints = config.endpoints.iter().enumerate();
        let endpoints = endpoints
            .map(|(at, endpoint)| {
                let auth = Authenticator::new(&host, &config, endpoint, client.clone(), ecr);
                Endpoint::new(Arc::clone(&shared), endpoint.url.clone(), auth, at == last)
            })
            .collect();
        let hedge_after = config.limits.hedge_after;
        let extra = config.parallel.saturating_sub(1) * PARALLEL_DOWNLOADS;
        Ok(Self {
            extra_connections: Arc::new(Semaphore::new(extra)),
            endpoints: Endpoints::new(host.clone(), endpoints, hedge_after, tally),
            host,
            config,
        })
    }

    /// The name of the upstream, which its endpoints need not have.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The configuration of the upstream.
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// A permit for one more connection of a download, if the upstream's limit allows it now.
    pub fn extra_connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.extra_connections).try_acquire_owned().ok()
    }

    /// The endpoints in their order, as operators see them.
    pub fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        self.endpoints.statuses(&self.config.pattern)
    }

    /// A manifest, its bytes verified: by digest against the digest asked for; by tag the digest is
    /// the hash of the bytes, in the algorithm of the upstream's own digest header.
    pub async fn manifest(
        &self,
        repository: &RepoName,
        reference: &Reference,
    ) -> Result<Manifest, FetchError> {
        self.endpoints
            .hedged_answer(|endpoint| manifest::fetch(endpoint, repository, reference))
            .await
    }

    /// The manifest of `tag`, or `None` if its digest is still `known`: for registries that do not
    /// tell the digest of a tag.
    pub async fn manifest_unless(
        &self,
        repository: &RepoName,
        tag: &Tag,
        known: &Digest,
    ) -> Result<Option<Manifest>, FetchError> {
        let reference = &Reference::Tag(tag.clone());
        self.endpoints
            .hedged_answer(|endpoint| {
                manifest::fetch_unless(endpoint, repository, reference, Some(known))
            })
            .await
    }

    /// The digest `tag` points at now; `None` if the upstream has the tag but does not tell its
    /// digest. Docker Hub does not count this as a pull.
    pub async fn tag_digest(
        &self,
        repository: &RepoName,
        tag: &Tag,
        urgency: Urgency,
    ) -> Result<Option<Digest>, FetchError> {
        self.endpoints
            .first_answer(|endpoint| manifest::tag_digest(endpoint, repository, tag, urgency))
            .await
    }

    /// Whether `repository` has the blob; with a `size`, whether it has this size.
    pub async fn confirm_blob(
        &self,
        repository: &RepoName,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<(), FetchError> {
        self.endpoints
            .first_answer(|endpoint| blob::confirm(endpoint, repository, digest, size))
            .await
    }

    /// The size of a blob, if the upstream tells it.
    pub async fn blob_size(
        &self,
        repository: &RepoName,
        digest: &Digest,
    ) -> Result<Option<u64>, FetchError> {
        self.endpoints
            .first_answer(|endpoint| blob::size(endpoint, repository, digest))
            .await
    }

    /// One page of a list. `query` is passed to the upstream as it is.
    pub async fn list(
        &self,
        repository: &RepoName,
        kind: ListingKind,
        query: Option<&str>,
    ) -> Result<Listing, FetchError> {
        self.endpoints
            .first_answer(|endpoint| lists::fetch(endpoint, repository, kind, query))
            .await
    }

    /// Whether the configuration wants the upstream asked when images were pushed. Only private ECR
    /// can tell, by its API.
    pub fn reports_push_times(&self) -> bool {
        self.config.pushed_at
    }

    /// When images of a repository were pushed. Those whose time is not known are left out.
    pub async fn push_times(&self, repository: &RepoName, digests: &[Digest]) -> ImagePushTimes {
        let Some((tokens, key)) = self.endpoints.ecr() else {
            return ImagePushTimes::default();
        };
        let ecr = self.host.ecr();
        let repository = EcrRepository {
            account: ecr.as_ref().map(|ecr| ecr.account.as_str()),
            name: repository,
        };
        tokens.push_times(key, repository, digests).await
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }
}
