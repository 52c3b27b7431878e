//! The counts of downloads and of the slots they need, and the size of the cache.

use cache::Usage;
use config::CacheConfig;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::slots::{AllSlots, SlotCounts, Slots};

/// The counters and gauges of pulling. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct PullMetrics {
    /// Fills that became blobs.
    pub(super) fills_completed: Counter,
    /// Fills that failed.
    pub(super) fills_failed: Counter,
    /// Fills that failed because the disk would not take them.
    pub(super) fills_unstored: Counter,
    /// Fills that failed because they would have put out what is used again.
    pub(super) fills_sent_past: Counter,
    /// Downloads that ended before the upstream gave anything.
    pub(super) fills_unanswered: Counter,
    fills_running: Gauge,
    cache_bytes: Gauge,
    pinned_bytes: Gauge,
    evicted: Counter,
    slots_taken: Family<SlotLabels, Gauge>,
    slots_waiting: Family<SlotLabels, Gauge>,
    slots_refused: Family<SlotLabels, Counter>,
    slots_recalled: Family<SlotLabels, Counter>,
}

/// The label of slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SlotLabels {
    /// `fill`, `bypass` or `call`.
    of: &'static str,
}

const FILL: SlotLabels = SlotLabels { of: "fill" };
const BYPASS: SlotLabels = SlotLabels { of: "bypass" };
const CALL: SlotLabels = SlotLabels { of: "call" };

impl PullMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        let completed = self.fills_completed.clone();
        registry.register("fills_completed", "Downloads stored", completed);
        let failed = self.fills_failed.clone();
        registry.register("fills_failed", "Downloads that failed", failed);
        let help = "Downloads the disk would not take";
        registry.register("fills_unstored", help, self.fills_unstored.clone());
        let help = "Large downloads not stored at their first request, for what they would put out";
        registry.register("fills_sent_past", help, self.fills_sent_past.clone());
        let help = "Downloads that ended before their first answer";
        registry.register("fills_unanswered", help, self.fills_unanswered.clone());
        let running = self.fills_running.clone();
        registry.register("fills_running", "Downloads under way", running);
        let taken = "Slots of downloads, bypasses and calls that are taken";
        registry.register("slots_taken", taken, self.slots_taken.clone());
        let waiting = "Those who wait for a slot";
        registry.register("slots_waiting", waiting, self.slots_waiting.clone());
        let refused = "Those who got no slot in time";
        registry.register("slots_refused", refused, self.slots_refused.clone());
        let recalled = "Work without followers that was to give its slot to who waited";
        registry.register("slots_recalled", recalled, self.slots_recalled.clone());
        let bytes = self.cache_bytes.clone();
        registry.register_with_unit("cache", "Bytes of stored blobs", Unit::Bytes, bytes);
        let pinned = self.pinned_bytes.clone();
        let help = "Bytes of blobs that bundles pin";
        registry.register_with_unit("cache_pinned", help, Unit::Bytes, pinned);
        let evicted = self.evicted.clone();
        registry.register_with_unit("evicted", "Bytes evicted", Unit::Bytes, evicted);
    }

    /// The slots that the configuration allows, counted here.
    pub(super) fn slots(&self, config: &CacheConfig) -> AllSlots {
        let slots = |labels: &SlotLabels, capacity| {
            let counts = SlotCounts {
                refused: self.slots_refused.get_or_create(labels).clone(),
                recalled: self.slots_recalled.get_or_create(labels).clone(),
            };
            Slots::new(capacity, counts)
        };
        AllSlots {
            fills: slots(&FILL, config.max_fills),
            bypasses: slots(&BYPASS, config.max_fills),
            calls: slots(&CALL, config.max_calls),
        }
    }

    /// Sets the gauges to how the cache and the slots are used now.
    pub(super) fn observe(&self, usage: &Usage, slots: &AllSlots) {
        for (labels, slots) in [
            (&FILL, &slots.fills),
            (&BYPASS, &slots.bypasses),
            (&CALL, &slots.calls),
        ] {
            let (taken, waiting) = slots.usage();
            for (gauges, value) in [(&self.slots_taken, taken), (&self.slots_waiting, waiting)] {
                let gauge = gauges.get_or_create(labels);
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
        self.fills_running
            .set(i64::try_from(usage.fills).unwrap_or(i64::MAX));
        self.cache_bytes
            .set(i64::try_from(usage.bytes).unwrap_or(i64::MAX));
        self.pinned_bytes
            .set(i64::try_from(usage.pinned_bytes).unwrap_or(i64::MAX));
        self.evicted
            .inc_by(usage.evicted_bytes.saturating_sub(self.evicted.get()));
    }
}
