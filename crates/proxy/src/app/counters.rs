//! The metrics of all parts. A new part has its field here, and its line in `registry`.

use std::sync::Arc;

use cluster::NodeMetrics;
use pull::PullMetrics;
use replicas::ReplicaMetrics;
use server::ServerMetrics;
use tier::TierMetrics;
use upstream::UpstreamMetrics;
use window::Viewers;

use crate::{
    housekeeping::HousekeepingMetrics,
    prefetch::PrefetchMetrics,
    telemetry::{access::AccessMetrics, log_writer::LogWriter, metrics::Metrics},
};

/// The metrics of every part.
#[derive(Debug, Default)]
pub(super) struct MetricsOfParts {
    pub(super) access: AccessMetrics,
    pub(super) upstreams: UpstreamMetrics,
    pub(super) pulls: PullMetrics,
    pub(super) prefetch: PrefetchMetrics,
    pub(super) housekeeping: HousekeepingMetrics,
    pub(super) nodes: NodeMetrics,
    pub(super) replicas: ReplicaMetrics,
    pub(super) server: ServerMetrics,
    pub(super) tier: TierMetrics,
    pub(super) viewers: Viewers,
}

impl MetricsOfParts {
    /// A registry that has all of them, and the count of dropped log lines.
    pub(super) fn registry(&self, lines: &LogWriter, audit: Option<&LogWriter>) -> Arc<Metrics> {
        let mut metrics = Metrics::default();
        metrics.watch(lines);
        if let Some(audit) = audit {
            metrics.watch_audit(audit);
        }
        let registry = metrics.registry();
        self.access.register(registry);
        self.upstreams.register(registry);
        self.pulls.register(registry);
        self.prefetch.register(registry);
        self.housekeeping.register(registry);
        self.nodes.register(registry);
        self.replicas.register(registry);
        self.server.register(registry);
        self.tier.register(registry);
        self.viewers.register(registry);
        Arc::new(metrics)
    }
}
