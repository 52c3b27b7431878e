//! All parts, built from the configuration, and their life from the first listener to the last flush.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cache::{Cache, CacheError, Options};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    admin::{self, Admin},
    config::Config,
    pull::Pull,
    routes::{self, Service},
    server::{Bound, Server},
    telemetry::metrics::Metrics,
    upstream::{Chain, Registry},
};

/// How often remembered uses are written down.
const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

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
    /// Opens the cache and binds the listeners. No upstream is contacted.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let options = Options {
            path: config.cache.path.clone(),
            max_size: config.cache.max_size,
            max_fills: config.cache.max_fills,
        };
        let cache = Cache::open(&options)?;
        let metrics = Arc::new(Metrics::default());
        let pull = Pull::new(
            cache,
            Registry::new(config.upstreams.clone(), metrics.upstream.clone()),
            Arc::clone(&metrics),
        );
        let service = Service {
            config: Arc::clone(&config),
            pull: pull.clone(),
        };
        let router = routes::router(service, Arc::clone(&metrics));
        let ready = Arc::new(AtomicBool::new(true));
        let mut bound = Vec::new();
        if let Some(address) = config.admin {
            let admin = Admin {
                ready: Arc::clone(&ready),
                metrics: Arc::clone(&metrics),
                pull: pull.clone(),
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
        let server = Server::new(&config.server, metrics, stop.clone());
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
    /// the grace period, the rest cut.
    pub async fn run(self) -> Result<(), StartError> {
        let Self {
            config,
            pull,
            ready,
            server,
            bound,
            stop,
        } = self;
        let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
        let mut listeners = JoinSet::new();
        for bound in bound {
            let server = server.clone();
            listeners.spawn(async move { server.serve(bound).await });
        }
        let mut flush = tokio::time::interval(FLUSH_INTERVAL);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = flush.tick() => {
                    if let Err(error) = pull.cache().flush_uses().await {
                        warn!(error = %Chain(&error), "the last uses could not be written");
                    }
                }
            }
        }
        info!(grace = ?config.server.shutdown_grace, "shutting down");
        ready.store(false, Ordering::Relaxed);
        stop.cancel();
        let deadline = Instant::now() + config.server.shutdown_grace;
        let drained = async { while listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(config.server.shutdown_grace, drained)
            .await
            .is_err()
        {
            warn!("cutting clients that are still reading");
        }
        pull.drain(deadline.saturating_duration_since(Instant::now()))
            .await;
        info!("stopped");
        Ok(())
    }
}
