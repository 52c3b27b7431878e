//! Pulling through the cache: an answer from the cache where that is right, from an upstream where
//! it must be. Clients that ask for the same thing at the same time share one answer.
//!
//! [`Pull`] is the front; each part below owns its state. `resolver` decides which manifest goes
//! out, over `rules` (names answered from other names), `platforms` (children of indexes) and
//! `manifests` (those stored, and the upstream's). `blobs` finds or fills a blob with `fill`, and
//! `body` brings its bytes to the client, past the cache with `bypass` where the disk is full. No
//! type of the HTTP framework comes in here.
//!
//! Links keep repositories apart. A blob or manifest is readable through a repository only if the
//! upstream has served it there, has served a manifest there that names it, or has confirmed it
//! when asked. Bytes that another repository has brought are never served for their digest alone.
//!
//! Work that others may wait for (a fetched manifest, a fill) runs on tasks of its own: it does not
//! end with the client that asked first.

mod answer;
mod blobs;
mod body;
mod bypass;
mod error;
mod fill;
mod flights;
mod manifests;
mod metrics;
mod platforms;
mod repository;
mod resolver;
mod rules;

use std::sync::Arc;

use cache::Cache;
use config::CacheConfig;
use manifest_model::{Digest, Manifest, Platform, Reference, RepoName, Tag};
use protocol::host::Host;
use upstream::Registry;

pub use self::{
    answer::{Client, Outcome, Served, Substitution},
    blobs::BlobAnswer,
    body::{BlobBody, BlobBytes, BodyError},
    error::PullError,
    metrics::PullMetrics,
    repository::{Repository, official_name, repository_key},
};
use self::{
    blobs::Blobs, fill::Filler, manifests::Manifests, platforms::Platforms, resolver::Resolver,
    rules::Rules,
};
use crate::tasks::Tasks;

/// The front of pulling. Cheap to clone; all clones are the same service.
#[derive(Clone, Debug)]
pub struct Pull {
    parts: Arc<PullParts>,
}

#[derive(Debug)]
struct PullParts {
    cache: Cache,
    upstreams: Registry,
    metrics: PullMetrics,
    blobs: Arc<Blobs>,
    platforms: Arc<Platforms>,
    resolver: Resolver,
}

impl Pull {
    /// Pulling over a cache and the upstreams.
    pub(crate) fn new(
        cache: Cache,
        upstreams: Registry,
        config: &CacheConfig,
        metrics: PullMetrics,
        tasks: &Tasks,
    ) -> Self {
        let filler = Filler::new(
            cache.clone(),
            metrics.clone(),
            config.max_extra_connections,
            tasks.clone(),
        );
        let blobs = Arc::new(Blobs::new(cache.clone(), filler, config.max_fills));
        let manifests = Arc::new(Manifests::new(cache.clone(), tasks.clone()));
        let platforms = Arc::new(Platforms::new(Arc::clone(&manifests), Arc::clone(&blobs)));
        let rules = Arc::new(Rules::new(
            cache.clone(),
            Arc::clone(&manifests),
            Arc::clone(&platforms),
            tasks.clone(),
        ));
        let resolver = Resolver::new(cache.clone(), manifests, Arc::clone(&platforms), rules);
        Self {
            parts: Arc::new(PullParts {
                cache,
                upstreams,
                metrics,
                blobs,
                platforms,
                resolver,
            }),
        }
    }

    /// The cache underneath.
    pub fn cache(&self) -> &Cache {
        &self.parts.cache
    }

    /// The upstreams that can be asked.
    pub fn upstreams(&self) -> &Registry {
        &self.parts.upstreams
    }

    /// Sets the gauges of the metrics to how the cache and the upstreams are now.
    pub fn observe(&self) {
        self.parts.metrics.observe(&self.parts.cache.usage());
        self.parts.upstreams.observe();
    }

    /// `name` at the upstream `host`; `None` where that upstream is not configured.
    pub fn repository(
        &self,
        host: &Host,
        name: &RepoName,
    ) -> Result<Option<Repository>, PullError> {
        let upstream = self.parts.upstreams.find(host)?;
        Ok(upstream.map(|upstream| Repository::new(upstream, name)))
    }

    /// The manifest that goes out to `client` for `reference`. An error here means that nothing was
    /// found; an error of [`Served::manifest`] that the index found has no child for the client.
    pub async fn answer(
        &self,
        repository: &Repository,
        reference: &Reference,
        client: &Client<'_>,
    ) -> Result<Served, PullError> {
        let resolver = &self.parts.resolver;
        resolver.answer(repository, reference, client).await
    }

    /// A blob of the repository: stored, arriving, or asked for from now on. Returns when its size
    /// is known.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        self.parts.blobs.get(repository, digest).await
    }

    /// The size of a blob. Nothing is downloaded for it.
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Option<u64>, Outcome), PullError> {
        self.parts.blobs.size(repository, digest).await
    }

    /// The child of an index for a platform; `None` where the index is for no platform at all.
    pub async fn child(
        &self,
        repository: &Repository,
        index: &Manifest,
        platform: &Platform,
    ) -> Result<Option<Manifest>, PullError> {
        self.parts
            .platforms
            .child(repository, index, platform)
            .await
    }

    /// Asks for a known tag again if it is due; the manifest is there if the tag has moved.
    pub async fn renew(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Manifest>, PullError> {
        self.parts.resolver.renew(repository, tag).await
    }
}
