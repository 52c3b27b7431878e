//! Listeners: accept, serve HTTP/1.1 and HTTP/2, and let go in an orderly way.

mod proxy_protocol;

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::{
    config::{Listener, Server as Limits},
    routes::Arrival,
    telemetry::metrics::Metrics,
};

/// The pause after a failed `accept`: out of file descriptors, mostly, which passes.
const BREATHER: Duration = Duration::from_millis(100);

/// What all listeners of a process share.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    metrics: Arc<Metrics>,
    /// One permit per open connection, over all listeners.
    slots: Arc<Semaphore>,
    header_timeout: Duration,
    trusted_proxies: Arc<[IpNet]>,
    connections: TaskTracker,
    stop: CancellationToken,
}

/// A bound listener and what it serves.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    kind: &'static str,
    router: Router,
    listener: Option<Arc<Listener>>,
}

impl Bound {
    /// A listener for the registry API.
    pub(crate) async fn registry(listener: Listener, router: Router) -> io::Result<Self> {
        let socket = TcpListener::bind(listener.address).await?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            kind: "registry",
            router,
            listener: Some(Arc::new(listener)),
        })
    }

    /// The listener for health and metrics.
    pub(crate) async fn admin(address: SocketAddr, router: Router) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            kind: "admin",
            router,
            listener: None,
        })
    }
}

impl Server {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>, stop: CancellationToken) -> Self {
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        Self {
            metrics,
            slots,
            header_timeout: limits.header_timeout,
            trusted_proxies: limits.trusted_proxies.as_slice().into(),
            connections: TaskTracker::new(),
            stop,
        }
    }

    /// Serves until the stop token is cancelled, then until running requests have ended. Dropped in between, it cuts them.
    pub(crate) async fn serve(&self, bound: Bound) {
        info!(listener = bound.kind, address = %bound.address, "listening");
        let graceful = GracefulShutdown::new();
        while let Some(accepted) = self
            .stop
            .run_until_cancelled(self.accept(&bound.socket))
            .await
        {
            match accepted {
                Ok((stream, peer, slot)) => self.start(stream, peer, slot, &bound, &graceful),
                Err(error) => {
                    warn!(%error, listener = bound.kind, "cannot accept a connection");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
        drop(bound);
        graceful.shutdown().await;
    }

    /// At the bound, clients wait in the kernel's queue until a connection ends.
    async fn accept(
        &self,
        socket: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = socket.accept().await?;
        Ok((stream, peer, slot))
    }

    fn start(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
        bound: &Bound,
        graceful: &GracefulShutdown,
    ) {
        // Small answers must not wait for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let (server, router, listener) =
            (self.clone(), bound.router.clone(), bound.listener.clone());
        let watcher = graceful.watcher();
        self.metrics.connections.inc();
        self.connections.spawn(async move {
            if let Err(error) = server
                .converse(stream, peer, router, listener, watcher)
                .await
            {
                debug!(%peer, %error, "a connection broke");
            }
            server.metrics.connections.dec();
            drop(slot);
        });
    }

    /// Serves one connection to its end.
    async fn converse(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        router: Router,
        listener: Option<Arc<Listener>>,
        watcher: Watcher,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let router = match listener {
            Some(listener) => {
                let peer = if listener.proxy_protocol {
                    let named = proxy_protocol::client(&mut stream, peer, &self.trusted_proxies);
                    tokio::time::timeout(self.header_timeout, named).await??
                } else {
                    peer.ip()
                };
                router.layer(Extension(Arrival { listener, peer }))
            }
            None => router,
        };
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout);
        builder.http2().timer(TokioTimer::new());
        let service = TowerToHyperService::new(router);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        watcher.watch(connection).await
    }
}
