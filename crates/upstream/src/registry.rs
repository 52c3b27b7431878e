//! The upstreams in use: made on first request, kept while used.

use std::sync::Arc;

use config::Upstreams;
use moka::sync::Cache;
use protocol::host::Host;
use tokio_util::task::TaskTracker;

use super::{EcrTokens, FetchError, Standing, Upstream};
use crate::metrics::UpstreamMetrics;

/// Upstreams kept at the same time. A pattern such as every ECR host can mean any number of them.
const MAX_UPSTREAMS: u64 = 1000;

/// All upstreams that may be asked, by name.
#[derive(Debug)]
pub struct Registry {
    config: Upstreams,
    known: Cache<Host, Arc<Upstream>>,
    ecr: Arc<EcrTokens>,
    metrics: UpstreamMetrics,
    /// Probes. Nobody waits for them at the end: what they find out concerns nobody then.
    tasks: TaskTracker,
}

impl Registry {
    /// Nothing is contacted or built before it is asked for.
    pub fn new(config: Upstreams, metrics: UpstreamMetrics) -> Self {
        Self {
            config,
            known: Cache::new(MAX_UPSTREAMS),
            ecr: Arc::default(),
            metrics,
            tasks: TaskTracker::new(),
        }
    }

    /// The configuration this was made of.
    pub fn config(&self) -> &Upstreams {
        &self.config
    }

    /// The upstream `host`; `None` if it is not configured, and so not reachable.
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

    /// Sets the gauges of the metrics to how the endpoints are now.
    pub fn observe(&self) {
        self.metrics.observe(&self.standings());
    }

    /// How every endpoint stands that was asked before, in the order of their names.
    pub fn standings(&self) -> Vec<Standing> {
        let mut known: Vec<_> = self.known.iter().map(|(_, upstream)| upstream).collect();
        known.sort_by(|a, b| a.host().cmp(b.host()));
        known
            .iter()
            .flat_map(|upstream| upstream.standings())
            .collect()
    }
}
