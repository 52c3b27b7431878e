//! The assembly of all parts from the configuration, and their life from the first listener to the
//! last flush.
//!
//! Owns the order of start and shutdown. Refuses the work of any part.

mod carried;
mod fleet;
mod shutdown;
mod sockets;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cache::{Cache, CacheError, Options, inspect::FileSystem};
use cluster::{NodeList, NodeMetrics, NodeWatch};
use config::{CacheConfig, Config, KubernetesConfig, Source};
use control::{Control, ImportsError, LiveConfig, SocketError, Turns};
use probe::Instance;
use pull::{Nearby, Pull, PullMetrics, Tasks};
use replicas::{PeerTlsError, ReplicaMetrics, Replicas};
use server::{MemoryBudget, Replays, Server, ServerMetrics};
use systemd::{HandedSockets, ServiceManager};
use tier::{Tier, TierMetrics};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};
use upstream::{Registry, UpstreamMetrics};

use self::{
    shutdown::{Signals, drain},
    sockets::Sockets,
};
use crate::{
    admin::Admin,
    descriptors,
    housekeeping::{Housekeeping, HousekeepingMetrics},
    listeners::Listeners,
    notices,
    prefetch::{Prefetch, PrefetchMetrics},
    push_times::PushTimes,
    reload::{Parts, Reloader},
    routes::{self, Service},
    telemetry::{
        self, Logging,
        access::{AccessMetrics, Observer},
        log_writer::LogWriter,
        metrics::Metrics,
    },
    usage::Usage,
    wanted::Wanted,
};

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache could not be opened.
    #[error("cannot open the cache")]
    Cache(#[from] CacheError),
    /// A bundle cannot be served as it is.
    #[error("cannot serve a bundle")]
    Bundle(#[from] ImportsError),
    /// A listener could not be bound.
    #[error(
        "cannot listen on {address}; is something else running there? Set another address in the configuration"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A socket was handed over that nobody would serve: its clients would wait for ever.
    #[error(
        "a socket for {0} was handed over, where no listener is: give one that address, or remove it from the unit's sockets"
    )]
    Unclaimed(SocketAddr),
    /// The settings of the tier cannot be used.
    #[error("cannot use the tier")]
    Tier(#[from] tier::StartError),
    /// Somebody else has the admin socket.
    #[error("cannot listen on the admin socket")]
    Socket(#[from] SocketError),
    /// What proves replicas to each other cannot be used.
    #[error("cannot join the other replicas")]
    Replicas(#[from] PeerTlsError),
    /// Signals could not be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// The system gave no random bytes.
    #[error("cannot get random bytes from the system")]
    Random(#[source] io::Error),
}

/// The proxy, ready to run: the cache is open and all listeners are bound.
#[derive(Debug)]
pub struct App {
    /// What stays as it is until the end, as how long that takes.
    config: Arc<Config>,
    housekeeping: Housekeeping,
    nodes: NodeList,
    tier: Option<Tier>,
    ready: Arc<AtomicBool>,
    memory: MemoryBudget,
    server: Server,
    sockets: Sockets,
    reloader: Reloader,
    /// What changes it while it runs.
    control: Control,
    /// What is served.
    serving: TaskTracker,
    stop: CancellationToken,
}

impl App {
    /// Opens the cache, or the `bundles` that are served in place of it, and binds the listeners; those
    /// whose sockets were `handed` over have theirs. No upstream is contacted. `started` was read from
    /// `source`, which is read again for a reload.
    pub async fn start(
        source: Source,
        started: Config,
        bundles: &[PathBuf],
        handed: HandedSockets,
        logging: Logging,
    ) -> Result<Self, StartError> {
        // From here on it ends nobody.
        let hangups = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        let (live, stop) = (in_force(&started), CancellationToken::new());
        let (config, counters) = (live.current(), MetricsOfParts::default());
        let metrics = counters.registry(&logging.lines);
        let below = BelowRoutes::new(&live, bundles, counters, &stop)?;
        let service = below.service(&live);
        let (pull, server, instance) = (below.pull, below.server, below.instance);
        let router = routes::router(service, observer(&config, below.access, logging.lines));
        let (ready, serving) = (Arc::new(AtomicBool::new(true)), TaskTracker::new());
        let admin = Admin {
            ready: Arc::clone(&ready),
            instance,
            nodes: below.nodes.clone(),
            replicas: below.replicas,
            metrics,
            push_times: PushTimes::new(pull.clone(), below.tasks),
            wanted: below.wanted,
            pull: pull.clone(),
            config: live.clone(),
        };
        let (reloads, asked) = control::reloads();
        let control = Control {
            pull: pull.clone(),
            config: live.clone(),
            server: server.clone(),
            reloads,
            turns: Turns::default(),
            stop: stop.clone(),
        };
        let sockets = Sockets::bind(&config, admin, control.clone(), &router, handed).await?;
        let parts = Parts {
            live,
            pull,
            prefetch: below.prefetch,
            levels: logging.levels,
            listeners: Listeners::new(server.clone(), router, serving.clone()),
            server: server.clone(),
        };
        Ok(Self {
            config,
            housekeeping: below.housekeeping,
            nodes: below.nodes,
            tier: below.tier,
            ready,
            memory: below.memory,
            server,
            sockets,
            reloader: Reloader::new(source, started, (hangups, asked), parts),
            control,
            serving,
            stop,
        })
    }

    /// Serves until SIGTERM or SIGINT; SIGHUP has the configuration read again. Then it is not ready,
    /// takes no new connections and lets running requests and downloads finish within the grace
    /// period, or until a second signal. The rest is cut when the runtime ends; the lines of those
    /// clients are in the log from then on.
    pub async fn run(self) -> Result<(), StartError> {
        let Self {
            config,
            housekeeping,
            nodes,
            tier,
            ready,
            memory,
            server,
            sockets,
            mut reloader,
            control,
            serving,
            stop,
        } = self;
        tell_start(&config, &sockets, reloader.source());
        let mut signals = Signals::watch().map_err(StartError::Signals)?;
        let manager = ServiceManager::from_environment();
        let status = format!("serving at {}", sockets.addresses());
        let (replicas, pull) = (sockets.replicas(), control.pull.clone());
        sockets.serve(&mut reloader, &server, &serving, &stop);
        serving.spawn(control::watch_inbox(control));
        // Ends with this function: cut connections must end within the grace too.
        let mut watch = JoinSet::new();
        let watched = server.clone();
        watch.spawn(async move { watched.watch_connections().await });
        watch.spawn(memory.watch());
        if let Some(tier) = tier.clone() {
            watch.spawn(tier.run());
        }
        let follow = NodeWatch::new(config.platform.kubernetes.clone(), nodes.clone());
        watch.spawn(follow.run());
        watch.spawn(forget_moved(nodes, server.clone()));
        watch.spawn(manager.keep_alive());
        if let Some(replicas) = replicas.clone() {
            watch.spawn(fleet::follow(replicas, pull));
        }
        let stopping = stop.clone();
        watch.spawn(async move {
            let reloading = reloader.run(manager);
            stopping.run_until_cancelled(reloading).await;
        });
        manager.ready(&status);
        tokio::select! {
            () = signals.next() => {}
            () = housekeeping.run_maintenance() => {}
        }
        ready.store(false, Ordering::Relaxed);
        if let Some(replicas) = replicas {
            replicas.leave();
        }
        stop.cancel();
        let grace = config.server.shutdown_grace;
        info!(?grace, "shutting down");
        manager.stopping(grace);
        tokio::select! {
            () = drain(&serving, &housekeeping, tier.as_ref(), grace) => info!("stopped"),
            () = signals.next() => warn!("a second signal came: cutting what still runs"),
        }
        Ok(())
    }
}

/// The one line with all that an operator asks first.
fn tell_start(config: &Config, sockets: &Sockets, source: &Source) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config = source.name(),
        listeners = sockets.addresses(),
        cache = %config.cache.path.display(),
        "archway has started"
    );
}

/// The parts that the routes stand on.
struct BelowRoutes {
    pull: Pull,
    tier: Option<Tier>,
    /// This start, by an id that no other has.
    instance: Arc<Instance>,
    replicas: Option<Replicas>,
    memory: MemoryBudget,
    server: Server,
    nodes: NodeList,
    prefetch: Prefetch,
    wanted: Wanted,
    housekeeping: Housekeeping,
    tasks: Tasks,
    access: AccessMetrics,
}

impl BelowRoutes {
    /// What every request needs of them.
    fn service(&self, live: &LiveConfig) -> Service {
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

    /// Opens the cache, and makes the rest over it. Blocks.
    fn new(
        live: &LiveConfig,
        bundles: &[PathBuf],
        counters: MetricsOfParts,
        stop: &CancellationToken,
    ) -> Result<Self, StartError> {
        let (config, tasks) = (live.current(), Tasks::default());
        let cache = if bundles.is_empty() {
            open_cache(&config)?
        } else {
            carried::open(&config, bundles)?
        };
        let upstreams = Registry::new(config.upstreams.clone(), counters.upstreams);
        let instance = new_instance()?;
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
        })
    }
}

