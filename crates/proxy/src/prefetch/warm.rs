//! Downloads ahead of clients: of an index the images for the learned platforms, of an image all it
//! links.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use config::{Config, PrefetchConfig};
use futures_util::{StreamExt, stream};
use manifest_model::{Digest, Manifest};
use moka::{notification::RemovalCause, sync::Cache};
use prometheus_client::metrics::gauge::Gauge;
use protocol::error_chain::ErrorChain;
use pull::{Outcome, Pull, PullError, Repository, Tasks};
use server::MemoryPressure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, debug, info_span};

use super::{
    MAX_REMEMBERED,
    budget::Budgets,
    learned::ImageKind,
    metrics::{PrefetchMetrics, Prefetched},
    parts::ImageParts,
};

/// After this time a download that no client asked for counts as wasted.
const WASTED_AFTER: Duration = Duration::from_hours(24);

/// Images that wait to be downloaded ahead at once; no more are taken.
const MAX_WAITING: usize = 256;

/// The share of the cache that one image may take to be downloaded ahead, as a divisor.
const MAX_SHARE: u64 = 10;

/// The pause between two looks whether clients leave room for a download.
const YIELD_PAUSE: Duration = Duration::from_millis(250);

/// Looks before a download is given up: ten minutes.
const MAX_YIELDS: usize = 2400;

/// How much of an image is downloaded ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Its config alone.
    Configs,
    /// All of it.
    Images,
}

/// Downloads ahead, within their bounds.
#[derive(Debug)]
pub(super) struct Warmer {
    pull: Pull,
    pressure: MemoryPressure,
    parts: ImageParts,
    /// Blobs that were downloaded ahead and no client has asked for yet.
    warmed: Cache<Digest, ()>,
    /// One permit per download; closed where there are to be none.
    permits: ArcSwap<Semaphore>,
    /// One permit per image that waits or is being downloaded.
    waiting: Arc<Semaphore>,
    /// Downloads that have begun.
    running: AtomicUsize,
    /// What `cache.max_fills` leaves for them.
    most_running: usize,
    /// Fills of clients at which no download begins.
    busy_fills: usize,
    max_image_bytes: u64,
    budgets: Budgets,
    metrics: PrefetchMetrics,
    tasks: Tasks,
}

/// The default budget of an hour is this part of the bound on the cache's size.
const BUDGET_SHARE: u64 = 10;

impl Warmer {
    pub(super) fn new(
        config: &Config,
        pull: Pull,
        pressure: MemoryPressure,
        parts: ImageParts,
        metrics: PrefetchMetrics,
        tasks: Tasks,
    ) -> Self {
        let counting = metrics.clone();
        let wasted = move |_: Arc<Digest>, (), cause: RemovalCause| {
            if matches!(cause, RemovalCause::Expired | RemovalCause::Size) {
                counting.count(Prefetched::Wasted);
            }
        };
        let max_size = pull.cache().max_size();
        // So that a client's download need not wait for one.
        let most_running = config.cache.max_fills / 2;
        Self {
            max_image_bytes: max_size / MAX_SHARE,
            pull,
            pressure,
            parts,
            warmed: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(WASTED_AFTER)
                .eviction_listener(wasted)
                .build(),
            permits: ArcSwap::from_pointee(permits(config.prefetch.max_running, most_running)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: AtomicUsize::new(0),
            most_running,
            busy_fills: most_running.max(1),
            budgets: Budgets::new(hourly_budget(&config.prefetch, max_size)),
            metrics,
            tasks,
        }
    }

    /// Puts the bounds of other settings in force. What runs keeps its place.
    pub(super) fn replace(&self, config: &PrefetchConfig) {
        let permits = permits(config.max_running, self.most_running);
        self.permits.store(Arc::new(permits));
        let budget = hourly_budget(config, self.pull.cache().max_size());
        self.budgets.replace(budget);
    }

    /// Runs `work` on a task of its own that ends when shutdown begins; drops it where too many
    /// wait. Fills it has started continue, since others may follow them.
    pub(super) fn queue(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else {
            debug!("too many downloads ahead of clients wait; dropping this one");
            return;
        };
        let tasks = self.tasks.clone();
        let waiting = Waiting::new(permit, self.metrics.waiting.clone());
        let job = async move {
            tasks.until_closing(Box::pin(work)).await;
            drop(waiting);
        };
        self.tasks.spawn(job.instrument(info_span!("prefetch")));
    }

    /// Downloads the images of `index` for the platforms among `kinds`, and no others; `what` of
    /// each.
    pub(super) async fn warm_index(
        &self,
        repository: &Repository,
        index: &Manifest,
        kinds: &[ImageKind],
        what: Ahead,
    ) {
        for kind in kinds {
            let Some(platform) = kind.platform() else {
                continue;
            };
            if !self.is_in_force(repository) {
                return;
            }
            match self.pull.child(repository, index, &platform).await {
                Ok(Some(image)) => {
                    self.parts.note_layers(repository.key(), &image, kind);
                    self.warm_image(repository, &image, what).await;
                }
                // No index of images.
                Ok(None) => return,
                // The index has nothing for the platform, or the upstream is in trouble: a client
                // that asks will get the error.
                Err(error) => {
                    debug!(error = %ErrorChain(&error), %platform, "an image is not downloaded ahead");
                }
            }
        }
    }

    /// Downloads `what` an image links and is not stored, unless the image would take too large a
    /// share of the cache. Foreign layers are their vendor's: the upstream seldom has them.
    pub(super) async fn warm_image(&self, repository: &Repository, image: &Manifest, what: Ahead) {
        let wanted = || image.links().filter(|link| !link.is_foreign());
        let size = wanted().fold(0_u64, |sum, link| sum.saturating_add(link.size));
        if size > self.max_image_bytes {
            debug!(size, digest = %image.digest(), "an image is too large to be downloaded ahead");
            return;
        }
        let config = image.config().map(|config| config.digest);
        let links = wanted().filter(|link| match what {
            Ahead::Configs => Some(link.digest) == config,
            Ahead::Images => true,
        });
        let links: Vec<(Digest, u64)> = links.map(|link| (link.digest, link.size)).collect();
        stream::iter(links)
            .for_each_concurrent(self.most_running.max(1), |(digest, size)| async move {
                if let Err(error) = self.warm_blob(repository, &digest, size).await {
                    debug!(error = %ErrorChain(&error), %digest, "a blob is not downloaded ahead");
                }
            })
            .await;
    }

    /// Downloads a blob when a permit is free, clients leave room and the upstream's budget has its
    /// `announced` size. Returns when it is stored.
    async fn warm_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        announced: u64,
    ) -> Result<(), PullError> {
        if self.pull.cache().peek_size(digest)?.is_some() {
            return Ok(());
        }
        let permits = self.permits.load_full();
        let Ok(_permit) = permits.acquire().await else {
            return Ok(());
        };
        if !self.has_room().await || !self.is_in_force(repository) {
            return Ok(());
        }
        if !self.pays(repository, announced) {
            self.metrics.count(Prefetched::OverBudget);
            return Ok(());
        }
        let _running = CountedDownload::new(&self.running);
        let host = repository.upstream().host();
        let answer = match self.pull.blob(&repository.anew(), digest).await {
            Ok(answer) if answer.outcome == Outcome::Fill => answer,
            // Nothing comes ahead: a client fetches it already, or nobody can.
            other => {
                self.budgets.give_back(host, announced);
                return other.map(drop);
            }
        };
        // A manifest may announce too little. The rest is owed, and time pays it back.
        let is_unknown = answer.size.is_none();
        let more = answer.size.unwrap_or(announced).saturating_sub(announced);
        self.budgets.owe(host, more);
        // Where it cannot be stored it would come for no client.
        let Some(mut download) = answer.bytes.download() else {
            return Ok(());
        };
        // From now on: a client that follows the fill makes use of it too.
        self.warmed.insert(*digest, ());
        match download.complete().await {
            Ok(size) => {
                if is_unknown {
                    self.budgets.owe(host, size.saturating_sub(announced));
                }
                self.metrics.count_warmed(size);
            }
            // The fill has logged its failure.
            Err(_) => self.warmed.invalidate(digest),
        }
        Ok(())
    }

