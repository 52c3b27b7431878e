//! One upstream registry: one method per question.
//!
//! An upstream is either asked, or offline. An offline one is made without HTTP client, resolver
//! and credentials, and so has nothing to ask with: each question is answered with
//! [`FetchError::Offline`] at once.

use std::sync::Arc;

use config::UpstreamConfig;
use manifest_model::{Digest, Manifest, Reference, RepoName, Tag};
use protocol::host::Host;
use tally::UpstreamTally;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::{
    auth::{Authenticator, EcrRepository, EcrTokens, ImagePushTimes},
    blob,
    endpoint::{Endpoint, Shared},
    error::FetchError,
    failover::Endpoints,
    gather::Room,
    lists::{self, ListBounds, Listing, ListingKind},
    manifest,
    policy::{Budget, Deadline, EndpointStatus, Pause, Urgency},
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
    reach: Reach,
}

/// Whether there is a way to an upstream.
#[derive(Debug)]
enum Reach {
    Online {
        endpoints: Endpoints,
        /// The connections that downloads may have here beside their first.
        extra_connections: Arc<Semaphore>,
    },
    Offline,
}

impl Upstream {
    /// An upstream as configured. Unless it is offline, that builds an HTTP client, so it is made on
    /// first use and not at the start.
    pub fn new(
        host: Host,
        config: UpstreamConfig,
        ecr: &Arc<EcrTokens>,
        tally: UpstreamTally,
        tasks: TaskTracker,
    ) -> Result<Self, FetchError> {
        let reach = if config.offline {
            Reach::Offline
        } else {
            Reach::online(&host, &config, ecr, tally, tasks)?
        };
        Ok(Self {
            host,
            config,
            reach,
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

    /// Whether it is never asked, so that what is stored is all there is of it.
    pub fn is_offline(&self) -> bool {
        matches!(self.reach, Reach::Offline)
    }

    /// Whether it has ever given what it was asked for. A host that only a pattern allows may be
    /// made up.
    pub(crate) fn is_proven(&self) -> bool {
        let is_named = self.config.pattern.exact().is_some();
        is_named || self.endpoints().is_ok_and(Endpoints::are_proven)
    }

    /// A permit for one more connection of a download, if the upstream's limit allows it now.
    pub fn extra_connection(&self) -> Option<OwnedSemaphorePermit> {
        match &self.reach {
            Reach::Online {
                extra_connections, ..
            } => Arc::clone(extra_connections).try_acquire_owned().ok(),
            Reach::Offline => None,
        }
    }

    /// From now on its rates are divided among so many processes.
    pub(crate) fn divide_rates(&self, among: u32) {
        if let Reach::Online { endpoints, .. } = &self.reach {
            endpoints.get(0).divide_rates(among);
        }
    }

    /// Holds back calls to one of its endpoints, as that has asked another replica to do.
    pub(crate) fn pause(&self, endpoint: &str, pause: Pause) {
        if let Ok(endpoints) = self.endpoints() {
            endpoints.pause(endpoint, pause);
        }
    }

    /// A client's wait for an answer of this upstream, which begins now.
    pub fn deadline(&self) -> Deadline {
        Deadline::new(&self.config)
    }

    /// The endpoints in their order, as operators see them; none of an offline upstream.
    pub fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        let endpoints = self.endpoints();
        endpoints.map_or_else(
            |_| Vec::new(),
            |endpoints| endpoints.statuses(&self.config.pattern),
        )
    }

    /// A manifest, its bytes verified: by digest against the digest asked for; by tag the digest is
    /// the hash of the bytes, in the algorithm of the upstream's own digest header.
    pub async fn manifest(
        &self,
        repository: &RepoName,
        reference: &Reference,
        deadline: &Deadline,
    ) -> Result<Manifest, FetchError> {
        self.endpoints()?
            .hedged_answer(deadline, |turn| async move {
                manifest::fetch(&turn, repository, reference).await
            })
            .await
    }

    /// The manifest of `tag`, or `None` if its digest is still `known`: for registries that do not
    /// tell the digest of a tag.
    pub async fn manifest_unless(
        &self,
        repository: &RepoName,
        tag: &Tag,
        known: &Digest,
        deadline: &Deadline,
    ) -> Result<Option<Manifest>, FetchError> {
        let reference = &Reference::Tag(tag.clone());
        self.endpoints()?
            .hedged_answer(deadline, |turn| async move {
                manifest::fetch_unless(&turn, repository, reference, Some(known)).await
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
        deadline: &Deadline,
    ) -> Result<Option<Digest>, FetchError> {
        self.endpoints()?
            .first_answer(deadline, |turn| async move {
                manifest::tag_digest(&turn, repository, tag, urgency).await
            })
            .await
    }

    /// Whether `repository` has the blob; with a `size`, whether it has this size.
    pub async fn confirm_blob(
        &self,
        repository: &RepoName,
        digest: &Digest,
        size: Option<u64>,
        deadline: &Deadline,
    ) -> Result<(), FetchError> {
        self.endpoints()?
            .first_answer(deadline, |turn| async move {
                blob::confirm(&turn, repository, digest, size).await
            })
            .await
    }

    /// The size of a blob, if the upstream tells it.
    pub async fn blob_size(
        &self,
        repository: &RepoName,
        digest: &Digest,
        deadline: &Deadline,
    ) -> Result<Option<u64>, FetchError> {
        self.endpoints()?
            .first_answer(deadline, |turn| async move {
                blob::size(&turn, repository, digest).await
            })
            .await
    }

    /// One page of a list, which takes from the `room` of all lists. `query` is passed to the
    /// upstream as it is.
    pub async fn list(
        &self,
        repository: &RepoName,
        kind: ListingKind,
        query: Option<&str>,
        room: &Room,
        deadline: &Deadline,
    ) -> Result<Listing, FetchError> {
        let page = usize::try_from(self.config.list_max).unwrap_or(usize::MAX);
        let bounds = ListBounds { page, room };
        self.endpoints()?
            .first_answer(deadline, |turn| async move {
                lists::fetch(&turn, repository, kind, query, bounds).await
            })
            .await
    }

    /// Whether the configuration wants the upstream asked when images were pushed. Only private ECR
    /// can tell, by its API.
    pub fn reports_push_times(&self) -> bool {
        self.config.pushed_at && !self.is_offline()
    }

    /// When images of a repository were pushed. Those whose time is not known are left out.
    pub async fn push_times(&self, repository: &RepoName, digests: &[Digest]) -> ImagePushTimes {
        let Some((tokens, key)) = self.endpoints().ok().and_then(Endpoints::ecr) else {
            return ImagePushTimes::default();
        };
        let ecr = self.host.ecr();
        let repository = EcrRepository {
            account: ecr.as_ref().map(|ecr| ecr.account.as_str()),
            name: repository,
        };
        tokens.push_times(key, repository, digests).await
    }

    /// Whom to ask.
    pub(crate) fn endpoints(&self) -> Result<&Endpoints, FetchError> {
        match &self.reach {
            Reach::Online { endpoints, .. } => Ok(endpoints),
            Reach::Offline => Err(FetchError::Offline {
                upstream: self.host.clone(),
            }),
        }
    }
}

impl Reach {
    fn online(
        host: &Host,
        config: &UpstreamConfig,
        ecr: &Arc<EcrTokens>,
        tally: UpstreamTally,
        tasks: TaskTracker,
    ) -> Result<Self, FetchError> {
        let client = transport::client(host, config)?;
        let budget = Budget::new(&config.limits);
        let shared = Arc::new(Shared::new(
            host.clone(),
            config,
            client.clone(),
            budget,
            tally.clone(),
            tasks,
        ));
        let last = config.endpoints.len() - 1;
        let endpoints = config.endpoints.iter().enumerate();
        let endpoints = endpoints
            .map(|(at, endpoint)| {
                let client = client.clone();
                let auth = Authenticator::new(host, config, endpoint, client, ecr, &tally);
                Endpoint::new(Arc::clone(&shared), endpoint, auth, at == last)
            })
            .collect();
        let hedge_after = config.limits.hedge_after;
        let extra = config.parallel.saturating_sub(1) * PARALLEL_DOWNLOADS;
        Ok(Self::Online {
            endpoints: Endpoints::new(host.clone(), endpoints, hedge_after, tally),
            extra_connections: Arc::new(Semaphore::new(extra)),
        })
    }
}
