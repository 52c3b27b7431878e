//! The socket for other replicas, and its connections.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use replicas::Replicas;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use super::{PeerAddress, router, strangers::Strangers};

/// How long a connection may be unused; replicas close theirs before.
const IDLE: Duration = Duration::from_mins(1);

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Connections at once. Others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 2048;

/// The longest head of a request. A replica's has less than 4 KiB; without a bound a stranger could
/// have ten times this held on each connection.
const MAX_HEAD: usize = 32 * 1024;

/// How often one that is about to end looks whether something still arrives.
const LOOK: Duration = Duration::from_millis(50);

/// The pause after a failed `accept`.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The listener for other replicas, bound.
pub struct PeerListener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    replicas: Replicas,
    strangers: Arc<Strangers>,
}

impl std::fmt::Debug for PeerListener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PeerListener")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl PeerListener {
    /// Binds the listener. It answers with `routes` who proves to be a replica.
    pub async fn bind(replicas: &Replicas, routes: &Router) -> io::Result<Self> {
        let tls = replicas.server_tls().map_err(io::Error::other)?;
        let strangers = Arc::new(Strangers::default());
        Ok(Self {
            socket: TcpListener::bind(replicas.listen()).await?,
            tls: tls.map(|tls| TlsAcceptor::from(Arc::new(tls))),
            router: router(replicas.clone(), routes.clone(), Arc::clone(&strangers)),
            replicas: replicas.clone(),
            strangers,
        })
    }

    /// Serves until `stop` is cancelled, and then what is under way. While `brings` says that something
    /// still arrives here, others may ask for that.
    pub async fn serve(self, stop: CancellationToken, brings: impl Fn() -> bool + Send + Sync) {
        let Self {
            socket,
            tls,
            router,
            replicas,
            strangers,
        } = self;
        if let Ok(address) = socket.local_addr() {
            info!(%address, tls = tls.is_some(), "listening for other replicas");
        }
        let connections = TaskTracker::new();
        let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let closing = CancellationToken::new();
        let until_brought = async {
            stop.cancelled().await;
            replicas.leave();
            while brings() {
                sleep(LOOK).await;
            }
            closing.cancel();
        };
        let mut until_brought = pin!(until_brought);
        loop {
            // The end is not to wait until somebody leaves.
            let seated = tokio::select! {
                seated = seated(&socket, &seats) => seated,
                () = &mut until_brought => break,
            };
            let Ok((stream, peer, seat)) = seated else {
                break;
            };
            let router = router.clone().layer(Extension(PeerAddress(peer)));
            let (tls, stop, strangers) = (tls.clone(), closing.clone(), Arc::clone(&strangers));
            connections.spawn(async move {
                converse((stream, peer), tls, router, stop, &strangers).await;
                drop(seat);
            });
        }
        drop(socket);
        connections.close();
        connections.wait().await;
    }
}

/// The next connection and its seat, of which one is had before the other is accepted. Called again after
/// it was dropped, it would wait for a seat anew: so it is dropped at the end alone.
async fn seated(
    socket: &TcpListener,
    seats: &Arc<Semaphore>,
) -> Result<(TcpStream, SocketAddr, OwnedSemaphorePermit), AcquireError> {
    let seat = Arc::clone(seats).acquire_owned().await?;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => return Ok((stream, peer, seat)),
            Err(error) => {
                warn!(%error, "cannot accept a connection of a replica");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn converse(
    (stream, peer): (TcpStream, SocketAddr),
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
    strangers: &Strangers,
) {
    // Small answers must not wait for a delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return answer(stream, router, stop).await;
    };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, router, stop).await,
        Ok(Err(error)) => {
            if let Some(others) = strangers.due(peer) {
                warn!(%peer, %error, others, "a connection to the listener for replicas is of none");
            }
        }
        Err(_) => debug!(%peer, "a handshake of a replica took too long"),
    }
}

/// Answers the requests of a connection until it ends, or, once `stop` is cancelled, the one that runs.
async fn answer<S>(stream: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection of a replica broke");
    }
}
