//! One connection, from its first byte to its last.
//!
//! TLS clients choose the protocol in the handshake, all others speak HTTP/1.1. It is never guessed
//! from the first bytes: that would be a wait without a deadline. TCP's keep-alive probes (set in
//! `listeners`) and HTTP/2's pings find clients that have vanished, `sweep` those that hold on.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use bytes::Bytes;
use config::Listener;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use hyper::{
    body::{Body as HttpBody, Incoming},
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;
use protocol::{client_address::ClientAddress, error_chain::ErrorChain, forwarded};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;
use tracing::debug;

use crate::{
    exchange::{Arrival, Interface, Load, SendfileTarget, Shed},
    in_place::InPlace,
    memory::MemoryPressure,
    proxy_protocol,
    replay::{Replays, RequestScope},
    seats::Seat,
    tls::{Acceptor, Protocol},
    watched::{Watched, WatchedStream},
    zero_copy::ZeroCopy,
};

/// After how much silence an HTTP/2 client gets a ping.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// The requests that an HTTP/2 connection may have open at once: what nginx and Envoy advise is
/// about this, and no client asks for more layers at a time.
const HTTP2_STREAMS: u32 = 100;

/// The bytes of a stream that wait for the client's window. The kernel's buffer, not this one,
/// holds what is on its way.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;

/// The longest head of an HTTP/1 request. No client's has more than 4 KiB. It also bounds what hyper
/// holds of an answer beside the piece it sends.
const MAX_HEAD: usize = 32 * 1024;

/// The routes behind a listener.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The registry API, with this listener's settings, which may be replaced.
    Registry(Arc<ArcSwap<Listener>>, Router),
    /// Health and metrics.
    Admin(Router),
}

/// An accepted connection and all it takes to serve it.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) tls: Option<Arc<Acceptor>>,
    /// The peers that may send PROXY headers.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) sendfile_bytes: Counter,
    pub(crate) conversation: Conversation,
}

/// The parts that serve a connection, whether TCP or TLS carries its bytes.
pub(crate) struct Conversation {
    /// The other end of the TCP connection.
    pub(crate) peer: SocketAddr,
    /// The client: the peer, or the one a load balancer names in its PROXY header.
    pub(crate) client: IpAddr,
    pub(crate) interface: Interface,
    pub(crate) content: Content,
    pub(crate) replays: Option<Replays>,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) pressure: MemoryPressure,
    pub(crate) seat: Seat,
}

impl Content {
    /// The word for it in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Registry(..) => "registry",
            Self::Admin(_) => "admin",
        }
    }

    /// The listener's settings as they are now; the admin listener has none.
    pub(crate) fn listener(&self) -> Option<Arc<Listener>> {
        match self {
            Self::Registry(listener, _) => Some(listener.load_full()),
            Self::Admin(_) => None,
        }
    }
}

impl Connection {
    /// Serves the connection to its end; after `end`, to the end of its running requests. A
    /// connection without a request ends at once then, and after the header timeout if the client
    /// stays silent.
    pub(crate) async fn run(mut self, end: CancellationToken) {
        let peer = self.conversation.peer;
        let Some(client) = end.run_until_cancelled(self.identify_client()).await else {
            return;
        };
        match client {
            Ok(client) => self.conversation.client = client,
            Err(error) => {
                debug!(%peer, %error, "closed a connection without a request");
                return;
            }
        }
        if self.conversation.client != peer.ip() {
            let address = share_of(self.conversation.client, &self.trusted_proxies);
            self.conversation.seat.rename(address);
        }
        let Self {
            stream,
            tls,
            sendfile_bytes,
            conversation,
            ..
        } = self;
        let Some(tls) = tls else {
            let target = Arc::new(SendfileTarget::default());
            let stream = ZeroCopy::new(stream, Arc::clone(&target), sendfile_bytes);
            return conversation
                .serve(stream, Protocol::Http1, Some(target), end)
                .await;
        };
        // In a box: a connection without TLS need not have room for a handshake.
        let handshake = Box::pin(tls.accept(stream));
        match end.run_until_cancelled(handshake).await {
            Some(Ok(stream)) => {
                let protocol = stream.protocol();
                conversation.serve(stream, protocol, None, end).await;
            }
            Some(Err(error)) => debug!(%peer, error = %ErrorChain(&error), "TLS handshake failed"),
            None => {}
        }
    }

    /// Waits for the first byte, since hyper times a request only from there on, and reads the
    /// PROXY header where the listener wants one.
    async fn identify_client(&mut self) -> io::Result<IpAddr> {
        let peer = self.conversation.peer;
        let limit = self.conversation.header_timeout;
        let listener = self.conversation.content.listener();
        if listener.is_some_and(|listener| listener.proxy_protocol) {
            let named = proxy_protocol::client(&mut self.stream, peer, &self.trusted_proxies);
            return timeout(limit, named).await?;
        }
        if self.tls.is_none() {
            timeout(limit, self.stream.readable()).await??;
        }
        Ok(peer.ip())
    }
}

