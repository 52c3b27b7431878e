//! The assembly of all parts from the configuration, and their life from the first listener to the
//! last flush.
//!
//! Owns the order of start and shutdown. Refuses the work of any part.

mod below;
mod carried;
mod counters;
mod error;
mod fleet;
mod shutdown;
mod sockets;
mod storage;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cluster::{NodeList, NodeWatch};
use config::{AuditConfig, Config, Source};
use control::{Control, LiveConfig, Turns};
use server::{MemoryBudget, Server};
use systemd::{HandedSockets, ServiceManager};
use tier::Tier;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};
use window::Window;

use self::{
    below::BelowRoutes,
    counters::MetricsOfParts,
    shutdown::{Signals, drain},
    sockets::Sockets,
};
pub use self::{error::StartError, storage::cache_options};
use crate::{
    admin::Admin,
    descriptors,
    housekeeping::Housekeeping,
    listeners::Listeners,
    notices,
    push_times::PushTimes,
    reload::{Parts, Reloader},
    routes,
    telemetry::{
        self, Logging,
        access::{AccessMetrics, Observer},
        audit,
        log_writer::LogWriter,
    },
};

/// The proxy, ready to run: the cache is open and all listeners are bound.
#[derive(Debug)]
pub struct App {
    /// What stays as it is until the end, as how long that takes.
    config: Arc<Config>,
    housekeeping: Housekeeping,
    nodes: NodeList,
    tier: Option<Tier>,
    window: Window,
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
    /// `source`, which is read again for a reload. Another process may have the cache for `wait`.
    pub async fn start(
        source: Source,
        started: Config,
        bundles: &[PathBuf],
        handed: HandedSockets,
        logging: Logging,
        wait: Duration,
    ) -> Result<Self, StartError> {
        // From here on it ends nobody.
        let hangups = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        let (live, stop) = (in_force(&started), CancellationToken::new());
        let (config, ready) = (live.current(), Arc::new(AtomicBool::new(true)));
        let (counters, audit) = (MetricsOfParts::default(), open_audit(&config.audit)?);
        let metrics = counters.registry(&logging.lines, audit.as_ref());
        let below = BelowRoutes::new(&live, (bundles, wait), counters, &stop)?;
        let service = below.service(&live);
        let window = below.window(&live, &metrics, &ready, logging.events);
        let (pull, server, instance) = (below.pull, below.server, below.instance);
        let observer = observer(&config, below.access, logging.lines, audit);
        let router = routes::router(service.clone(), observer);
        let serving = TaskTracker::new();
        let admin = Admin {
            ready: Arc::clone(&ready),
            window: window.clone(),
            service,
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
            window,
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
            window,
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
        watch.spawn(async move { window.keep_history().await });
        if let Some(tier) = tier.clone() {
            watch.spawn(tier.run());
        }
        follow_nodes(&config, nodes, &server, &mut watch);
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

/// The configuration as it can be had here, and what there is to say about it.
fn in_force(started: &Config) -> LiveConfig {
    let mut config = started.clone();
    descriptors::fit(&mut config);
    notices::tell(&config);
    LiveConfig::new(config)
}

fn follow_nodes(config: &Config, nodes: NodeList, server: &Server, watch: &mut JoinSet<()>) {
    let follow = NodeWatch::new(config.platform.kubernetes.clone(), nodes.clone());
    watch.spawn(follow.run());
    watch.spawn(forget_moved(nodes, server.clone()));
}

/// Whenever an address has become another node's, or nobody's, what was answered to it holds no more.
async fn forget_moved(nodes: NodeList, server: Server) {
    loop {
        nodes.moved().await;
        server.forget_answers();
    }
}

fn open_audit(config: &AuditConfig) -> Result<Option<LogWriter>, StartError> {
    let opened = audit::open(config).transpose();
    opened.map_err(|source| StartError::Audit {
        path: config.path.clone().unwrap_or_default(),
        source,
    })
}

fn observer(
    config: &Config,
    metrics: AccessMetrics,
    lines: LogWriter,
    audit: Option<LogWriter>,
) -> Observer {
    Observer {
        audit,
        metrics: Arc::new(metrics),
        // For people they are log events like all others.
        log: (!telemetry::is_human(&config.log)).then_some(lines),
    }
}
