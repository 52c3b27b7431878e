//! What is counted of the requests between replicas.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::error::PeerError;

/// What a replica is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerRequest {
    /// The bytes of a blob.
    Blob,
    /// A manifest, by tag or digest.
    Manifest,
    /// What it says of itself.
    Hello,
}

impl PeerRequest {
    fn label(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Manifest => "manifest",
            Self::Hello => "hello",
        }
    }
}

/// The counters of what replicas say to each other. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct ReplicaMetrics {
    requests: Family<RequestLabels, Counter>,
    bytes: Family<ByteLabels, Counter>,
    members: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// `sent` or `received`.
    direction: &'static str,
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByteLabels {
    direction: &'static str,
}

impl ReplicaMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Requests between replicas, by what they ask for and how they were answered";
        registry.register("replica_requests", help, self.requests.clone());
        let help = "Bytes of blobs that came from other replicas or went to them";
        registry.register("replica_bytes", help, self.bytes.clone());
        let help = "Replicas that may be asked, this one included; 0 without [replicas]";
        registry.register("replica_members", help, self.members.clone());
    }

    pub(crate) fn asked<T>(&self, kind: PeerRequest, result: &Result<T, PeerError>) {
        let result = result
            .as_ref()
            .map_or_else(PeerError::label, |_| "answered");
        self.count("sent", kind, result);
    }

    /// A request of another replica has been answered, or is about to be.
    pub fn answered(&self, kind: PeerRequest, is_refused: bool) {
        let result = if is_refused { "refused" } else { "answered" };
        self.count("received", kind, result);
    }

    fn count(&self, direction: &'static str, kind: PeerRequest, result: &'static str) {
        let labels = RequestLabels {
            direction,
            kind: kind.label(),
            result,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn came(&self, bytes: usize) {
        let labels = ByteLabels {
            direction: "received",
        };
        self.bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    /// Bytes of a blob have gone to another replica.
    pub fn went(&self, bytes: usize) {
        let labels = ByteLabels { direction: "sent" };
        self.bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    pub(crate) fn members(&self, there: usize) {
        self.members.set(i64::try_from(there).unwrap_or(i64::MAX));
    }
}
