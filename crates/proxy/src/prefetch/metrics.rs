//! The counts of blobs downloaded before a client asked.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};

/// The counters of prefetching. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrefetchMetrics {
    blobs: Family<PrefetchLabels, Counter>,
    bytes: Counter,
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

impl PrefetchMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Blobs downloaded before a client asked, and what became of them";
        registry.register("prefetched_blobs", help, self.blobs.clone());
        let help = "Bytes downloaded before a client asked";
        registry.register_with_unit("prefetched", help, Unit::Bytes, self.bytes.clone());
    }

    pub(super) fn count(&self, result: Prefetched) {
        let result = result.as_str();
        self.blobs.get_or_create(&PrefetchLabels { result }).inc();
    }

    /// Counts a blob of `size` bytes that is stored now.
    pub(super) fn count_warmed(&self, size: u64) {
        self.count(Prefetched::Warmed);
        self.bytes.inc_by(size);
    }
}
