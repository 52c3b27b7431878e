//! The counts of blobs downloaded before a client asked.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use protocol::host::HostPattern;

/// The counters of prefetching. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrefetchMetrics {
    blobs: Family<PrefetchLabels, Counter>,
    bytes: Counter,
    budgets_left: Family<UpstreamLabels, Gauge>,
    /// Images that wait to be downloaded ahead, or are.
    pub(super) waiting: Gauge,
}

/// An upstream, by its key in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

/// The fate of a blob that was downloaded ahead of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefetched {
    /// It was downloaded.
    Warmed,
    /// A client has asked for it since.
    Used,
    /// No client has asked for it within a day.
    Wasted,
    /// It was not downloaded: its upstream's budget of this hour is spent.
    OverBudget,
}

impl Prefetched {
    const ALL: [Self; 4] = [Self::Warmed, Self::Used, Self::Wasted, Self::OverBudget];

    fn as_str(self) -> &'static str {
        match self {
            Self::Warmed => "warmed",
            Self::Used => "used",
            Self::Wasted => "wasted",
            Self::OverBudget => "over_budget",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PrefetchLabels {
    result: &'static str,
}

impl PrefetchMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub(crate) fn register(&self, registry: &mut Registry) {
        for result in Prefetched::ALL.map(Prefetched::as_str) {
            self.blobs.get_or_create_owned(&PrefetchLabels { result });
        }
        let help = "Blobs downloaded before a client asked, and what became of them";
        registry.register("prefetched_blobs", help, self.blobs.clone());
        let help = "Bytes downloaded before a client asked";
        registry.register_with_unit("prefetched", help, Unit::Bytes, self.bytes.clone());
        let help =
            "Bytes that may still be downloaded ahead; for a pattern, by the last host asked";
        let left = self.budgets_left.clone();
        registry.register_with_unit("prefetch_budget_left", help, Unit::Bytes, left);
        let help = "Images that wait to be downloaded ahead, or are being downloaded";
        registry.register("prefetch_waiting", help, self.waiting.clone());
    }

    pub(super) fn count(&self, result: Prefetched) {
        let result = result.as_str();
        self.blobs.get_or_create(&PrefetchLabels { result }).inc();
    }

    /// Sets what is left of an upstream's budget; `pattern` is its key in the configuration.
    pub(super) fn budget_left(&self, pattern: &HostPattern, left: u64) {
        let upstream = pattern.as_str().to_owned();
        let gauge = self
            .budgets_left
            .get_or_create(&UpstreamLabels { upstream });
        gauge.set(i64::try_from(left).unwrap_or(i64::MAX));
    }

    /// Counts a blob of `size` bytes that is stored now.
    pub(super) fn count_warmed(&self, size: u64) {
        self.count(Prefetched::Warmed);
        self.bytes.inc_by(size);
    }
}
