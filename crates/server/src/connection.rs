//! One connection, from its first byte to its last.
//!
//! TLS clients choose the protocol in the handshake, all others speak HTTP/1.1. It is never guessed
//! from the first bytes: that would be a wait without a deadline. TCP's keep-alive probes (set in
//! `listeners`) and HTTP/2's pings find clients that have vanished.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use config::Listener;
use http::{Request, Response};
use hyper::{
    body::{Body as HttpBody, Incoming},
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::Watcher},
    service::TowerToHyperService,
};
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;
use protocol::error_chain::ErrorChain;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;
use tracing::debug;

use crate::{
    exchange::{Arrival, SendfileTarget},
    proxy_protocol,
    replay::{Replays, RequestScope},
    tls::{self, Acceptor, Protocol},
    zero_copy::ZeroCopy,
};

/// After how much silence an HTTP/2 client gets a ping.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// The routes behind a listener.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The registry API, with this listener's settings.
    Registry(Arc<Listener>, Router),
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
    pub(crate) content: Content,
    pub(crate) replays: Option<Replays>,
    pub(crate) header_timeout: Duration,
    pub(crate) watcher: Watcher,
}

impl Content {
    /// The word for it in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Registry(..) => "registry",
            Self::Admin(_) => "admin",
        }
    }

    /// The listener's settings; the admin listener has none.
    pub(crate) fn listener(&self) -> Option<&Arc<Listener>> {
        match self {
            Self::Registry(listener, _) => Some(listener),
            Self::Admin(_) => None,
        }
    }
}

impl Connection {
    /// Serves the connection to its end; after the stop, to the end of its running requests.
    /// A connection without a request ends at once on the stop, and after the header timeout if the
    /// client stays silent.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let peer = self.conversation.peer;
        let Some(client) = stop.run_until_cancelled(self.identify_client()).await else {
            return;
        };
        match client {
            Ok(client) => self.conversation.client = client,
            Err(error) => {
                debug!(%peer, %error, "closed a connection without a request");
                return;
            }
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
                .serve(stream, Protocol::Http1, Some(target))
                .await;
        };
        match stop.run_until_cancelled(tls.accept(stream)).await {
            Some(Ok(stream)) => {
                let protocol = tls::protocol(&stream);
                conversation.serve(stream, protocol, None).await;
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

impl Conversation {
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        protocol: Protocol,
        sendfile: Option<Arc<SendfileTarget>>,
    ) {
        // HTTP/2 multiplexes: there is no one request to compare with.
        let replays = self.replays.filter(|_| matches!(protocol, Protocol::Http1));
        let http = Http {
            builder: builder(protocol, self.header_timeout),
            watcher: self.watcher,
        };
        let ended = match self.content {
            Content::Registry(listener, router) => {
                let scope = RequestScope {
                    listener: Arc::clone(&listener),
                    client: self.client,
                };
                let arrival = Arrival {
                    listener,
                    peer: self.client,
                    sendfile,
                    is_replaying: replays.is_some(),
                };
                let api = Api { router, arrival };
                match replays {
                    Some(replays) => {
                        let (stream, api) = replays.wrap(stream, api, scope, self.header_timeout);
                        http.serve(stream, api).await
                    }
                    None => http.serve(stream, api).await,
                }
            }
            Content::Admin(router) => http.serve(stream, TowerToHyperService::new(router)).await,
        };
        if let Err(error) = ended {
            debug!(peer = %self.peer, %error, "connection broke");
        }
    }
}

/// The registry API on one connection: gives the routes each request with its [`Arrival`].
#[derive(Clone)]
pub(crate) struct Api {
    router: Router,
    arrival: Arrival,
}

impl Service<Request<Incoming>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Router as tower_service::Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.arrival.clone());
        self.router.clone().call(request)
    }
}

/// Serves the requests of a connection. It ends gracefully with the watcher's server.
struct Http {
    builder: auto::Builder<TokioExecutor>,
    watcher: Watcher,
}

impl Http {
    async fn serve<S, A, B>(
        self,
        stream: S,
        api: A,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        A::Future: Send + 'static,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let connection = self.builder.serve_connection(TokioIo::new(stream), api);
        self.watcher.watch(connection.into_owned()).await
    }
}

/// Serves just one protocol: guessing it from the first bytes would be a wait without a deadline.
fn builder(protocol: Protocol, header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}
