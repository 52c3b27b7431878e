//! What is counted of downloads, of the cache and of its images.

use cache::Usage;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::inventory::Totals;

/// The counters and gauges of pulling. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct PullMetrics {
    /// Fills that became blobs.
    pub(super) fills_completed: Counter,
    /// Fills that failed.
    pub(super) fills_failed: Counter,
    /// Fills that failed because the disk would not take them.
    pub(super) fills_unstored: Counter,
    /// Bytes downloaded ahead of clients.
    pub(super) prefetched_bytes: Counter,
    prefetched: Family<PrefetchLabels, Counter>,
    images: Family<PlatformLabels, Gauge>,
    fills_running: Gauge,
    cache_bytes: Gauge,
    unwanted_bytes: Gauge,
    evicted: Counter,
}

/// What became of a blob that was downloaded ahead of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefetched {
    /// It was downloaded.
    Warmed,
    /// A client has asked for it since.
    Used,
    /// No client has asked for it within a day.
    Wasted,
}

impl Prefetched {
    fn as_str(self) -> &'static str {
        match self {
            Self::Warmed => "warmed",
            Self::Used => "used",
            Self::Wasted => "wasted",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PrefetchLabels {
    result: &'static str,
}

/// Platforms are a bounded set: see [`Totals`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlatformLabels {
    /// A platform, or `other`.
    platform: String,
    /// `cached`, `partial` or `absent`.
    state: &'static str,
}

impl PullMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        self.register_fills(registry);
        self.register_cache(registry);
    }

    fn register_fills(&self, registry: &mut Registry) {
        let completed = self.fills_completed.clone();
        registry.register("fills_completed", "Downloads stored", completed);
        let failed = self.fills_failed.clone();
        registry.register("fills_failed", "Downloads that failed", failed);
        let help = "Downloads the disk would not take";
        registry.register("fills_unstored", help, self.fills_unstored.clone());
        let running = self.fills_running.clone();
        registry.register("fills_running", "Downloads under way", running);
        let help = "Blobs downloaded before a client asked, and what became of them";
        registry.register("prefetched_blobs", help, self.prefetched.clone());
        let help = "Bytes downloaded before a client asked";
        let prefetched = self.prefetched_bytes.clone();
        registry.register_with_unit("prefetched", help, Unit::Bytes, prefetched);
    }

    fn register_cache(&self, registry: &mut Registry) {
        let help = "Images of cached tags for each platform, as of the last count";
        registry.register("images", help, self.images.clone());
        let bytes = self.cache_bytes.clone();
        registry.register_with_unit("cache", "Bytes of stored blobs", Unit::Bytes, bytes);
        let help = "Bytes of blobs for platforms nobody pulls, as of the last look";
        let unwanted = self.unwanted_bytes.clone();
        registry.register_with_unit("cache_unwanted", help, Unit::Bytes, unwanted);
        let evicted = self.evicted.clone();
        registry.register_with_unit("evicted", "Bytes evicted", Unit::Bytes, evicted);
    }

    /// The count of blobs of which this became.
    pub(super) fn prefetched(&self, result: Prefetched) -> Counter {
        let result = result.as_str();
        self.prefetched
            .get_or_create(&PrefetchLabels { result })
            .clone()
    }

    /// Replaces the number of bytes that go first when room is needed.
    pub(super) fn count_unwanted(&self, bytes: u64) {
        self.unwanted_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Replaces the numbers of images.
    pub(super) fn count_images(&self, totals: &Totals) {
        self.images.clear();
        for ((platform, state), number) in totals {
            let labels = PlatformLabels {
                platform: platform.clone(),
                state: state.as_str(),
            };
            self.images.get_or_create(&labels).set(*number);
        }
    }

    /// Sets the gauges to how the cache is used now.
    pub(super) fn observe(&self, usage: &Usage) {
        self.fills_running
            .set(i64::try_from(usage.fills).unwrap_or(i64::MAX));
        self.cache_bytes
            .set(i64::try_from(usage.bytes).unwrap_or(i64::MAX));
        self.evicted
            .inc_by(usage.evicted_bytes.saturating_sub(self.evicted.get()));
    }
}
