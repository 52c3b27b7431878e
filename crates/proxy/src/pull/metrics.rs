//! The counts of downloads, and the size of the cache.

use cache::Usage;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// The counters and gauges of pulling. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct PullMetrics {
    /// Fills that became blobs.
    pub(super) fills_completed: Counter,
    /// Fills that failed.
    pub(super) fills_failed: Counter,
    /// Fills that failed because the disk would not take them.
    pub(super) fills_unstored: Counter,
    fills_running: Gauge,
    cache_bytes: Gauge,
    evicted: Counter,
}

impl PullMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        let completed = self.fills_completed.clone();
        registry.register("fills_completed", "Downloads stored", completed);
        let failed = self.fills_failed.clone();
        registry.register("fills_failed", "Downloads that failed", failed);
        let help = "Downloads the disk would not take";
        registry.register("fills_unstored", help, self.fills_unstored.clone());
        let running = self.fills_running.clone();
        registry.register("fills_running", "Downloads under way", running);
        let bytes = self.cache_bytes.clone();
        registry.register_with_unit("cache", "Bytes of stored blobs", Unit::Bytes, bytes);
        let evicted = self.evicted.clone();
        registry.register_with_unit("evicted", "Bytes evicted", Unit::Bytes, evicted);
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
