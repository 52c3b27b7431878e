//! Downloading ahead: of an index the learned platforms' images, of an image all it links.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use manifest_model::{Digest, Manifest, Platform};
use protocol::error_chain::ErrorChain;
use tracing::{Instrument, debug, info_span};

use super::{
    super::{Inner, Outcome, Pull, PullError, Repository},
    ANY,
};
use crate::pull::metrics::Prefetched;

/// How long a download waits for clients' to become fewer before it looks again.
const YIELD: Duration = Duration::from_millis(250);

/// How often it looks before it gives up: ten minutes.
const MOST_YIELDS: usize = 2400;

impl Pull {
    /// Runs `work` on a task of its own that ends with the process's shutdown; drops it where too many wait.
    pub(super) fn ahead<F>(&self, work: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let prefetch = &self.inner.prefetch;
        let Ok(place) = Arc::clone(&prefetch.waiting).try_acquire_owned() else {
            debug!("too much is waiting to be downloaded ahead");
            return;
        };
        let stop = prefetch.stop.clone();
        let work = work(self.clone());
        let job = async move {
            stop.run_until_cancelled(Box::pin(work)).await;
            drop(place);
        };
        self.inner.tasks.spawn(job.instrument(info_span!("ahead")));
    }

    /// The images of `index` for the platforms among `kinds`, and no others.
    pub(super) async fn warm_index(
        &self,
        repository: &Repository,
        index: &Manifest,
        kinds: &[String],
    ) {
        for kind in kinds {
            let Some(platform) = platform_of(kind) else {
                continue;
            };
            match self.child(repository, index, &platform).await {
                Ok(Some(image)) => {
                    let kind: Arc<str> = kind.as_str().into();
                    let parts = &self.inner.prefetch.parts;
                    parts.note_layers(&repository.key, &image, &kind);
                    self.warm_image(repository, &image).await;
                }
                // No index of images.
                Ok(None) => return,
                // The index has nothing for it, or the upstream is in trouble: a client will hear of it.
                Err(error) => {
                    debug!(error = %ErrorChain(&error), %platform, "not downloaded ahead");
                }
            }
        }
    }

    /// All that an image links and is not stored, unless it takes too large a share of the cache.
    pub(super) async fn warm_image(&self, repository: &Repository, image: &Manifest) {
        let prefetch = &self.inner.prefetch;
        let size: u64 = image.links().map(|link| link.size).sum();
        if size > prefetch.largest {
            debug!(size, digest = %image.digest(), "too large to be downloaded ahead");
            return;
        }
        let digests: Vec<Digest> = image.links().map(|link| link.digest).collect();
        stream::iter(digests)
            .for_each_concurrent(prefetch.config.max_running, |digest| async move {
                if let Err(error) = self.warm_blob(repository, &digest).await {
                    debug!(error = %ErrorChain(&error), %digest, "not downloaded ahead");
                }
            })
            .await;
    }

    /// Downloads a blob for no client in particular, when a slot is free and clients leave room. Returns when it is stored.
    async fn warm_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), PullError> {
        let Inner {
            cache,
            metrics,
            prefetch,
            ..
        } = &*self.inner;
        if cache.peek_size(digest)?.is_some() {
            return Ok(());
        }
        let Ok(_slot) = prefetch.slots.acquire().await else {
            return Ok(());
        };
        if !self.has_room().await {
            return Ok(());
        }
        let _running = Running::new(&prefetch.running);
        let answer = self.blob(repository, digest).await?;
        if answer.outcome != Outcome::Fill {
            return Ok(());
        }
        // Where it cannot be stored it would come for nobody.
        let Some(mut download) = answer.bytes.download() else {
            return Ok(());
        };
        // From now on: a client that follows the fill makes use of it too.
        prefetch.warmed.insert(*digest, ());
        match download.complete().await {
            Ok(size) => {
                metrics.prefetched(Prefetched::Warmed).inc();
                metrics.prefetched_bytes.inc_by(size);
            }
            // The fill has told its own story.
            Err(_) => prefetch.warmed.invalidate(digest),
        }
        Ok(())
    }

    /// Waits until clients' downloads are few; false if they never are.
    async fn has_room(&self) -> bool {
        let prefetch = &self.inner.prefetch;
        for _ in 0..MOST_YIELDS {
            let ahead = prefetch.running.load(Ordering::Relaxed);
            let clients = self.inner.cache.usage().fills.saturating_sub(ahead);
            if clients < prefetch.busy {
                return true;
            }
            tokio::time::sleep(YIELD).await;
        }
        false
    }
}

/// Counts a download ahead for as long as it lives.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The platform a kind means; none for images of any.
pub(super) fn platform_of(kind: &str) -> Option<Platform> {
    (kind != ANY).then(|| kind.parse().ok()).flatten()
}
