//! The parts that the routes stand on, made in the order in which they need each other.

use std::path::PathBuf;

use cache::Cache;
use cluster::{NodeList, NodeMetrics};
use config::{Config, KubernetesConfig};
use control::LiveConfig;
use pull::{Pull, Tasks};
use server::{MemoryBudget, Replays, Server, ServerMetrics};
use tokio_util::sync::CancellationToken;
use upstream::Registry;

use super::{carried, counters::MetricsOfParts, error::StartError, storage};
use crate::{
    housekeeping::Housekeeping, prefetch::Prefetch, telemetry::access::AccessMetrics,
    wanted::Wanted,
};

/// The parts that the routes stand on.
pub(super) struct BelowRoutes {
    pub(super) pull: Pull,
    pub(super) memory: MemoryBudget,
    pub(super) server: Server,
    pub(super) nodes: NodeList,
    pub(super) prefetch: Prefetch,
    pub(super) wanted: Wanted,
    pub(super) housekeeping: Housekeeping,
    pub(super) tasks: Tasks,
    pub(super) access: AccessMetrics,
}

impl BelowRoutes {
    /// Opens the cache, and makes the rest over it. Blocks.
    pub(super) fn new(
        live: &LiveConfig,
        bundles: &[PathBuf],
        counters: MetricsOfParts,
        stop: &CancellationToken,
    ) -> Result<Self, StartError> {
        let (config, tasks) = (live.current(), Tasks::default());
        let cache = if bundles.is_empty() {
            storage::open(&config)?
        } else {
            carried::open(&config, bundles)?
        };
        let upstreams = Registry::new(config.upstreams.clone(), counters.upstreams);
        let pull = Pull::new(&cache, upstreams, &config.cache, counters.pulls, &tasks);
        let memory = MemoryBudget::new(config.server.memory, counters.server.clone());
        let server = server(&config, &cache, &memory, counters.server, stop);
        let nodes = node_list(&config.platform.kubernetes, counters.nodes);
        let prefetch = Prefetch::new(
            &config,
            pull.clone(),
            nodes.clone(),
            memory.pressure(),
            counters.prefetch,
            tasks.clone(),
        );
        let wanted = Wanted::open(cache.clone(), live.clone());
        let housekeeping = Housekeeping::new(
            cache,
            prefetch.clone(),
            wanted.clone(),
            counters.housekeeping,
            tasks.clone(),
        );
        Ok(Self {
            pull,
            memory,
            server,
            nodes,
            prefetch,
            wanted,
            housekeeping,
            tasks,
            access: counters.access,
        })
    }
}

fn server(
    config: &Config,
    cache: &Cache,
    memory: &MemoryBudget,
    metrics: ServerMetrics,
    stop: &CancellationToken,
) -> Server {
    let replays = (config.server.replay).then(|| Replays::new(cache.clone()));
    let pressure = memory.pressure();
    Server::new(&config.server, replays, metrics, pressure, stop.clone())
}

/// The list of nodes, empty so far, if they are to be known.
fn node_list(config: &KubernetesConfig, metrics: NodeMetrics) -> NodeList {
    if config.nodes {
        NodeList::new(config.silent_after, metrics)
    } else {
        NodeList::off()
    }
}
