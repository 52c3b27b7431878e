//! Listeners: bind, accept within the bounds, hand each connection its seat, end gracefully.

mod bound;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use config::Server as Limits;
use ipnet::IpNet;
use protocol::client_address::ClientAddress;
use tokio::{
    net::{TcpListener, TcpStream},
    time::MissedTickBehavior,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use self::bound::set_send_timeout;
pub use self::bound::{Bound, ListenerHandle};
use crate::{
    connection::{Connection, Content, Conversation, share_of},
    exchange::Interface,
    memory::{ALWAYS_ACCEPTED, MemoryPressure},
    metrics::ServerMetrics,
    replay::Replays,
    seats::{Arriving, Grace, MAX_WAITING, Seat, Seats},
    sweep::Rules,
    tls::Acceptor,
};

/// The pause after a failed `accept`. Mostly it fails for lack of file descriptors, which passes.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Connections of the admin listener, beside those of all others: health and metrics are asked for
/// most when clients hold all of theirs.
const ADMIN_CONNECTIONS: usize = 128;

/// The connections that may be open beside those of `server.max_connections`: the admin listener's,
/// and of both kinds those that wait.
pub const OTHER_CONNECTIONS: usize = ADMIN_CONNECTIONS + 2 * MAX_WAITING;

/// Those of one address while others wait: a scraper has one or two, the kubelet one.
const ADMIN_CONNECTIONS_PER_ADDRESS: usize = 8;

/// The state that all listeners of a process share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    metrics: ServerMetrics,
    replays: Option<Replays>,
    /// One for each open connection of a client, over all listeners.
    seats: Seats,
    admin_seats: Seats,
    rules: Rules,
    header_timeout: Duration,
    idle_timeout: Duration,
    send_timeout: Duration,
    trusted_proxies: Arc<[IpNet]>,
    pressure: MemoryPressure,
    /// What follows the certificates.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    /// A server within `limits` that replays answers from `replays`, if there are any. It serves
    /// until `stop` is cancelled.
    pub fn new(
        limits: &Limits,
        replays: Option<Replays>,
        metrics: ServerMetrics,
        pressure: MemoryPressure,
        stop: CancellationToken,
    ) -> Self {
        let most = i64::try_from(limits.max_connections).unwrap_or(i64::MAX);
        metrics.connections_limit.set(most);
        let seats = |max, max_per_address, grace| {
            Seats::new(max, max_per_address, grace, metrics.clone(), stop.clone())
        };
        Self {
            seats: seats(
                limits.max_connections,
                limits.max_connections_per_address,
                Grace::CLIENTS,
            ),
            admin_seats: seats(
                ADMIN_CONNECTIONS,
                ADMIN_CONNECTIONS_PER_ADDRESS,
                Grace::HEALTH,
            ),
            metrics,
            replays,
            rules: Rules::new(limits),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            send_timeout: limits.send_timeout,
            trusted_proxies: limits.trusted_proxies.as_slice().into(),
            pressure,
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// Has each request answered by the routes, whatever was answered to its like before.
    pub fn forget_answers(&self) {
        if let Some(replays) = &self.replays {
            replays.forget();
        }
    }

    /// Serves until the stop token is cancelled or the listener is closed, then until running
    /// requests have ended. Those that still run when the runtime ends are cut.
    pub async fn serve(&self, bound: Bound) {
        let tls = self.tls(&bound);
        let listener = bound.content.name();
        info!(listener, address = %bound.address, tls = tls.is_some(), "listening");
        if let Err(error) = set_send_timeout(&bound.socket, self.send_timeout) {
            debug!(%error, "cannot set TCP_USER_TIMEOUT: clients that do not read stay connected");
        }
        let connections = TaskTracker::new();
        let entrance = Entrance {
            address: bound.address,
            content: bound.content,
            tls,
            connections: connections.clone(),
            close: bound.close,
        };
        tokio::select! {
            () = self.accept_all(&bound.socket, &entrance) => {}
            () = self.stop.cancelled() => {}
            () = entrance.close.cancelled() => {}
        }
        drop(bound.socket);
        connections.close();
        connections.wait().await;
    }

    /// Ends and cuts connections that wait for their clients for too long, for as long as it is
    /// polled.
    pub async fn watch_connections(&self) {
        let mut ticks = tokio::time::interval(self.rules.interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.seats.sweep(&self.rules);
            self.admin_seats.sweep(&self.rules);
        }
    }

    /// The TLS side of a listener that has one. Its certificate follows its files until the listener
    /// is closed.
    fn tls(&self, bound: &Bound) -> Option<Arc<Acceptor>> {
        let pair = bound.pair.clone()?;
        let tls = Arc::new(Acceptor::new(
            pair,
            self.header_timeout,
            self.metrics.clone(),
            bound.address,
        ));
        let (stop, close) = (self.stop.clone(), bound.close.clone());
        let following = Arc::clone(&tls);
        self.tasks.spawn(async move {
            tokio::select! {
                () = following.follow_files() => {}
                () = stop.cancelled() => {}
                () = close.cancelled() => {}
            }
        });
        Some(tls)
    }

    /// Accepts for as long as it is polled. At the bound some clients wait beside the kernel's
    /// queue, so that those behind them may be found to have less than their share.
    async fn accept_all(&self, socket: &TcpListener, entrance: &Entrance) {
        loop {
            self.memory(entrance).await;
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    let listener = entrance.content.name();
                    warn!(%error, listener, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            };
            let seats = self.seats(entrance);
            let address = self.address(peer, entrance);
            match seats.arrive(address) {
                Arriving::Seated(seat) => self.start(stream, peer, seat, entrance),
                Arriving::Waits(place) => {
                    let (server, entrance) = (self.clone(), entrance.clone());
                    entrance.connections.clone().spawn(async move {
                        let seat = tokio::select! {
                            seat = server.seats(&entrance).wait(address) => seat,
                            () = server.stop.cancelled() => None,
                            () = entrance.close.cancelled() => None,
                        };
                        drop(place);
                        if let Some(seat) = seat {
                            server.start(stream, peer, seat, &entrance);
                        }
                    });
                }
                Arriving::Blocks => {
                    if let Some(seat) = seats.wait(address).await {
                        self.start(stream, peer, seat, entrance);
                    }
                }
                Arriving::Refused => debug!(%peer, "too many connections wait; closing one"),
            }
        }
    }

    /// Waits until there is memory for a client of this listener.
    async fn memory(&self, entrance: &Entrance) {
        let seats = self.seats(entrance);
        while matches!(entrance.content, Content::Registry(..))
            && !self.pressure.allows_connections()
            && seats.taken() >= ALWAYS_ACCEPTED
        {
            tokio::time::sleep(ACCEPT_BACKOFF).await;
        }
    }

    fn seats(&self, entrance: &Entrance) -> &Seats {
        match entrance.content {
            Content::Registry(..) => &self.seats,
            Content::Admin(_) => &self.admin_seats,
        }
    }

    /// Whose share a connection counts for until its client is known.
    fn address(&self, peer: SocketAddr, entrance: &Entrance) -> Option<ClientAddress> {
        match entrance.content {
            Content::Registry(..) => share_of(peer.ip(), &self.trusted_proxies),
            Content::Admin(_) => share_of(peer.ip(), &[]),
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, seat: Seat, entrance: &Entrance) {
        // Small answers must not wait for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let (end, cut) = (seat.end(), seat.cut());
        let connection = Connection {
            tls: entrance.tls.clone(),
            trusted_proxies: Arc::clone(&self.trusted_proxies),
            sendfile_bytes: self.metrics.sendfile_bytes.clone(),
            conversation: Conversation {
                peer,
                client: peer.ip(),
                interface: entrance.interface(&stream),
                content: entrance.content.clone(),
                replays: self.replays.clone(),
                header_timeout: self.header_timeout,
                idle_timeout: self.idle_timeout,
                pressure: self.pressure.clone(),
                seat,
            },
            stream,
        };
        // One of its own: to look at a token is to take its lock, at each turn of the task.
        let close = entrance.close.child_token();
        let task = entrance.connections.spawn(async move {
            // In a box the connection is moved by its address alone, and is there once.
            let mut running = Box::pin(connection.run(end.clone()));
            tokio::select! {
                () = &mut running => return,
                () = close.cancelled() => end.cancel(),
            }
            running.await;
        });
        cut.aborts(task.abort_handle());
    }
}

/// What a listener gives each of its connections. Cheap to clone.
#[derive(Clone)]
struct Entrance {
    address: SocketAddr,
    content: Content,
    tls: Option<Arc<Acceptor>>,
    connections: TaskTracker,
    close: CancellationToken,
}

impl Entrance {
    /// The side on which a connection came in. A listener on every address has to look.
    fn interface(&self, stream: &TcpStream) -> Interface {
        let address = if self.address.ip().is_unspecified() {
            // The other end may have gone: then nothing will be asked either.
            stream.local_addr().unwrap_or(self.address)
        } else {
            self.address
        };
        Interface::of(address.ip())
    }
}
