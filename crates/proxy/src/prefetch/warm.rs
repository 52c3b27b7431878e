//! Downloads ahead of clients: of an index the images for the learned platforms, of an image all it
//! links.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use config::Config;
use futures_util::{StreamExt, stream};
use manifest_model::{Digest, Manifest};
use moka::{notification::RemovalCause, sync::Cache};
use protocol::error_chain::ErrorChain;
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, info_span};

use super::{
    MAX_REMEMBERED,
    learned::ImageKind,
    metrics::{PrefetchMetrics, Prefetched},
    parts::ImageParts,
};
use crate::{
    pull::{Outcome, Pull, PullError, Repository},
    tasks::Tasks,
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

/// Downloads ahead, within their bounds.
#[derive(Debug)]
pub(super) struct Warmer {
    pull: Pull,
    parts: ImageParts,
    /// Blobs that were downloaded ahead and no client has asked for yet.
    warmed: Cache<Digest, ()>,
    /// One permit per download; closed where there are to be none.
    permits: Semaphore,
    /// One permit per image that waits or is being downloaded.
    waiting: Arc<Semaphore>,
    /// Downloads that have begun.
    running: AtomicUsize,
    max_running: usize,
    /// Fills of clients at which no download begins.
    busy_fills: usize,
    max_image_bytes: u64,
    metrics: PrefetchMetrics,
    tasks: Tasks,
}

impl Warmer {
    pub(super) fn new(
        config: &Config,
        pull: Pull,
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
        Self {
            pull,
            parts,
            warmed: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(WASTED_AFTER)
                .eviction_listener(wasted)
                .build(),
            permits: permits(config),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: AtomicUsize::new(0),
            max_running: config.prefetch.max_running,
            busy_fills: (config.cache.max_fills / 2).max(1),
            max_image_bytes: config.cache.max_size / MAX_SHARE,
            metrics,
            tasks,
        }
    }

    /// Runs `work` on a task of its own that ends when shutdown begins; drops it where too many
    /// wait. Fills it has started continue, since others may follow them.
    pub(super) fn queue(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else {
            debug!("too many downloads ahead of clients wait; dropping this one");
            return;
        };
        let tasks = self.tasks.clone();
        let job = async move {
            tasks.until_closing(Box::pin(work)).await;
            drop(permit);
        };
        self.tasks.spawn(job.instrument(info_span!("prefetch")));
    }

    /// Downloads the images of `index` for the platforms among `kinds`, and no others.
    pub(super) async fn warm_index(
        &self,
        repository: &Repository,
        index: &Manifest,
        kinds: &[ImageKind],
    ) {
        for kind in kinds {
            let Some(platform) = kind.platform() else {
                continue;
            };
            match self.pull.child(repository, index, &platform).await {
                Ok(Some(image)) => {
                    self.parts.note_layers(repository.key(), &image, kind);
                    self.warm_image(repository, &image).await;
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

    /// Downloads all that an image links and is not stored, unless the image would take too large a
    /// share of the cache.
    pub(super) async fn warm_image(&self, repository: &Repository, image: &Manifest) {
        let size: u64 = image.links().map(|link| link.size).sum();
        if size > self.max_image_bytes {
            debug!(size, digest = %image.digest(), "an image is too large to be downloaded ahead");
            return;
        }
        let digests: Vec<Digest> = image.links().map(|link| link.digest).collect();
        stream::iter(digests)
            .for_each_concurrent(self.max_running, |digest| async move {
                if let Err(error) = self.warm_blob(repository, &digest).await {
                    debug!(error = %ErrorChain(&error), %digest, "a blob is not downloaded ahead");
                }
            })
            .await;
    }

    /// Downloads a blob when a permit is free and clients leave room. Returns when it is stored.
    async fn warm_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), PullError> {
        if self.pull.cache().peek_size(digest)?.is_some() {
            return Ok(());
        }
        let Ok(_permit) = self.permits.acquire().await else {
            return Ok(());
        };
        if !self.has_room().await {
            return Ok(());
        }
        let _running = CountedDownload::new(&self.running);
        let answer = self.pull.blob(repository, digest).await?;
        if answer.outcome != Outcome::Fill {
            return Ok(());
        }
        // Where it cannot be stored it would come for no client.
        let Some(mut download) = answer.bytes.download() else {
            return Ok(());
        };
        // From now on: a client that follows the fill makes use of it too.
        self.warmed.insert(*digest, ());
        match download.complete().await {
            Ok(size) => self.metrics.count_warmed(size),
            // The fill has logged its failure.
            Err(_) => self.warmed.invalidate(digest),
        }
        Ok(())
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

    /// Waits until clients' downloads are few; false if they never are.
    async fn has_room(&self) -> bool {
        for _ in 0..MAX_YIELDS {
            let ahead = self.running.load(Ordering::Relaxed);
            let clients = self.pull.cache().usage().fills.saturating_sub(ahead);
            if clients < self.busy_fills {
                return true;
            }
            tokio::time::sleep(YIELD_PAUSE).await;
        }
        false
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

/// Downloads ahead take half of all at most, so that a client's need not wait for one. Where there
/// is one in all, there are none.
fn permits(config: &Config) -> Semaphore {
    let most = config.prefetch.max_running.min(config.cache.max_fills / 2);
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
            let text = format!(
                "[cache]\nmax_fills = {max_fills}\n[prefetch]\nmax_running = {max_running}"
            );
            let permits = permits(&Config::parse("archway.toml", &text).unwrap());
            assert_eq!(permits.available_permits(), expected, "{text}");
            assert_eq!(permits.is_closed(), expected == 0, "{text}");
        }
    }
}
