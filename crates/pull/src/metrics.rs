//! The counts of downloads and of the slots they need, of stale answers, and the size of the cache.

use std::time::Duration;

use cache::{EvictionReason, Usage};
use config::CacheConfig;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use protocol::host::HostPattern;
use slots::{AllSlots, SlotCounts, Slots};

/// From a config to a large layer over a slow line.
const FILL_SECONDS: [f64; 7] = [0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0];

/// From a config to a layer with a model.
const FILL_BYTES: [f64; 6] = [1e4, 1e6, 1e7, 1e8, 1e9, 1e10];

/// From one missed confirmation to a lasting outage.
const STALE_AGES: [f64; 6] = [600.0, 3600.0, 21_600.0, 43_200.0, 86_400.0, 604_800.0];

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
    /// Downloads, or connections of one, that went on where another had ended.
    pub(super) fills_resumed: Counter,
    /// Fills whose bytes did not have their digest; a part of the failures of integrity.
    pub(super) corrupt_fills: Counter,
    histograms: Histograms,
    fill_followers: Gauge,
    fills_running: Gauge,
    cache_limit: Gauge,
    cache_blobs: Gauge,
    available: Gauge,
    evictions: Family<EvictionLabels, Counter>,
    refetched: Counter,
    integrity_failures: Family<PlaceLabels, Counter>,
    stale_answers: Family<StaleLabels, Counter>,
    slots_limit: Family<SlotLabels, Gauge>,
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

/// The label of evictions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvictionLabels {
    /// The name of an [`EvictionReason`].
    reason: &'static str,
}

/// The label of damage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaceLabels {
    /// `upstream` or `disk`.
    place: &'static str,
}

/// The labels of answers that were not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StaleLabels {
    upstream: String,
    /// The name of a [`StaleReason`].
    reason: &'static str,
}

/// Why a tag went out as last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StaleReason {
    /// The upstream did not confirm it.
    Failed,
    /// It did not do so in time.
    Slow,
    /// It has the tag no more, and such tags are to be served.
    Gone,
}

impl StaleReason {
    const ALL: [Self; 3] = [Self::Failed, Self::Slow, Self::Gone];

    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Slow => "slow",
            Self::Gone => "gone",
        }
    }
}

/// What is counted by its size.
#[derive(Clone, Debug)]
struct Histograms {
    fill_seconds: Histogram,
    fill_bytes: Histogram,
    stale_age: Histogram,
}