    /// Whether the repository's upstream is still configured as it was: what has waited through a
    /// reload must not be asked of one that is gone, or offline now.
    fn is_in_force(&self, repository: &Repository) -> bool {
        let (upstream, configured) = (repository.upstream(), self.pull.upstreams().config());
        configured.find(upstream.host()).as_ref() == Some(upstream.config())
    }

    /// Takes `bytes` from the budget of the repository's upstream, if it has them.
    fn pays(&self, repository: &Repository, bytes: u64) -> bool {
        let upstream = repository.upstream();
        let Some(left) = self.budgets.take(upstream.host(), bytes) else {
            return false;
        };
        let pattern = &upstream.config().pattern;
        self.metrics.budget_left(pattern, left);
        true
    }

    /// Notes that a client has asked for a blob.
    pub(super) fn note_use(&self, digest: &Digest) {
        if self.warmed.remove(digest).is_some() {
            self.metrics.count(Prefetched::Used);
        }
    }

    /// Counts the blobs that no client has asked for in time.
    pub(super) fn sweep(&self) {
        self.warmed.run_pending_tasks();
    }

    /// Waits until clients' downloads are few and memory is not short; false if that never is so.
    async fn has_room(&self) -> bool {
        for _ in 0..MAX_YIELDS {
            let ahead = self.running.load(Ordering::Relaxed);
            let clients = self.pull.cache().usage().fills.saturating_sub(ahead);
            if clients < self.busy_fills && self.pressure.allows_prefetch() {
                return true;
            }
            tokio::time::sleep(YIELD_PAUSE).await;
        }
        false
    }
}

/// The place of an image that waits or is being downloaded, counted for as long as it is taken.
struct Waiting {
    _place: OwnedSemaphorePermit,
    count: Gauge,
}

impl Waiting {
    fn new(place: OwnedSemaphorePermit, count: Gauge) -> Self {
        count.inc();
        Self {
            _place: place,
            count,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.count.dec();
    }
}

/// Counts a download ahead for as long as it lives.
struct CountedDownload<'a>(&'a AtomicUsize);

impl<'a> CountedDownload<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for CountedDownload<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The bytes that may be downloaded ahead from one upstream within an hour.
fn hourly_budget(config: &PrefetchConfig, max_size: u64) -> u64 {
    config.hourly_budget.unwrap_or(max_size / BUDGET_SHARE)
}

/// Downloads ahead take half of all at most: `most_running`. Where that is nothing, there are none.
fn permits(max_running: usize, most_running: usize) -> Semaphore {
    let most = max_running.min(most_running);
    let permits = Semaphore::new(most);
    if most == 0 {
        permits.close();
    }
    permits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_ahead_leave_clients_half_of_all_and_the_only_one() {
        for (max_fills, max_running, expected) in [(64, 4, 4), (4, 4, 2), (5, 4, 2), (1, 4, 0)] {
            let permits = permits(max_running, max_fills / 2);
            assert_eq!(
                permits.available_permits(),
                expected,
                "{max_fills} {max_running}"
            );
            assert_eq!(
                permits.is_closed(),
                expected == 0,
                "{max_fills} {max_running}"
            );
        }
    }
}
