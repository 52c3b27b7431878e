//! What the bucket was asked for, how it went, and what is there.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// The counters of the tier. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct TierMetrics {
    requests: Family<KindLabels, Counter>,
    failures: Family<KindLabels, Counter>,
    bytes: Family<DirectionLabels, Counter>,
    left_alone: Family<DirectionLabels, Gauge>,
    wrong: Counter,
    deleted: Counter,
    blobs: Gauge,
    waiting: Gauge,
}

/// The kinds of requests that providers have a price for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RequestKind {
    Get,
    Put,
    List,
    Delete,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Read,
    Write,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    /// `get`, `put`, `list` or `delete`.
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    /// `read` or `write`.
    direction: &'static str,
}

impl RequestKind {
    fn labels(self) -> KindLabels {
        let kind = match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::List => "list",
            Self::Delete => "delete",
        };
        KindLabels { kind }
    }
}

impl Direction {
    /// The word for it in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn labels(self) -> DirectionLabels {
        DirectionLabels {
            direction: self.as_str(),
        }
    }
}

impl TierMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Requests to the bucket of the tier, by the kinds that have a price";
        registry.register("tier_requests", help, self.requests.clone());
        let help = "Requests to the bucket that failed; an object that is not there is no failure";
        registry.register("tier_failures", help, self.failures.clone());
        let help = "Bytes of blobs read from the bucket and written to it";
        registry.register_with_unit("tier", help, Unit::Bytes, self.bytes.clone());
        let help = "Whether the bucket is left alone after failures (1), for reads and for writes";
        registry.register("tier_left_alone", help, self.left_alone.clone());
        let help = "Blobs of the bucket that had other bytes than their digest says";
        registry.register("tier_wrong_blobs", help, self.wrong.clone());
        let help = "Blobs deleted from the bucket to keep it below its size";
        registry.register("tier_deleted_blobs", help, self.deleted.clone());
        let help = "Blobs in the bucket, as far as they are known here";
        registry.register("tier_blobs", help, self.blobs.clone());
        let help = "Blobs and records that are yet to be written to the bucket";
        registry.register("tier_waiting_writes", help, self.waiting.clone());
    }

    pub(crate) fn asked(&self, kind: RequestKind) {
        self.requests.get_or_create(&kind.labels()).inc();
    }

    pub(crate) fn failed(&self, kind: RequestKind) {
        self.failures.get_or_create(&kind.labels()).inc();
    }

    pub(crate) fn moved(&self, direction: Direction, bytes: u64) {
        self.bytes.get_or_create(&direction.labels()).inc_by(bytes);
    }

    pub(crate) fn show_left_alone(&self, direction: Direction, is_left: bool) {
        self.left_alone
            .get_or_create(&direction.labels())
            .set(i64::from(is_left));
    }

    pub(crate) fn was_wrong(&self) {
        self.wrong.inc();
    }

    pub(crate) fn deleted(&self, blobs: u64) {
        self.deleted.inc_by(blobs);
    }

    pub(crate) fn show_blobs(&self, number: usize) {
        self.blobs.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(crate) fn show_waiting(&self, number: usize) {
        self.waiting.set(i64::try_from(number).unwrap_or(i64::MAX));
    }
}
