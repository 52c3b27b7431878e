//! TLS on a listener: the handshake, under a deadline, and the certificate, which may change while
//! the process runs.
//!
//! The handshake runs on the task of its connection, within the time that a request's headers have.
//! Everything above it is the same code for plain and TLS connections.

mod key_pair;
mod paced;
mod reload;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

pub(crate) use self::{key_pair::KeyPair, paced::PacedTls};
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    crypto,
    metrics::{HandshakeLabels, ListenerLabels, ServerMetrics},
};

/// In the order of preference: a client that takes both multiplexes.
const ALPN_PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

const HTTP2: &[u8] = b"h2";

/// How much plain text is encrypted at once: a piece of a stored blob (256 KiB) with the headers
/// before it, so that each piece is one write to the socket.
const BUFFER_LIMIT: usize = 272 * 1024;

/// The answer to plain HTTP on a TLS port.
const PLAIN_HTTP_REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    content-length: 43\r\n\
    connection: close\r\n\
    \r\n\
    plain HTTP on a TLS port; use https instead";

/// More than the headers of any client's request.
const MAX_PLAIN_REQUEST: usize = 8 * 1024;

/// Why a connection did not become a TLS connection. None of these is our fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// It was closed before the first byte, as by health checks that only connect.
    #[error("closed before the handshake")]
    Closed,
    /// The client did not finish the handshake and send the first byte of a request in time.
    #[error("the client did not finish the handshake in time")]
    TimedOut,
    /// The client speaks plain HTTP, and got an error in plain HTTP.
    #[error("plain HTTP on a TLS port")]
    PlainHttp,
    /// The two sides share no version or cipher suite, or the client went away.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
}

impl HandshakeError {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::TimedOut => "timed_out",
            Self::PlainHttp => "plain_http",
            Self::Failed(_) => "failed",
        }
    }
}

/// The protocol of a connection: HTTP/2 only if both sides chose it in the handshake (RFC 9113,
/// section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The TLS side of one listener.
pub(crate) struct Acceptor {
    tls: TlsAcceptor,
    pair: KeyPair,
    timeout: Duration,
    metrics: ServerMetrics,
    labels: ListenerLabels,
}

impl Acceptor {
    /// Presents `pair` as it is at each handshake at `address`, and gives each handshake `timeout`.
    pub(crate) fn new(
        pair: KeyPair,
        timeout: Duration,
        metrics: ServerMetrics,
        address: SocketAddr,
    ) -> Self {
        let provider = Arc::new(crypto::provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has ciphers for both")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(CurrentCertificate(pair.clone())));
        config.alpn_protocols = ALPN_PROTOCOLS.map(<[u8]>::to_vec).into();
        let acceptor = Self {
            tls: Arc::new(config).into(),
            pair,
            timeout,
            metrics,
            labels: ListenerLabels {
                listener: address.to_string(),
            },
        };
        acceptor.show_expiry();
        acceptor
    }

    /// Makes a TLS connection of a TCP connection, and waits for the first byte on it. Counts the
    /// outcome. Dropping the future cuts the connection.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<PacedTls, HandshakeError> {
        let handshake = timeout(self.timeout, self.handshake(stream)).await;
        let outcome = handshake.unwrap_or(Err(HandshakeError::TimedOut));
        let (result, version) = match &outcome {
            Ok(stream) => ("accepted", version(stream)),
            Err(error) => (error.as_str(), "none"),
        };
        let labels = HandshakeLabels { result, version };
        self.metrics.tls_handshakes.get_or_create(&labels).inc();
        outcome.map(PacedTls::new)
    }

    async fn handshake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(0) => return Err(HandshakeError::Closed),
            Ok(_) if first[0].is_ascii_uppercase() => return Err(refuse(stream).await),
            Ok(_) => {}
            Err(error) => return Err(HandshakeError::Failed(error)),
        }
        let accepting = self.tls.accept_with(stream, |connection| {
            connection.set_buffer_limit(Some(BUFFER_LIMIT));
        });
        let mut stream = accepting.await.map_err(HandshakeError::Failed)?;
        // hyper gives a request its deadline from the first byte on: a silent client would stay for
        // good. The end or an error of the stream shows again when it is served.
        let _ = stream.fill_buf().await;
        Ok(stream)
    }

    /// Follows the files of the certificate for as long as it is polled.
    pub(crate) async fn follow_files(&self) {
        reload::follow(&self.pair, &self.metrics, || self.show_expiry()).await;
    }

    /// Shows until when the certificate is valid that is presented now.
    fn show_expiry(&self) {
        let Some(end) = self.pair.expires() else {
            return;
        };
        let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expiry = self
            .metrics
            .certificate_expiry
            .get_or_create_owned(&self.labels);
        expiry.set(i64::try_from(end.as_secs()).unwrap_or(i64::MAX));
    }
}

/// A TLS record never begins with a letter, a request always does. The request is read first: a
/// connection closed with unread bytes is reset, and the client may lose the answer.
async fn refuse(mut stream: TcpStream) -> HandshakeError {
    let mut head = Vec::with_capacity(MAX_PLAIN_REQUEST);
    let answered = async {
        stream.read_buf(&mut head).await?;
        stream.write_all(PLAIN_HTTP_REFUSAL).await?;
        stream.shutdown().await
    };
    match answered.await {
        Ok(()) => HandshakeError::PlainHttp,
        Err(error) => HandshakeError::Failed(error),
    }
}

fn version(stream: &TlsStream<TcpStream>) -> &'static str {
    match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "none",
    }
}

/// The same certificate for every name: clients come by address, or by names only they know.
#[derive(Debug)]
struct CurrentCertificate(KeyPair);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_announces_its_length() {
        let text = std::str::from_utf8(PLAIN_HTTP_REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
