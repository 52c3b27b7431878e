//! Listeners: accept, serve HTTP/1.1 and, over TLS, HTTP/2, and let go in an orderly way.

mod connection;
pub mod crypto;
pub mod exchange;
mod metrics;
mod proxy_protocol;
mod replay;
mod service;
pub mod time_text;
mod tls;
mod zero_copy;

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

use self::{
    connection::{Connection, Conversation},
    tls::{Acceptor, KeyPair},
};
pub use self::{metrics::ServerMetrics, replay::Replays};

/// The pause after a failed `accept`: out of file descriptors, mostly, which passes.
const BREATHER: Duration = Duration::from_millis(100);

/// Connections the admin listener may have, beside those of all others: health and metrics are asked for most when clients hold
/// all of theirs.
const ADMIN_CONNECTIONS: usize = 128;

/// A client that has been silent for this long is asked whether it is still there, so often, and so many times.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// What all listeners of a process share.
#[derive(Clone, Debug)]
pub struct Server {
    metrics: ServerMetrics,
    replays: Replays,
    /// One permit per open connection of a client, over all listeners.
    slots: Arc<Semaphore>,
    admin_slots: Arc<Semaphore>,
    header_timeout: Duration,
    trusted_proxies: Arc<[IpNet]>,
    connections: TaskTracker,
    stop: CancellationToken,
}

/// A bound listener and what it serves.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    content: Content,
    /// The certificate of a listener that speaks TLS.
    pair: Option<KeyPair>,
}

/// What is served.
#[derive(Clone, Debug)]
enum Content {
    /// The registry API, as this listener has it.
    Registry(Arc<Listener>, Router),
    /// Health and metrics.
    Admin(Router),
}

impl Content {
    fn name(&self) -> &'static str {
        match self {
            Self::Registry(..) => "registry",
            Self::Admin(_) => "admin",
        }
    }

    /// The listener's settings; the admin listener has none.
    fn listener(&self) -> Option<&Arc<Listener>> {
        match self {
            Self::Registry(listener, _) => Some(listener),
            Self::Admin(_) => None,
        }
    }
}

impl Bound {
    /// A listener for the registry API. Reads its certificate, where it has one.
    pub async fn registry(listener: Listener, router: Router) -> io::Result<Self> {
        let address = listener.address;
        let pair = listener.tls.clone().map(KeyPair::load).transpose();
        let pair = pair.map_err(io::Error::other)?;
        let content = Content::Registry(Arc::new(listener), router);
        Self::at(address, content, pair).await
    }

    /// The listener for health and metrics.
    pub async fn admin(address: SocketAddr, router: Router) -> io::Result<Self> {
        Self::at(address, Content::Admin(router), None).await
    }

    async fn at(address: SocketAddr, content: Content, pair: Option<KeyPair>) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        if let Err(error) = probe_silent_clients(&socket) {
            debug!(%address, %error, "clients that vanish will hold their connections");
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

/// Each connection has these settings from its listener (`socket(7)`, `tcp(7)`). Without them one whose client lost power would
/// stay for as long as nothing is sent on it.
fn probe_silent_clients(socket: &TcpListener) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    Ok(())
}

impl Server {
    /// A server within `limits`. It serves until `stop` is cancelled.
    pub fn new(
        limits: &Limits,
        replays: Replays,
        metrics: ServerMetrics,
        stop: CancellationToken,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        Self {
            metrics,
            replays,
            slots,
            admin_slots: Arc::new(Semaphore::new(ADMIN_CONNECTIONS)),
            header_timeout: limits.header_timeout,
            trusted_proxies: limits.trusted_proxies.as_slice().into(),
            connections: TaskTracker::new(),
            stop,
        }
    }

    /// Serves until the stop token is cancelled, then until running requests have ended. Dropped in between, it cuts them.
    pub async fn serve(&self, bound: Bound) {
        let tls = self.tls(&bound);
        info!(listener = bound.content.name(), address = %bound.address, tls = tls.is_some(), "listening");
        let graceful = GracefulShutdown::new();
        while let Some(accepted) = self.stop.run_until_cancelled(self.accept(&bound)).await {
            match accepted {
                Ok((stream, peer, slot)) => {
                    self.start(stream, peer, slot, &bound, tls.clone(), &graceful);
                }
                Err(error) => {
                    warn!(%error, listener = bound.content.name(), "cannot accept a connection");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
        drop(bound);
        graceful.shutdown().await;
    }

    /// The TLS side of a listener that has one; its certificate follows its files until the stop.
    fn tls(&self, bound: &Bound) -> Option<Arc<Acceptor>> {
        let pair = bound.pair.clone()?;
        let metrics = self.metrics.clone();
        let tls = Arc::new(Acceptor::new(pair, self.header_timeout, metrics));
        let (stop, following) = (self.stop.clone(), Arc::clone(&tls));
        self.connections.spawn(async move {
            stop.run_until_cancelled(following.follow_files()).await;
        });
        Some(tls)
    }

    /// At the bound, clients wait until a connection ends: the first of each listener here, the others in the kernel's queue. A
    /// listener that nobody connects to holds no permit.
    async fn accept(
        &self,
        bound: &Bound,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let (stream, peer) = bound.socket.accept().await?;
        let slots = match bound.content {
            Content::Registry(..) => &self.slots,
            Content::Admin(_) => &self.admin_slots,
        };
        let slot = Arc::clone(slots)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        Ok((stream, peer, slot))
    }

    fn start(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
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
        let metrics = self.metrics.clone();
        metrics.connections.inc();
        self.connections.spawn(async move {
            connection.run(stop).await;
            metrics.connections.dec();
            drop(slot);
        });
    }
}
