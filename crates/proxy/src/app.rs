//! All parts, built from the configuration, and their life from the first listener to the last flush.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cache::{Cache, CacheError, Options};
use config::Config;
use protocol::error_chain::ErrorChain;
use server::{Bound, Replays, Server, ServerMetrics};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::{Instant, interval, interval_at, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use upstream::{Registry, UpstreamMetrics};

use crate::{
    admin::{self, Admin},
    pull::{Prefetcher, Pull, PullMetrics},
    routes::{self, Service},
    telemetry::{
        self,
        access::{AccessMetrics, Observer},
        log_writer::LogWriter,
        metrics::Metrics,
    },
};

/// How often remembered uses are written down.
const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

/// How often rows of the index that lead nowhere are dropped, and downloads nobody has gone on with.
const COLLECT_INTERVAL: Duration = Duration::from_hours(6);

/// How often links and tags are copied out of the index. What has changed since is lost with an index that is.
const COPY_INTERVAL: Duration = Duration::from_mins(30);

/// How often the images are counted: it looks at every file of the cache, so not at each scrape.
const COUNT_INTERVAL: Duration = Duration::from_mins(5);

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
    pull: Pull,
    ready: Arc<AtomicBool>,
    server: Server,
    bound: Vec<Bound>,
    stop: CancellationToken,
}

impl App {
    /// Opens the cache and binds the listeners. No upstream is contacted. Lines of the access log go to `lines`.
    pub async fn start(config: Config, lines: LogWriter) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let options = Options {
            path: config.cache.path.clone(),
            max_size: config.cache.max_size,
            low_water: config.cache.low_water,
            min_free: config.cache.min_free,
            max_fills: config.cache.max_fills,
            max_open_files: config.cache.max_open_files,
        };
        let cache = Cache::open(&options)?;
        let counters = Counters::default();
        let metrics = counters.registry(&lines);
        let pull = Pull::new(
            cache,
            Registry::new(config.upstreams.clone(), counters.upstreams),
            &config.cache,
            Prefetcher::new(&config, &counters.pulls),
            counters.pulls,
        );
        let service = Service {
            config: Arc::clone(&config),
            pull: pull.clone(),
        };
        let observer = Observer {
            metrics: counters.access,
            // For people they are log events like all others.
            log: (!telemetry::is_human(&config.log)).then_some(lines),
        };
        let router = routes::router(service, observer);
        let ready = Arc::new(AtomicBool::new(true));
        let mut bound = Vec::new();
        if let Some(address) = config.admin {
            let admin = Admin {
                ready: Arc::clone(&ready),
                metrics: Arc::clone(&metrics),
                pull: pull.clone(),
                default_upstream: config.default_upstream.clone(),
            };
            let listener = Bound::admin(address, admin::router(admin)).await;
            bound.push(listener.map_err(|source| StartError::Bind { address, source })?);
        }
        for listener in &config.listeners {
            let address = listener.address;
            let listener = Bound::registry(listener.clone(), router.clone()).await;
            bound.push(listener.map_err(|source| StartError::Bind { address, source })?);
        }
        let stop = CancellationToken::new();
        let replay = || Replays::new(pull.cache().clone(), stop.clone());
        let replays = config.server.replay.then(replay);
        let server = Server::new(&config.server, replays, counters.server, stop.clone());
        Ok(Self {
            config,
            pull,
            ready,
            server,
            bound,
            stop,
        })
    }

    /// Serves until SIGTERM or SIGINT, then: not ready, no new connections, running requests and downloads to their end within
    /// the grace period, or until a second signal. The rest is cut when the runtime ends; the lines of those clients are in the
    /// log from then on.
    pub async fn run(self) -> Result<(), StartError> {
        let Self {
            config,
            pull,
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
            () = keep_house(&pull, config.prefetch.refresh) => {}
        }
        ready.store(false, Ordering::Relaxed);
        stop.cancel();
        info!(grace = ?config.server.shutdown_grace, "shutting down");
        tokio::select! {
            () = drain(listeners, &pull, config.server.shutdown_grace) => info!("stopped"),
            () = signals.next() => warn!("told to stop again: cutting what still runs"),
        }
        Ok(())
    }
}

/// What each part counts.
#[derive(Debug, Default)]
struct Counters {
    access: AccessMetrics,
    upstreams: UpstreamMetrics,
    pulls: PullMetrics,
    server: ServerMetrics,
}

impl Counters {
    /// A registry that has all of them, and the count of dropped log lines.
    fn registry(&self, lines: &LogWriter) -> Arc<Metrics> {
        let mut metrics = Metrics::default();
        metrics.watch(lines);
        let registry = metrics.registry();
        self.access.register(registry);
        self.upstreams.register(registry);
        self.pulls.register(registry);
        self.server.register(registry);
        Arc::new(metrics)
    }
}

/// What tells the process to end.
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

/// Does what is due now and then, for as long as it is polled. Dropped in between it leaves nothing half done.
async fn keep_house(pull: &Pull, refresh: Duration) {
    let mut flush = interval(FLUSH_INTERVAL);
    // An interval cannot be zero; where there is none this one is never looked at.
    let mut refreshing = interval(refresh.max(Duration::from_millis(1)));
    let mut count = interval(COUNT_INTERVAL);
    let mut copy = interval_at(Instant::now() + COPY_INTERVAL, COPY_INTERVAL);
    let mut collect = interval_at(Instant::now() + COLLECT_INTERVAL, COLLECT_INTERVAL);
    loop {
        tokio::select! {
            _ = count.tick() => {
                pull.count_images();
                pull.forget_learned().await;
            }
            _ = refreshing.tick(), if !refresh.is_zero() => pull.refresh_tags(),
            _ = flush.tick() => {
                tidy(pull.cache()).await;
                pull.rank_blobs();
            }
            _ = copy.tick() => pull.copy_names(),
            _ = collect.tick() => pull.collect(),
        }
    }
}

/// Lets requests and downloads come to their end, all within `grace`.
async fn drain(mut listeners: JoinSet<()>, pull: &Pull, grace: Duration) {
    let deadline = Instant::now() + grace;
    let drained = async { while listeners.join_next().await.is_some() {} };
    if timeout_at(deadline, drained).await.is_err() {
        warn!("cutting clients that are still reading");
    }
    pull.drain(deadline.saturating_duration_since(Instant::now()))
        .await;
}

/// Writes down what is remembered in memory, and evicts what was being read when it should have gone.
async fn tidy(cache: &Cache) {
    if let Err(error) = cache.flush_uses().await {
        warn!(error = %ErrorChain(&error), "the last uses could not be written");
    }
    if let Err(error) = cache.trim().await {
        warn!(error = %ErrorChain(&error), "the cache could not be brought under its size");
    }
}
