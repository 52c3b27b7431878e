//! The upstreams in use. Each is made on its first request and kept while it is used.

use std::sync::Arc;

use config::Upstreams;
use moka::sync::Cache;
use protocol::host::Host;
use tokio_util::task::TaskTracker;

use crate::{
    auth::EcrTokens, error::FetchError, metrics::UpstreamMetrics, policy::EndpointStatus,
    upstream::Upstream,
};

/// Upstreams kept at the same time. One pattern, such as that of ECR, can match any number of
/// hosts.
const MAX_UPSTREAMS: u64 = 1000;

/// All configured upstreams, by name.
#[derive(Debug)]
pub struct Registry {
    config: Upstreams,
    known: Cache<Host, Arc<Upstream>>,
    ecr: Arc<EcrTokens>,
    metrics: UpstreamMetrics,
    /// The probes. Shutdown does not wait for them: their results are of no use then.
    tasks: TaskTracker,
}

impl Registry {
    /// Builds and contacts nothing before the first request.
    pub fn new(config: Upstreams, metrics: UpstreamMetrics) -> Self {
        Self {
            config,
            known: Cache::new(MAX_UPSTREAMS),
            ecr: Arc::default(),
            metrics,
            tasks: TaskTracker::new(),
        }
    }

    /// The configuration of all upstreams.
    pub fn config(&self) -> &Upstreams {
        &self.config
    }

    /// The upstream `host`; `None` if it is not configured.
    pub fn find(&self, host: &Host) -> Result<Option<Arc<Upstream>>, FetchError> {
        if let Some(known) = self.known.get(host) {
            return Ok(Some(known));
        }
        let Some(config) = self.config.find(host) else {
            return Ok(None);
        };
        let tally = self.metrics.tally(&config.pattern);
        let tasks = self.tasks.clone();
        let made = Arc::new(Upstream::new(
            host.clone(),
            config,
            &self.ecr,
            tally,
            tasks,
        )?);
        Ok(Some(self.known.get_with(host.clone(), || made)))
    }

    /// Sets the gauges of the metrics to the state of the endpoints.
    pub fn observe(&self) {
        self.metrics.observe(&self.endpoint_statuses());
    }

    /// The state of every endpoint of the upstreams in use, in the order of their names.
    pub fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        let mut known: Vec<_> = self.known.iter().map(|(_, upstream)| upstream).collect();
        known.sort_by(|a, b| a.host().cmp(b.host()));
        known
            .iter()
            .flat_map(|upstream| upstream.endpoint_statuses())
            .collect()
    }
}
