//! One connection, from its first byte to its last.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
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
use tracing::debug;

use super::{
    Content, Replays, proxy_protocol,
    replay::{Asker, Replaying, Turn},
    service::ApiService,
    tls::{self, Acceptor, Protocol},
    zero_copy::ZeroCopy,
};
use crate::exchange::{Arrival, SendfileTarget};

/// How long an HTTP/2 connection may be silent before the client is asked whether it is still there.
const PING_AFTER: Duration = Duration::from_secs(30);

/// An accepted connection and all it takes to serve it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) tls: Option<Arc<Acceptor>>,
    /// Whose PROXY protocol headers are believed.
    pub(super) trusted_proxies: Arc<[IpNet]>,
    pub(super) sendfile_bytes: Counter,
    pub(super) conversation: Conversation,
}

/// What a connection is served with, whoever carries its bytes.
pub(super) struct Conversation {
    /// Who has connected to us.
    pub(super) peer: SocketAddr,
    /// Whom that is for: the same, but for connections through a load balancer.
    pub(super) client: IpAddr,
    pub(super) content: Content,
    pub(super) replays: Replays,
    pub(super) header_timeout: Duration,
    pub(super) watcher: Watcher,
}

impl Connection {
    /// Serves it to its end; from the stop on, to the end of the requests it has.
    ///
    /// Before the first request nothing has been asked for: there the stop, or a client that says nothing, is the end.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let peer = self.conversation.peer;
        let Some(client) = stop.run_until_cancelled(self.greet()).await else {
            return;
        };
        match client {
            Ok(client) => self.conversation.client = client,
            Err(error) => {
                debug!(%peer, %error, "a connection that asked for nothing");
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
            let slot = Arc::new(SendfileTarget::default());
            let stream = ZeroCopy::new(stream, Arc::clone(&slot), sendfile_bytes);
            return conversation.hold(stream, Protocol::Http1, Some(slot)).await;
        };
        match stop.run_until_cancelled(tls.accept(stream)).await {
            Some(Ok(stream)) => {
                let protocol = tls::protocol(&stream);
                conversation.hold(stream, protocol, None).await;
            }
            Some(Err(error)) => debug!(%peer, error = %ErrorChain(&error), "no TLS connection"),
            None => {}
        }
    }

    /// Waits for the first byte: hyper times a request only from there on. The answer is the client's address, which a load
    /// balancer in front may have to say.
    async fn greet(&mut self) -> io::Result<IpAddr> {
        let peer = self.conversation.peer;
        let patience = self.conversation.header_timeout;
        let listener = self.conversation.content.listener();
        if listener.is_some_and(|listener| listener.proxy_protocol) {
            let named = proxy_protocol::client(&mut self.stream, peer, &self.trusted_proxies);
            return timeout(patience, named).await?;
        }
        if self.tls.is_none() {
            timeout(patience, self.stream.readable()).await??;
        }
        Ok(peer.ip())
    }
}

impl Conversation {
    async fn hold(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        protocol: Protocol,
        sendfile: Option<Arc<SendfileTarget>>,
    ) {
        let peer = self.peer;
        let builder = builder(protocol, self.header_timeout);
        let ended = match self.content {
            Content::Registry(listener, router) => {
                let turn = Arc::new(Turn::default());
                let asker = Asker {
                    listener: Arc::clone(&listener),
                    client: self.client,
                };
                let stream = Replaying::new(
                    stream,
                    self.replays.clone(),
                    asker,
                    Arc::clone(&turn),
                    self.header_timeout,
                );
                let service = ApiService {
                    router,
                    arrival: Arrival {
                        listener,
                        peer: self.client,
                        sendfile,
                    },
                    replays: self.replays,
                    turn,
                };
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                self.watcher.watch(connection.into_owned()).await
            }
            Content::Admin(router) => {
                let service = TowerToHyperService::new(router);
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                self.watcher.watch(connection.into_owned()).await
            }
        };
        if let Err(error) = ended {
            debug!(%peer, %error, "a connection broke");
        }
    }
}

/// What serves a connection that speaks `protocol`. To find that out from its first bytes would be to wait for them without a
/// deadline.
fn builder(protocol: Protocol, header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}