/// The bucket that replicas share, if there is one and this start is `to_have` it. Blocks.
fn tier(
    config: &Config,
    cache: &Cache,
    metrics: TierMetrics,
    to_have: bool,
) -> Result<Option<Tier>, tier::StartError> {
    let Some(tier) = config.tier.as_ref().filter(|_| to_have) else {
        return Ok(None);
    };
    let replicas = config.replicas.as_ref();
    let their_key = replicas.and_then(|replicas| replicas.secret_file.as_deref());
    Tier::open(tier, their_key, cache, metrics).map(Some)
}

/// The configuration as it can be had here, and what there is to say about it.
fn in_force(started: &Config) -> LiveConfig {
    let mut config = started.clone();
    descriptors::fit(&mut config);
    notices::tell(&config);
    LiveConfig::new(config)
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

/// Whenever an address has become another node's, or nobody's, what was answered to it holds no more.
async fn forget_moved(nodes: NodeList, server: Server) {
    loop {
        nodes.moved().await;
        server.forget_answers();
    }
}

/// This start, by an id and a key that no other has.
fn new_instance() -> Result<Arc<Instance>, StartError> {
    let instance = Instance::random().map_err(|error| StartError::Random(error.into()));
    Ok(Arc::new(instance?))
}

fn observer(config: &Config, metrics: AccessMetrics, lines: LogWriter) -> Observer {
    Observer {
        metrics: Arc::new(metrics),
        // For people they are log events like all others.
        log: (!telemetry::is_human(&config.log)).then_some(lines),
    }
}

fn open_cache(config: &Config) -> Result<Cache, CacheError> {
    let disk = FileSystem::of(&config.cache.path)?;
    let options = cache_options(&config.cache, disk);
    let cache = Cache::open(&options)?;
    tell_bounds(&cache, &options, disk);
    Ok(cache)
}

/// How to open the cache of a configuration whose directory is on `disk`.
pub fn cache_options(config: &CacheConfig, disk: FileSystem) -> Options {
    let bounds = config.bounds(disk.total);
    Options {
        path: config.path.clone(),
        max_size: bounds.max_size,
        low_water: bounds.low_water,
        min_free: bounds.min_free,
        anew: false,
        max_open_files: config.max_open_files,
    }
}

/// Says what the cache may take, and warns where that is nothing.
fn tell_bounds(cache: &Cache, options: &Options, disk: FileSystem) {
    let (max_size, min_free) = (options.max_size, options.min_free);
    let (stored, free, total) = (cache.usage().bytes, disk.free, disk.total);
    info!(
        max_size,
        min_free, stored, free, total, "the bounds of the cache"
    );
    if free.saturating_add(stored) <= min_free {
        warn!(
            min_free,
            stored,
            free,
            total,
            "cache.min_free leaves the cache no room: nothing will be stored until space is freed"
        );
    }
}

/// The metrics of every part.
#[derive(Debug, Default)]
struct MetricsOfParts {
    access: AccessMetrics,
    upstreams: UpstreamMetrics,
    pulls: PullMetrics,
    prefetch: PrefetchMetrics,
    housekeeping: HousekeepingMetrics,
    nodes: NodeMetrics,
    replicas: ReplicaMetrics,
    server: ServerMetrics,
    tier: TierMetrics,
}

impl MetricsOfParts {
    /// A registry that has all of them, and the count of dropped log lines.
    fn registry(&self, lines: &LogWriter) -> Arc<Metrics> {
        let mut metrics = Metrics::default();
        metrics.watch(lines);
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
        Arc::new(metrics)
    }
}
