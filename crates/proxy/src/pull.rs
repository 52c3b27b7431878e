//! What the proxy is for: an answer from the cache where that is right, from an upstream where it must be, shared by all who
//! ask at the same time. No type of the HTTP framework comes in here.
//!
//! Work that others may be waiting for (a fetched manifest, a fill) runs on tasks of its own: it does not end with the client
//! that asked first.

mod alias;
mod blob;
mod clients;
mod error;
mod fill;
mod flight;
mod freshness;
mod lists;
mod manifest;
mod memory;
mod metrics;
mod platform;
mod prefetch;
mod pushed;
mod repository;
mod rules;
mod through;
mod virtual_index;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::{Cache, DutyCycle, RepoKey};
use config::CacheConfig;
use manifest_model::Reference;
use protocol::error_chain::ErrorChain;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::Registry;

pub use self::{
    blob::{BlobAnswer, BlobBytes, Body as BlobBody, BodyError},
    error::PullError,
    manifest::ManifestAnswer,
    metrics::PullMetrics,
    platform::{Substitution, resolve_mode_substitutes},
    prefetch::{Prefetcher, ServedManifest},
    repository::{Repository, official_name, repository_key},
};
use self::{
    clients::Clients, flight::Flights, freshness::Freshness, memory::Memory, pushed::PushTimes,
};
use crate::inventory;

/// How long tasks that were told to stop may take: one that cannot, as in a look-up of a name or on a disk that hangs, must not
/// keep the process.
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// How long the last copy of links and tags may take. Where that is not enough the one before stays.
const COPY_WITHIN: Duration = Duration::from_secs(3);

/// How long the end may wait for the disk in all.
const LAST_WITHIN: Duration = Duration::from_secs(5);

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
    ruled: Flights<(RepoKey, Reference), Result<ManifestAnswer, PullError>>,
    freshness: Freshness,
    prefetch: Prefetcher,
    clients: Clients,
    pushed: PushTimes,
    metrics: PullMetrics,
    /// Connections that downloads may have beside their first, over all upstreams.
    extra_connections: Arc<Semaphore>,
    /// Downloads that pass the cache by, each for one client.
    through: Arc<Semaphore>,
    /// One count of the images at a time.
    counting: Arc<Semaphore>,
    /// Ends at once, when the process begins to, what nobody waits for.
    closing: CancellationToken,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Pull {
    /// The service over a cache and the upstreams.
    pub fn new(
        cache: Cache,
        upstreams: Registry,
        config: &CacheConfig,
        prefetch: Prefetcher,
        metrics: PullMetrics,
    ) -> Self {
        let inner = Inner {
            cache,
            upstreams,
            manifests: Memory::new(),
            fetches: Flights::new(),
            ruled: Flights::new(),
            freshness: Freshness::new(),
            prefetch,
            clients: Clients::new(),
            pushed: PushTimes::new(),
            metrics,
            extra_connections: Arc::new(Semaphore::new(config.max_extra_connections)),
            through: Arc::new(Semaphore::new(config.max_fills)),
            counting: Arc::new(Semaphore::new(1)),
            closing: CancellationToken::new(),
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

    /// Sets the gauges of the metrics to how the cache and the upstreams are now.
    pub fn observe(&self) {
        self.inner.metrics.observe(&self.inner.cache.usage());
        self.inner.upstreams.observe();
    }

    /// Counts the cached images for the metrics, on a task of its own, unless the last count is still under way.
    pub fn count_images(&self) {
        let Inner { cache, metrics, .. } = &*self.inner;
        let Ok(count) = Arc::clone(&self.inner.counting).try_acquire_owned() else {
            return;
        };
        let (cache, metrics, goes_on) =
            (cache.clone(), metrics.clone(), leisure(&self.inner.closing));
        self.inner.tasks.spawn_blocking(move || {
            match inventory::totals(&cache, goes_on) {
                Ok(Some(totals)) => metrics.count_images(&totals),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "the images cannot be counted");
                }
            }
            drop(count);
        });
    }

    /// Copies links and tags out of the index, on a task of its own.
    pub fn copy_names(&self) {
        let (cache, goes_on) = (self.inner.cache.clone(), leisure(&self.inner.closing));
        self.inner.tasks.spawn(async move {
            if let Err(error) = cache.write_snapshot(goes_on).await {
                tracing::warn!(error = %ErrorChain(&error), "links and tags could not be copied");
            }
        });
    }

    /// Drops what the index holds for nothing, on a task of its own.
    pub fn collect(&self) {
        let (cache, goes_on) = (self.inner.cache.clone(), leisure(&self.inner.closing));
        self.inner.tasks.spawn(async move {
            match cache.collect(goes_on).await {
                Ok(collected) => tracing::info!(?collected, "the cache index was collected"),
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "the cache index could not be collected");
                }
            }
        });
    }

    /// Gives running fetches and fills `grace` to reach the disk, then cuts them. To be called when no client is left.
    pub async fn drain(&self, grace: Duration) {
        let Inner {
            tasks,
            closing,
            stop,
            cache,
            ..
        } = &*self.inner;
        closing.cancel();
        self.inner.prefetch.stop();
        self.inner.pushed.stop();
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            tracing::warn!(unfinished = tasks.len(), "abandoning unfinished downloads");
            stop.cancel();
            if tokio::time::timeout(CUT_WITHIN, tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!(unfinished = tasks.len(), "some work does not stop");
            }
        }
        let last = tokio::time::timeout(LAST_WITHIN, last_words(cache));
        if last.await.is_err() {
            tracing::warn!(
                "the disk does not answer: the last uses, links and tags may not be written"
            );
        }
    }
}

/// The pace of what nobody waits for: asked between its steps, it rests where that is due, and says no after `stop`.
fn leisure(stop: &CancellationToken) -> impl Fn() -> bool + Send + use<> {
    let (duty, stop) = (DutyCycle::begin(), stop.clone());
    move || {
        duty.rest();
        !stop.is_cancelled()
    }
}

/// Writes down what would be lost with the process, or with the index.
async fn last_words(cache: &Cache) {
    if let Err(error) = cache.flush_uses().await {
        tracing::warn!(error = %ErrorChain(&error), "the last uses could not be written");
    }
    let end = Instant::now() + COPY_WITHIN;
    if let Err(error) = cache.write_snapshot(move || Instant::now() < end).await {
        tracing::warn!(error = %ErrorChain(&error), "links and tags could not be copied");
    }
}
