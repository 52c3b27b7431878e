//! The parts that the routes stand on, made in the order in which they need each other.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use cache::Cache;
use cluster::{NodeList, NodeMetrics};
use config::{Config, KubernetesConfig, SecretSource};
use control::LiveConfig;
use probe::Instance;
use pull::{Nearby, Pull, Tasks};
use replicas::{PeerTlsError, Replicas};
use server::{MemoryBudget, Replays, Server, ServerMetrics};
use tier::{Tier, TierMetrics};
use tokio_util::sync::CancellationToken;
use upstream::Registry;
use window::{EventRing, Viewers, Window, WindowParts};

use super::{carried, counters::MetricsOfParts, error::StartError, fleet, storage};
use crate::{
    housekeeping::Housekeeping,
    prefetch::Prefetch,
    routes::Service,
    telemetry::{access::AccessMetrics, metrics::Metrics},
    usage::Usage,
    wanted::Wanted,
};

/// The parts that the routes stand on.
pub(super) struct BelowRoutes {
    pub(super) pull: Pull,
    pub(super) tier: Option<Tier>,
    /// This start, by an id that no other has.
    pub(super) instance: Arc<Instance>,
    pub(super) replicas: Option<Replicas>,
    pub(super) memory: MemoryBudget,
    pub(super) server: Server,
    pub(super) nodes: NodeList,
    pub(super) prefetch: Prefetch,
    pub(super) wanted: Wanted,
    pub(super) housekeeping: Housekeeping,
    pub(super) tasks: Tasks,
    pub(super) access: AccessMetrics,
    viewers: Viewers,
}

impl BelowRoutes {
    /// What every request needs of them.
    pub(super) fn service(&self, live: &LiveConfig) -> Service {
        Service {
            instance: Arc::clone(&self.instance),
            nodes: self.nodes.clone(),
            config: live.clone(),
            pull: self.pull.clone(),
            usage: Usage::new(self.pull.cache().clone(), self.prefetch.clone()),
            wanted: self.wanted.clone(),
            tier: self.tier.clone(),
        }
    }

    /// What operators see of them.
    pub(super) fn window(
        &self,
        live: &LiveConfig,
        metrics: &Arc<Metrics>,
        ready: &Arc<AtomicBool>,
        events: EventRing,
    ) -> Window {
        let parts = WindowParts {
            pull: self.pull.clone(),
            config: live.clone(),
            metrics: Arc::clone(metrics),
            nodes: self.nodes.clone(),
            ready: Arc::clone(ready),
            events,
            tasks: self.tasks.clone(),
        };
        Window::new(parts, self.viewers.clone())
    }

    /// Opens the cache, for which it may have to wait, and makes the rest over it. Blocks.
    pub(super) fn new(
        live: &LiveConfig,
        (bundles, wait): (&[PathBuf], Duration),
        counters: MetricsOfParts,
        stop: &CancellationToken,
    ) -> Result<Self, StartError> {
        let (config, tasks) = (live.current(), Tasks::default());
        let cache = if bundles.is_empty() {
            storage::open(&config, wait)?
        } else {
            carried::open(&config, bundles)?
        };
        let upstreams = Registry::new(config.upstreams.clone(), counters.upstreams);
        let instance = new_instance(&config)?;
        let replicas = fleet::join(&config, &instance, counters.replicas)?;
        let with_tier = bundles.is_empty();
        let tier = tier(&config, &cache, counters.tier, with_tier)?;
        let nearby = Nearby {
            replicas: replicas.clone(),
            tier: tier.clone(),
        };
        let pull = Pull::new(
            &cache,
            upstreams,
            &config.cache,
            counters.pulls,
            nearby,
            &tasks,
        );
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
            tier,
            instance,
            replicas,
            memory,
            server,
            nodes,
            prefetch,
            wanted,
            housekeeping,
            tasks,
            access: counters.access,
            viewers: counters.viewers,
        })
    }
}

/// The bucket that replicas share, if there is one and this start is `to_have` it. Offline it is not
/// dialled either. Blocks.
fn tier(
    config: &Config,
    cache: &Cache,
    metrics: TierMetrics,
    to_have: bool,
) -> Result<Option<Tier>, tier::StartError> {
    let Some(tier) = config
        .tier
        .as_ref()
        .filter(|_| to_have && !config.upstreams.are_offline())
    else {
        return Ok(None);
    };
    let replicas = config.replicas.as_ref();
    let their_key = replicas.and_then(|replicas| replicas.secret_file.as_deref());
    Tier::open(tier, their_key, cache, metrics).map(Some)
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

/// This start. Replicas with a secret know each other's names of the probe, since a node may ask any of
/// them. Blocks.
fn new_instance(config: &Config) -> Result<Arc<Instance>, StartError> {
    let instance = Instance::random().map_err(|error| StartError::Random(error.into()))?;
    let replicas = config.replicas.as_ref();
    let secret_file = replicas.and_then(|replicas| replicas.secret_file.clone());
    let Some(secret_file) = secret_file else {
        return Ok(Arc::new(instance));
    };
    let secrets = SecretSource::File(secret_file).read();
    Ok(Arc::new(
        instance.sharing(&secrets.map_err(PeerTlsError::Secret)?),
    ))
}
