//! The assembly of all parts from the configuration, and their life from the first listener to the
//! last flush.
//!
//! Owns the order of start and shutdown. Refuses the work of any part.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use cache::{Cache, CacheError, Options};
use config::Config;
use server::{Bound, Replays, Server, ServerMetrics};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use upstream::{Registry, UpstreamMetrics};

use crate::{
    admin::{self, Admin},
    housekeeping::{Housekeeping, HousekeepingMetrics},
    prefetch::{Prefetch, PrefetchMetrics},
    pull::{Pull, PullMetrics},
    push_times::PushTimes,
    routes::{self, Service},
    tasks::Tasks,
    telemetry::{
        self,
        access::{AccessMetrics, Observer},
        log_writer::LogWriter,
        metrics::Metrics,
    },
    usage::Usage,
};

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache could not be opened.
    #[error("cannot open the cache")]
    Cache(#[from] CacheError),
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
    /// Signals could not be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
}

/// The proxy, ready to run: the cache is open and all listeners are bound.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    housekeeping: Housekeeping,
    ready: Arc<AtomicBool>,
    server: Server,
    bound: Vec<Bound>,
    stop: CancellationToken,
}

impl App {
    /// Opens the cache and binds the listeners. No upstream is contacted. The lines of the access
    /// log go to `lines`.
    pub async fn start(config: Config, lines: LogWriter) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let cache = open_cache(&config)?;
        let counters = MetricsOfParts::default();
        let metrics = counters.registry(&lines);
        let tasks = Tasks::default();
        let pull = Pull::new(
            cache.clone(),
            Registry::new(config.upstreams.clone(), counters.upstreams),
            &config.cache,
            counters.pulls,
            &tasks,
        );
        let prefetch = Prefetch::new(&config, pull.clone(), counters.prefetch, tasks.clone());
        let housekeeping = Housekeeping::new(
            cache.clone(),
            prefetch.clone(),
            config.prefetch.refresh,
            counters.housekeeping,
            tasks.clone(),
        );
        let service = Service {
            config: Arc::clone(&config),
            pull: pull.clone(),
            usage: Usage::new(cache.clone(), prefetch),
        };
        let observer = Observer {
            metrics: Arc::new(counters.access),
            // For people they are log events like all others.
            log: (!telemetry::is_human(&config.log)).then_some(lines),
        };
        let ready = Arc::new(AtomicBool::new(true));
        let admin = Admin {
            ready: Arc::clone(&ready),
            metrics,
            push_times: PushTimes::new(pull.clone(), tasks),
            pull,
            default_upstream: config.default_upstream.clone(),
        };
        let bound = bind(&config, admin, &routes::router(service, observer)).await?;
        let stop = CancellationToken::new();
        let replays = (config.server.replay).then(|| Replays::new(cache, stop.clone()));
        let server = Server::new(&config.server, replays, counters.server, stop.clone());
        Ok(Self {
            config,
            housekeeping,
            ready,
            server,
            bound,
            stop,
        })
    }

    /// Serves until SIGTERM or SIGINT. Then it is not ready, takes no new connections and lets
    /// running requests and downloads finish within the grace period, or until a second signal. The
    /// rest is cut when the runtime ends; the lines of those clients are in the log from then on.
    pub async fn run(self) -> Result<(), StartError> {
        let Self {
            config,
            housekeeping,
            ready,
            server,
            bound,
            stop,
        } = self;
        let mut signals = Signals::watch().map_err(StartError::Signals)?;
        let mut listeners = JoinSet::new();
        for bound in bound {
            let server = server.clone();
            listeners.spawn(async move { server.serve(bound).await });
        }
        tokio::select! {
            () = signals.next() => {}
            () = housekeeping.run_maintenance() => {}
        }
        ready.store(false, Ordering::Relaxed);
        stop.cancel();
        let grace = config.server.shutdown_grace;
        info!(?grace, "shutting down");
        tokio::select! {
            () = drain(listeners, &housekeeping, grace) => info!("stopped"),
            () = signals.next() => warn!("a second signal came: cutting what still runs"),
        }
        Ok(())
    }
}

fn open_cache(config: &Config) -> Result<Cache, CacheError> {
    Cache::open(&Options {
        path: config.cache.path.clone(),
        max_size: config.cache.max_size,
        low_water: config.cache.low_water,
        min_free: config.cache.min_free,
        max_fills: config.cache.max_fills,
        max_open_files: config.cache.max_open_files,
    })
}

/// Binds the admin listener first, so that an operator sees the start of the others.
async fn bind(config: &Config, admin: Admin, router: &Router) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    if let Some(address) = config.admin {
        let listener = Bound::admin(address, admin::router(admin)).await;
        bound.push(listener.map_err(|source| StartError::Bind { address, source })?);
    }
    for listener in &config.listeners {
        let address = listener.address;
        let listener = Bound::registry(listener.clone(), router.clone()).await;
        bound.push(listener.map_err(|source| StartError::Bind { address, source })?);
    }
    Ok(bound)
}

/// The metrics of every part.
#[derive(Debug, Default)]
struct MetricsOfParts {
    access: AccessMetrics,
    upstreams: UpstreamMetrics,
    pulls: PullMetrics,
    prefetch: PrefetchMetrics,
    housekeeping: HousekeepingMetrics,
    server: ServerMetrics,
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
        self.server.register(registry);
        Arc::new(metrics)
    }
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Lets requests and downloads finish, all within `grace`.
async fn drain(mut listeners: JoinSet<()>, housekeeping: &Housekeeping, grace: Duration) {
    let deadline = Instant::now() + grace;
    let drained = async { while listeners.join_next().await.is_some() {} };
    if timeout_at(deadline, drained).await.is_err() {
        warn!("the grace period is over: cutting clients that are still reading");
    }
    housekeeping
        .drain(deadline.saturating_duration_since(Instant::now()))
        .await;
}
