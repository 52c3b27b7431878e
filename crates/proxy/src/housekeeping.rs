//! The work that keeps a cache in order while the process runs, and the last of it before the end.
//!
//! Owns the intervals of that work, the count of images and the ranking of blobs. None of it holds
//! a client up: it runs on tasks of its own, at the pace of background work.

mod metrics;
mod rank;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::Cache;
use image_inventory as inventory;
use protocol::error_chain::ErrorChain;
use pull::Tasks;
use tokio::{
    sync::Semaphore,
    time::{Interval, interval, interval_at, timeout},
};
use tracing::{info, warn};

pub(crate) use self::metrics::HousekeepingMetrics;
use self::rank::Ranking;
use crate::{prefetch::Prefetch, wanted::Wanted};

/// How often the remembered uses are flushed to disk.
const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

/// How often new wishes are written to disk: what a crash may lose.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

/// How often unreferenced rows of the index and abandoned downloads are dropped.
const COLLECT_INTERVAL: Duration = Duration::from_hours(6);

/// How often links and tags are copied out of the index. Later changes are lost with a lost index.
const SNAPSHOT_INTERVAL: Duration = Duration::from_mins(30);

/// How often the images are counted: it looks at every file of the cache, so not at each scrape.
const COUNT_INTERVAL: Duration = Duration::from_mins(5);

/// How long the last snapshot may take. Where that is not enough, the one before stays.
const LAST_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the end may wait for the disk in all.
const FINAL_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The maintenance of one cache.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    cache: Cache,
    prefetch: Prefetch,
    wanted: Wanted,
    ranking: Ranking,
    metrics: HousekeepingMetrics,
    /// One permit: one count of the images at a time.
    counting: Arc<Semaphore>,
    tasks: Tasks,
}

impl Housekeeping {
    pub(crate) fn new(
        cache: Cache,
        prefetch: Prefetch,
        wanted: Wanted,
        metrics: HousekeepingMetrics,
        tasks: Tasks,
    ) -> Self {
        let ranking = Ranking::new(
            cache.clone(),
            prefetch.clone(),
            metrics.clone(),
            tasks.clone(),
        );
        Self {
            cache,
            prefetch,
            wanted,
            ranking,
            metrics,
            counting: Arc::new(Semaphore::new(1)),
            tasks,
        }
    }

    /// Runs maintenance for as long as it is polled. Dropped in between, it leaves nothing half
    /// done.
    pub(crate) async fn run_maintenance(&self) {
        let now = tokio::time::Instant::now();
        let mut flush = interval(FLUSH_INTERVAL);
        let mut save = interval(SAVE_INTERVAL);
        let mut refresh = self.refresh();
        let mut node_news = self.prefetch.node_news();
        let mut count = interval(COUNT_INTERVAL);
        let mut snapshot = interval_at(now + SNAPSHOT_INTERVAL, SNAPSHOT_INTERVAL);
        let mut collect = interval_at(now + COLLECT_INTERVAL, COLLECT_INTERVAL);
        loop {
            tokio::select! {
                _ = count.tick() => {
                    self.count_images();
                    self.prefetch.sweep().await;
                    self.wanted.forget_granted().await;
                }
                _ = refresh.tick(), if !self.prefetch.refresh_interval().is_zero() => {
                    self.prefetch.refresh_tags();
                }
                () = self.prefetch.replaced() => {
                    refresh = self.refresh();
                    self.prefetch.warm_for_nodes();
                }
                () = node_news.next() => self.prefetch.warm_for_nodes(),
                _ = flush.tick() => {
                    self.flush().await;
                    self.ranking.start();
                }
                _ = save.tick() => {
                    self.wanted.save().await;
                    self.metrics.count_wishes(self.wanted.count());
                }
                _ = snapshot.tick() => self.snapshot(),
                _ = collect.tick() => self.collect(),
            }
        }
    }

    /// The times at which known tags are asked for again. An interval cannot be zero; where tags are
    /// never refreshed this one is not polled.
    fn refresh(&self) -> Interval {
        interval(
            self.prefetch
                .refresh_interval()
                .max(Duration::from_millis(1)),
        )
    }

    /// Flushes the remembered uses, and evicts blobs that were being read when they were due.
    async fn flush(&self) {
        if let Err(error) = self.cache.flush_uses().await {
            warn!(error = %ErrorChain(&error), "the last uses could not be written");
        }
        if let Err(error) = self.cache.trim().await {
            warn!(error = %ErrorChain(&error), "the cache could not be brought under its size");
        }
    }

    /// Counts the cached images for the metrics, unless the last count is still under way.
    fn count_images(&self) {
        let Ok(permit) = Arc::clone(&self.counting).try_acquire_owned() else {
            return;
        };
        let (cache, metrics) = (self.cache.clone(), self.metrics.clone());
        let goes_on = self.tasks.background_pace();
        self.tasks.spawn_blocking(move || {
            match inventory::totals(&cache, goes_on) {
                Ok(Some(totals)) => metrics.count_images(&totals),
                Ok(None) => {}
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "the images could not be counted");
                }
            }
            drop(permit);
        });
    }

    /// Copies links and tags out of the index.
    fn snapshot(&self) {
        let (cache, goes_on) = (self.cache.clone(), self.tasks.background_pace());
        self.tasks.spawn(async move {
            if let Err(error) = cache.write_snapshot(goes_on).await {
                warn!(error = %ErrorChain(&error), "links and tags could not be copied");
            }
        });
    }

    /// Drops unreferenced rows of the index and abandoned downloads.
    fn collect(&self) {
        let (cache, goes_on) = (self.cache.clone(), self.tasks.background_pace());
        self.tasks.spawn(async move {
            match cache.collect(goes_on).await {
                Ok(collected) => info!(?collected, "the cache index was collected"),
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "the cache index could not be collected");
                }
            }
        });
    }

    /// Gives running fetches and fills `grace` to reach the disk, cuts the rest, and flushes. To be
    /// called when no client is left.
    pub(crate) async fn drain(&self, grace: Duration) {
        self.tasks.drain(grace).await;
        if timeout(FINAL_FLUSH_TIMEOUT, self.final_flush())
            .await
            .is_err()
        {
            warn!("the disk does not answer: the last uses, links and tags may be lost");
        }
    }

    /// Writes down state that would be lost with the process, or with the index.
    async fn final_flush(&self) {
        if let Err(error) = self.cache.flush_uses().await {
            warn!(error = %ErrorChain(&error), "the last uses could not be written");
        }
        self.wanted.save().await;
        let end = Instant::now() + LAST_SNAPSHOT_TIMEOUT;
        let goes_on = move || Instant::now() < end;
        if let Err(error) = self.cache.write_snapshot(goes_on).await {
            warn!(error = %ErrorChain(&error), "links and tags could not be copied");
        }
    }
}
