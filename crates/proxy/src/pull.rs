//! What the proxy is for: an answer from the cache where that is right, from an upstream where it must be, shared by all who
//! ask at the same time. No type of the HTTP framework comes in here.
//!
//! Work that others may be waiting for (a fetched manifest, a fill) runs on tasks of its own: it does not end with the client
//! that asked first.

mod blob;
mod error;
mod fill;
mod flight;
mod freshness;
mod lists;
mod manifest;
mod memory;
mod platform;
mod repository;

use std::{sync::Arc, time::Duration};

use cache::{Cache, RepoKey};
use manifest_model::Reference;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::repository::official_name;
pub use self::{
    blob::{BlobAnswer, BlobBytes},
    error::PullError,
    manifest::ManifestAnswer,
    platform::{Substitution, resolve_mode_substitutes},
    repository::Repository,
};
use self::{flight::Flights, freshness::Freshness, memory::Memory};
use crate::{
    telemetry::metrics::Metrics,
    upstream::{Chain, Registry},
};

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The cache.
    Hit,
    /// A download somebody else had started.
    Follow,
    /// A download this request has started.
    Fill,
    /// The cache, although the upstream could not confirm it.
    Stale,
    /// The upstream.
    Miss,
}

impl Outcome {
    /// The spelling in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Follow => "follow",
            Self::Fill => "fill",
            Self::Stale => "stale",
            Self::Miss => "miss",
        }
    }
}

/// The service behind the routes. Cheap to clone; all clones are the same service.
#[derive(Clone, Debug)]
pub struct Pull {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache,
    upstreams: Registry,
    manifests: Memory,
    fetches: Flights<(RepoKey, Reference), Result<ManifestAnswer, PullError>>,
    freshness: Freshness,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Pull {
    /// The service over a cache and the upstreams.
    pub fn new(cache: Cache, upstreams: Registry, metrics: Arc<Metrics>) -> Self {
        let inner = Inner {
            cache,
            upstreams,
            manifests: Memory::new(),
            fetches: Flights::new(),
            freshness: Freshness::new(),
            metrics,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The cache underneath.
    pub fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// The upstreams that can be asked.
    pub fn upstreams(&self) -> &Registry {
        &self.inner.upstreams
    }

    /// Gives running fetches and fills `grace` to reach the disk, then cuts them. To be called when no client is left.
    pub async fn drain(&self, grace: Duration) {
        let Inner {
            tasks, stop, cache, ..
        } = &*self.inner;
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            tracing::warn!(unfinished = tasks.len(), "abandoning unfinished downloads");
            stop.cancel();
            tasks.wait().await;
        }
        if let Err(error) = cache.flush_uses().await {
            tracing::warn!(error = %Chain(&error), "the last uses could not be written");
        }
    }
}