/// The client whose share counts for an address: none for a trusted proxy, which speaks for many.
pub(crate) fn share_of(address: IpAddr, trusted: &[IpNet]) -> Option<ClientAddress> {
    (!forwarded::is_trusted(address, trusted)).then(|| address.into())
}

impl Conversation {
    /// What serves the connection to its end. It is one piece of memory, made when the protocol is
    /// known: what a connection could have become otherwise takes none.
    fn serve<S>(
        self,
        stream: S,
        protocol: Protocol,
        sendfile: Option<Arc<SendfileTarget>>,
        end: CancellationToken,
    ) -> BoxFuture<'static, ()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::clone(self.seat.activity());
        let is_multiplexed = matches!(protocol, Protocol::Http2);
        activity.speak(protocol);
        // That for a head is shorter, and `sweep` keeps it.
        let patience = self.idle_timeout.max(self.header_timeout);
        let http = Http {
            protocol,
            patience,
            peer: self.peer,
            seat: self.seat,
            end,
        };
        let (listener, router) = match self.content {
            Content::Registry(listener, router) => (listener, router),
            Content::Admin(router) => {
                let interface = self.interface;
                let api = Api {
                    router,
                    arrival: move || interface,
                    load: None,
                };
                return http.serve(stream, api);
            }
        };
        let scope = RequestScope {
            protocol,
            listener: Arc::clone(&listener),
            client: self.client,
            interface: self.interface,
        };
        // Elsewhere there is one request at a time.
        let load = is_multiplexed.then(|| {
            Arc::new(Load {
                pressure: self.pressure,
                activity: Arc::clone(&activity),
            })
        });
        let (peer, interface) = (self.client, self.interface);
        let is_replaying = self.replays.is_some();
        // Each request has the settings of its beginning.
        let arrival = move || Arrival {
            listener: listener.load_full(),
            peer,
            interface,
            sendfile: sendfile.clone(),
            is_replaying,
        };
        let api = Api {
            router,
            arrival,
            load: load.clone(),
        };
        match (self.replays, protocol) {
            (Some(replays), Protocol::Http1) => {
                let end = http.end.clone();
                let (stream, api) = replays.wrap(stream, api, scope, activity, patience, end);
                http.serve(stream, api)
            }
            // Its requests have no bytes to compare below hyper, so they are compared above it.
            (Some(replays), Protocol::Http2) => {
                http.serve(stream, replays.recall(api, scope, load))
            }
            (None, _) => http.serve(stream, api),
        }
    }
}

/// The routes on one connection: gives them each request with what `arrival` makes for it, an
/// [`Arrival`] or, for the admin routes, an [`Interface`].
#[derive(Clone)]
pub(crate) struct Api<F> {
    router: Router,
    arrival: F,
    /// What tells whether memory allows one more request.
    load: Option<Arc<Load>>,
}

impl<A, F> Service<Request<Incoming>> for Api<F>
where
    A: Clone + Send + Sync + 'static,
    F: Fn() -> A,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Router as tower_service::Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert((self.arrival)());
        if self.load.as_ref().is_some_and(|load| load.is_short()) {
            request.extensions_mut().insert(Shed);
        }
        self.router.clone().call(request)
    }
}

/// Serves the requests of a connection. It ends gracefully once `end` is cancelled.
struct Http {
    protocol: Protocol,
    /// How long hyper waits for a request, on HTTP/1.
    patience: Duration,
    peer: SocketAddr,
    seat: Seat,
    end: CancellationToken,
}

impl Http {
    /// Serves just one protocol: guessing it from the first bytes would be a wait without a
    /// deadline.
    fn serve<S, A, B>(self, stream: S, api: A) -> BoxFuture<'static, ()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        A::Future: Unpin + Send + 'static,
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let activity = self.seat.activity();
        let api = Watched::new(api, Arc::clone(activity));
        match self.protocol {
            Protocol::Http1 => {
                let stream = WatchedStream::new(stream, Arc::clone(activity));
                let connection = http1(self.patience).serve_connection(TokioIo::new(stream), api);
                self.until_end(Box::pin(connection)).boxed()
            }
            Protocol::Http2 => {
                let connection = http2().serve_connection(TokioIo::new(stream), api);
                self.until_end(Box::pin(connection)).boxed()
            }
        }
    }

    /// In a box of its own the connection is moved by its address alone.
    async fn until_end<C>(self, mut connection: Pin<Box<C>>)
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = self.end.cancelled() => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        if let Err(error) = ended {
            debug!(peer = %self.peer, error = %ErrorChain(&error), "connection broke");
        }
    }
}

fn http1(patience: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(MAX_HEAD);
    builder
}

fn http2() -> http2::Builder<InPlace> {
    let mut builder = http2::Builder::new(InPlace::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_send_buf_size(HTTP2_SEND_BUFFER);
    builder
}

#[cfg(test)]
mod tests;
