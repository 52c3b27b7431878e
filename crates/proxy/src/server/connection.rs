//! One connection, from its first byte to its last.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::Watcher},
    service::TowerToHyperService,
};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    tls::Acceptor,
    zero_copy::{Slot, ZeroCopy},
};
use crate::{config::Listener, routes::Arrival, upstream::Chain};

/// An accepted connection and all it takes to serve it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) tls: Option<Arc<Acceptor>>,
    pub(super) sendfile_bytes: Counter,
    pub(super) conversation: Conversation,
}

/// What a connection is served with, whoever carries its bytes.
pub(super) struct Conversation {
    pub(super) peer: SocketAddr,
    pub(super) router: Router,
    /// None for the admin listener, whose requests need no [`Arrival`].
    pub(super) listener: Option<Arc<Listener>>,
    pub(super) header_timeout: Duration,
    pub(super) watcher: Watcher,
}

impl Connection {
    /// Serves it to its end; from the stop on, to the end of the requests it has.
    ///
    /// Before the first request nothing has been asked for: there the stop, or a client that says nothing, is the end.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Self {
            stream,
            tls,
            sendfile_bytes,
            conversation,
        } = self;
        let peer = conversation.peer;
        let Some(tls) = tls else {
            // hyper times a request from its first byte on; this is for one that never comes.
            let spoke = timeout(conversation.header_timeout, stream.readable());
            if matches!(stop.run_until_cancelled(spoke).await, Some(Ok(Ok(())))) {
                let slot = Arc::new(Slot::default());
                let stream = ZeroCopy::new(stream, Arc::clone(&slot), sendfile_bytes);
                conversation.hold(stream, Some(slot)).await;
            }
            return;
        };
        match stop.run_until_cancelled(tls.accept(stream)).await {
            Some(Ok(stream)) => conversation.hold(stream, None).await,
            Some(Err(error)) => debug!(%peer, error = %Chain(&error), "no TLS connection"),
            None => {}
        }
    }
}

impl Conversation {
    async fn hold(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        zero_copy: Option<Arc<Slot>>,
    ) {
        let peer = self.peer;
        let router = match self.listener {
            Some(listener) => self.router.layer(Extension(Arrival {
                listener,
                peer: peer.ip(),
                zero_copy,
            })),
            None => self.router,
        };
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout);
        builder.http2().timer(TokioTimer::new());
        let connection = builder
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            debug!(%peer, %error, "a connection broke");
        }
    }
}
