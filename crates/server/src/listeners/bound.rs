//! A listener before it is served: its socket, with what every accepted connection inherits, and
//! its certificate.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::Router;
use config::Listener;
use rustix::net::sockopt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{connection::Content, tls::KeyPair};

/// TCP keep-alive: after how much silence the kernel probes a client, at which interval, and how
/// many probes may stay unanswered where `TCP_USER_TIMEOUT` cannot be set, which decides else.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// A bound listener and its routes.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) content: Content,
    /// The certificate of a listener with TLS.
    pub(super) pair: Option<KeyPair>,
    /// Closes this listener alone.
    pub(super) close: CancellationToken,
}

/// A registry listener that is served. Dropping it changes nothing.
#[derive(Debug)]
pub struct ListenerHandle {
    settings: Arc<ArcSwap<Listener>>,
    close: CancellationToken,
}

impl ListenerHandle {
    /// Gives the listener other settings, for requests from now on. Its address and its certificate
    /// stay.
    pub fn replace(&self, settings: Listener) {
        self.settings.store(Arc::new(settings));
    }

    /// Takes no new connection, and ends each once its running request has ended.
    pub fn close(&self) {
        self.close.cancel();
    }
}

impl Bound {
    /// Binds a listener for the registry API, and loads its certificate if it has one. A socket that
    /// was `handed` over takes the place of one of its own.
    pub async fn registry(
        listener: Listener,
        router: Router,
        handed: Option<StdListener>,
    ) -> io::Result<Self> {
        let address = listener.address;
        let pair = listener.tls.clone().map(KeyPair::load).transpose();
        let pair = pair.map_err(io::Error::other)?;
        let settings = Arc::new(ArcSwap::from_pointee(listener));
        let content = Content::Registry(settings, router);
        let socket = socket(address, handed).await?;
        Self::on(socket, content, pair)
    }

    /// Binds the listener for health and metrics, or takes the socket that was `handed` over for it.
    pub async fn admin(
        address: SocketAddr,
        router: Router,
        handed: Option<StdListener>,
    ) -> io::Result<Self> {
        let socket = socket(address, handed).await?;
        Self::on(socket, Content::Admin(router), None)
    }

    /// What changes or closes it while it is served; the admin listener has no such thing.
    pub fn handle(&self) -> Option<ListenerHandle> {
        let Content::Registry(settings, _) = &self.content else {
            return None;
        };
        Some(ListenerHandle {
            settings: Arc::clone(settings),
            close: self.close.clone(),
        })
    }

    /// Where it listens; its port is never 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn on(socket: TcpListener, content: Content, pair: Option<KeyPair>) -> io::Result<Self> {
        let address = socket.local_addr()?;
        if let Err(error) = set_keepalive(&socket) {
            debug!(%address, %error, "cannot set TCP keep-alive: connections of vanished clients stay open");
        }
        Ok(Self {
            socket,
            address,
            content,
            pair,
            close: CancellationToken::new(),
        })
    }
}

async fn socket(address: SocketAddr, handed: Option<StdListener>) -> io::Result<TcpListener> {
    let Some(handed) = handed else {
        return TcpListener::bind(address).await;
    };
    handed.set_nonblocking(true)?;
    TcpListener::from_std(handed)
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

/// How long a client may leave what was sent to it unacknowledged, or keep its window closed. The
/// kernel then cuts the connection, and knows better than we do what has reached the client.
pub(super) fn set_send_timeout(socket: &TcpListener, timeout: Duration) -> io::Result<()> {
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(socket, millis)?)
}
