//! Listeners: bind, accept within the bounds, hand each connection its permit, end gracefully.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use config::{Listener, Server as Limits};
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::{
    connection::{Connection, Content, Conversation},
    metrics::ServerMetrics,
    replay::Replays,
    tls::{Acceptor, KeyPair},
};

/// The pause after a failed `accept`. Mostly it fails for lack of file descriptors, which passes.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Connections of the admin listener, beside those of all others: health and metrics are asked for
/// most when clients hold all of theirs.
const ADMIN_CONNECTIONS: usize = 128;

/// TCP keep-alive: after how much silence the kernel probes a client, at which interval, and how
/// many probes may stay unanswered.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// The state that all listeners of a process share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    metrics: ServerMetrics,
    replays: Option<Replays>,
    /// One permit per open connection of a client, over all listeners.
    permits: Arc<Semaphore>,
    admin_permits: Arc<Semaphore>,
    header_timeout: Duration,
    trusted_proxies: Arc<[IpNet]>,
    connections: TaskTracker,
    stop: CancellationToken,
}

/// A bound listener and its routes.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    content: Content,
    /// The certificate of a listener with TLS.
    pair: Option<KeyPair>,
}

impl Bound {
    /// Binds a listener for the registry API, and loads its certificate if it has one.
    pub async fn registry(listener: Listener, router: Router) -> io::Result<Self> {
        let address = listener.address;
        let pair = listener.tls.clone().map(KeyPair::load).transpose();
        let pair = pair.map_err(io::Error::other)?;
        let content = Content::Registry(Arc::new(listener), router);
        Self::at(address, content, pair).await
    }

    /// Binds the listener for health and metrics.
    pub async fn admin(address: SocketAddr, router: Router) -> io::Result<Self> {
        Self::at(address, Content::Admin(router), None).await
    }

    async fn at(address: SocketAddr, content: Content, pair: Option<KeyPair>) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        if let Err(error) = set_keepalive(&socket) {
            debug!(%address, %error, "cannot set TCP keep-alive: connections of vanished clients stay open");
        }
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            content,
            pair,
        })
    }
}

/// Every accepted connection inherits these settings from its listener (`socket(7)`, `tcp(7)`).
/// Without them the connection of a client that lost power would stay for as long as nothing is
/// sent on it.
fn set_keepalive(socket: &TcpListener) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
    Ok(())
}

impl Server {
    /// A server within `limits` that replays answers from `replays`, if there are any. It serves
    /// until `stop` is cancelled.
    pub fn new(
        limits: &Limits,
        replays: Option<Replays>,
        metrics: ServerMetrics,
        stop: CancellationToken,
    ) -> Self {
        Self {
            metrics,
            replays,
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            admin_permits: Arc::new(Semaphore::new(ADMIN_CONNECTIONS)),
            header_timeout: limits.header_timeout,
            trusted_proxies: limits.trusted_proxies.as_slice().into(),
            connections: TaskTracker::new(),
            stop,
        }
    }

    /// Serves until the stop token is cancelled, then until running requests have ended. Dropping
    /// the future cuts them.
    pub async fn serve(&self, bound: Bound) {
        let tls = self.tls(&bound);
        let listener = bound.content.name();
        info!(listener, address = %bound.address, tls = tls.is_some(), "listening");
        let graceful = GracefulShutdown::new();
        while let Some(accepted) = self.stop.run_until_cancelled(self.accept(&bound)).await {
            match accepted {
                Ok((stream, peer, permit)) => {
                    self.start(stream, peer, permit, &bound, tls.clone(), &graceful);
                }
                Err(error) => {
                    warn!(%error, listener, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        drop(bound);
        graceful.shutdown().await;
    }

    /// The TLS side of a listener that has one. Its certificate follows its files until the stop.
    fn tls(&self, bound: &Bound) -> Option<Arc<Acceptor>> {
        let pair = bound.pair.clone()?;
        let tls = Arc::new(Acceptor::new(
            pair,
            self.header_timeout,
            self.metrics.clone(),
        ));
        let (stop, following) = (self.stop.clone(), Arc::clone(&tls));
        self.connections.spawn(async move {
            stop.run_until_cancelled(following.follow_files()).await;
        });
        Some(tls)
    }

    /// Accepts a connection, then waits for its permit. At the bound one client of each listener
    /// waits here, the others in the kernel's queue; an idle listener holds no permit.
    async fn accept(
        &self,
        bound: &Bound,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let (stream, peer) = bound.socket.accept().await?;
        let permits = match bound.content {
            Content::Registry(..) => &self.permits,
            Content::Admin(_) => &self.admin_permits,
        };
        let permit = Arc::clone(permits)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        Ok((stream, peer, permit))
    }

    fn start(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        bound: &Bound,
        tls: Option<Arc<Acceptor>>,
        graceful: &GracefulShutdown,
    ) {
        // Small answers must not wait for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let connection = Connection {
            stream,
            tls,
            trusted_proxies: Arc::clone(&self.trusted_proxies),
            sendfile_bytes: self.metrics.sendfile_bytes.clone(),
            conversation: Conversation {
                peer,
                client: peer.ip(),
                content: bound.content.clone(),
                replays: self.replays.clone(),
                header_timeout: self.header_timeout,
                watcher: graceful.watcher(),
            },
        };
        let stop = self.stop.clone();
        let open = self.metrics.connections.clone();
        self.connections.spawn(async move {
            open.inc();
            connection.run(stop).await;
            open.dec();
            drop(permit);
        });
    }
}