impl Default for Histograms {
    fn default() -> Self {
        Self {
            fill_seconds: Histogram::new(FILL_SECONDS),
            fill_bytes: Histogram::new(FILL_BYTES),
            stale_age: Histogram::new(STALE_AGES),
        }
    }
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
        self.register_fills(registry);
        self.register_cache(registry);
        self.register_answers(registry);
        let limit = "Slots there are";
        registry.register("slots_limit", limit, self.slots_limit.clone());
        let taken = "Slots of downloads, bypasses and calls that are taken";
        registry.register("slots_taken", taken, self.slots_taken.clone());
        let waiting = "Those who wait for a slot";
        registry.register("slots_waiting", waiting, self.slots_waiting.clone());
        let refused = "Those who got no slot in time";
        registry.register("slots_refused", refused, self.slots_refused.clone());
        let recalled = "Work without followers that was to give its slot to who waited";
        registry.register("slots_recalled", recalled, self.slots_recalled.clone());
    }

    fn register_fills(&self, registry: &mut Registry) {
        let help = "Downloads, or connections of one, that went on where another had ended";
        registry.register("fills_resumed", help, self.fills_resumed.clone());
        let help = "Readers of the downloads under way";
        registry.register("fill_followers", help, self.fill_followers.clone());
        let help = "From the slot of a download to its stored blob";
        let seconds = self.histograms.fill_seconds.clone();
        registry.register_with_unit("fill", help, Unit::Seconds, seconds);
        let help = "Sizes of downloads that were stored";
        let bytes = self.histograms.fill_bytes.clone();
        registry.register_with_unit("fill", help, Unit::Bytes, bytes);
    }

    fn register_answers(&self, registry: &mut Registry) {
        let help = "Contents that did not have their digest, as they came or on the disk";
        let failures = self.integrity_failures.clone();
        registry.register("integrity_failures", help, failures);
        let help = "Tags that went out as last seen";
        registry.register("stale_answers", help, self.stale_answers.clone());
        let help = "How long ago the upstream had confirmed the tags that went out as last seen";
        let ages = self.histograms.stale_age.clone();
        registry.register_with_unit("stale_age", help, Unit::Seconds, ages);
    }

    fn register_cache(&self, registry: &mut Registry) {
        let bytes = self.cache_bytes.clone();
        registry.register_with_unit("cache", "Bytes of stored blobs", Unit::Bytes, bytes);
        let help = "Bytes that stored blobs and downloads may take";
        registry.register_with_unit("cache_limit", help, Unit::Bytes, self.cache_limit.clone());
        registry.register("cache_blobs", "Stored blobs", self.cache_blobs.clone());
        let help = "Bytes that the file system of the cache has left";
        let available = self.available.clone();
        registry.register_with_unit("filesystem_avail", help, Unit::Bytes, available);
        registry.register("evictions", "Blobs evicted", self.evictions.clone());
        let help = "Bytes stored again within a day of their eviction";
        registry.register_with_unit("refetched", help, Unit::Bytes, self.refetched.clone());
        let pinned = self.pinned_bytes.clone();
        let help = "Bytes of blobs that bundles pin";
        registry.register_with_unit("cache_pinned", help, Unit::Bytes, pinned);
        let evicted = self.evicted.clone();
        registry.register_with_unit("evicted", "Bytes evicted", Unit::Bytes, evicted);
    }

    /// Has the counters that depend on `upstreams` at zero before one of them is asked.
    pub(super) fn count_from_now<'a>(&self, upstreams: impl Iterator<Item = &'a HostPattern>) {
        for upstream in upstreams {
            for reason in StaleReason::ALL {
                self.stale_answers
                    .get_or_create_owned(&stale_labels(upstream, reason));
            }
        }
    }

    /// Counts a download that was stored.
    pub(super) fn completed(&self, size: u64, time: Duration) {
        self.fills_completed.inc();
        self.histograms.fill_seconds.observe(time.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a bucket needs no single bytes")]
        self.histograms.fill_bytes.observe(size as f64);
    }

    /// Counts a tag that goes out as it was `age` ago.
    pub(super) fn stale(&self, upstream: &HostPattern, reason: StaleReason, age: Duration) {
        let labels = stale_labels(upstream, reason);
        self.stale_answers.get_or_create(&labels).inc();
        self.histograms.stale_age.observe(age.as_secs_f64());
    }

    /// The slots that the configuration allows, counted here.
    pub(super) fn slots(&self, config: &CacheConfig) -> AllSlots {
        let slots = |labels: &SlotLabels, capacity| {
            let limit = self.slots_limit.get_or_create_owned(labels);
            limit.set(i64::try_from(capacity).unwrap_or(i64::MAX));
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
    pub(super) fn observe(&self, usage: &Usage, max_size: u64, slots: &AllSlots) {
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
        for (gauge, value) in [
            (&self.fills_running, usage.fills as u64),
            (&self.fill_followers, usage.followers as u64),
            (&self.cache_bytes, usage.bytes),
            (&self.cache_limit, max_size),
            (&self.cache_blobs, usage.blobs),
            (&self.pinned_bytes, usage.pinned_bytes),
            (&self.available, usage.available.unwrap_or_default()),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        raise(&self.evicted, usage.evicted_bytes);
        raise(&self.refetched, usage.refetched_bytes);
        for (reason, count) in EvictionReason::ALL.into_iter().zip(usage.evictions) {
            let reason = reason.as_str();
            let counter = self
                .evictions
                .get_or_create_owned(&EvictionLabels { reason });
            raise(&counter, count);
        }
    }

    /// Sets the counters of damage: to what the cache has found on the disk, and to what came wrong,
    /// of which `answers` were no fills.
    pub(super) fn observe_integrity(&self, usage: &Usage, answers: u64) {
        let came = answers + self.corrupt_fills.get();
        for (place, count) in [("upstream", came), ("disk", usage.damaged)] {
            let labels = PlaceLabels { place };
            raise(&self.integrity_failures.get_or_create_owned(&labels), count);
        }
    }
}

/// Brings a counter to what another part has counted.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn stale_labels(upstream: &HostPattern, reason: StaleReason) -> StaleLabels {
    StaleLabels {
        upstream: upstream.as_str().to_owned(),
        reason: reason.as_str(),
    }
}
