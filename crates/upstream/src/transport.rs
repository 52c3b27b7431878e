//! The HTTP client of one upstream: its own connections, trust, identity and timeouts.
//!
//! HTTP/2 is used where a server offers it, and so are the system's proxies (`HTTPS_PROXY`,
//! `NO_PROXY`).

use std::{error::Error, io, iter, time::Duration};

use config::UpstreamConfig;
use futures_util::future::BoxFuture;
use protocol::host::Host;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect::Policy};
use trust::{Identity, LocalFileError};

use crate::{
    error::{Cause, FetchError, HttpError},
    resolver::Resolver,
};

/// How long an unused connection is kept: a new one resolves the name again. Load balancers close
/// theirs after a minute, and a request that meets such a close is lost.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(50);

/// How often a connection with requests on it is probed, and how long it may take to answer.
/// Without probes one dead HTTP/2 connection would be given to request after request.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A client as configured. It follows no redirect.
pub(crate) fn client(host: &Host, config: &UpstreamConfig) -> Result<Client, FetchError> {
    build(host, config, |builder| builder)
}

/// A client as configured that keeps the server's certificate with each response.
pub(crate) fn client_with_tls_info(
    host: &Host,
    config: &UpstreamConfig,
) -> Result<Client, FetchError> {
    build(host, config, |builder| builder.tls_info(true))
}

fn build(
    host: &Host,
    config: &UpstreamConfig,
    adjust: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, FetchError> {
    let client = builder(config).map_err(Cause::Local).and_then(|builder| {
        let built = adjust(builder).build();
        built.map_err(|error| Cause::Http(HttpError::new(error)))
    });
    client.map_err(|source| FetchError::Unreachable {
        upstream: host.clone(),
        source,
    })
}

fn builder(config: &UpstreamConfig) -> Result<ClientBuilder, LocalFileError> {
    let builder = Client::builder()
        .user_agent(concat!("archway/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .dns_resolver(Resolver::new(config))
        .connect_timeout(config.connect_timeout)
        // It runs from the request on, so it covers the wait for the first header too. Readers of a
        // large body have a stricter one.
        .read_timeout(config.idle_timeout.max(config.header_timeout))
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_INTERVAL)
        .tcp_keepalive(KEEP_ALIVE_INTERVAL)
        .tcp_nodelay(true);
    let identity = config.client_certificate.as_ref();
    let identity = identity.map(|files| Identity {
        chain: &files.chain,
        key: &files.key,
    });
    let tls = trust::client(config.ca_file.as_deref(), identity)?;
    Ok(builder.tls_backend_preconfigured(tls))
}

/// Sends `request`, and once more if the server hung up before its answer began: most likely the
/// connection came from the pool, and the server was about to close it. All requests made here are
/// idempotent (RFC 9110, section 9.2.2) but a realm's POST, which may be made twice too: realms keep
/// the last refresh token for a retry. So registries, stores and realms are asked alike.
///
/// Boxed, since both attempts are part of every future that asks an upstream.
pub(crate) fn send(request: RequestBuilder) -> BoxFuture<'static, reqwest::Result<Response>> {
    Box::pin(async move {
        let again = request.try_clone();
        match (request.send().await, again) {
            (Err(error), Some(again)) if has_hung_up(&error) => again.send().await,
            (answer, _) => answer,
        }
    })
}

/// Whether a connection that stood ended before the answer began, in whatever words: a reset, an
/// end in the middle of TLS, a write to a closed pipe. An answer that is no HTTP has begun.
fn has_hung_up(error: &reqwest::Error) -> bool {
    let began = causes(error)
        .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse);
    error.is_request() && !error.is_connect() && !error.is_timeout() && !began
}

/// Whether a body ended because its connection did, without the end that TLS or the framing of the
/// body should have. Where no length was announced, only the digest can tell whether that was all.
pub(crate) fn is_unmarked_end(error: &reqwest::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// The causes of an error. This file alone downcasts them: reqwest has no methods for what is asked
/// here, and the hyper and I/O errors that tell it are to be found only among the causes.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(error.source(), |cause| (*cause).source())
}
