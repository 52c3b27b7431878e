//! The HTTP client of one upstream: its own connections, trust, identity and timeouts.
//!
//! HTTP/2 is used where a server offers it, and so are the system's proxies (`HTTPS_PROXY`,
//! `NO_PROXY`).

use std::{error::Error, io, iter, path::Path, time::Duration};

use config::UpstreamConfig;
use protocol::host::Host;
use reqwest::{Certificate, Client, ClientBuilder, Identity, redirect::Policy};

use crate::{
    error::{Cause, FetchError, LocalFileError},
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
    let client = builder(config)
        .map_err(Cause::Local)
        .and_then(|builder| adjust(builder).build().map_err(Cause::Http));
    client.map_err(|source| FetchError::Unreachable {
        upstream: host.clone(),
        source,
    })
}

fn builder(config: &UpstreamConfig) -> Result<ClientBuilder, LocalFileError> {
    let mut builder = Client::builder()
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
    if let Some(path) = &config.ca_file {
        let pem = read(path)?;
        let roots =
            Certificate::from_pem_bundle(&pem).map_err(|source| LocalFileError::CaFile {
                path: path.clone(),
                source,
            })?;
        builder = builder.tls_certs_merge(roots);
    }
    if let Some(certificate) = &config.client_certificate {
        let mut pem = read(&certificate.key)?;
        pem.push(b'\n');
        pem.extend(read(&certificate.chain)?);
        let identity =
            Identity::from_pem(&pem).map_err(|source| LocalFileError::ClientCertificate {
                chain: certificate.chain.clone(),
                key: certificate.key.clone(),
                source,
            })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn read(path: &Path) -> Result<Vec<u8>, LocalFileError> {
    std::fs::read(path).map_err(|source| LocalFileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Whether the server closed an established connection before its answer began. Such a request may
/// be sent again: all requests made here are idempotent (RFC 9110, section 9.2.2).
///
/// The one place that downcasts: reqwest has no method for this, and the hyper and I/O errors that
/// tell it are to be found only among the causes.
pub(crate) fn closed_before_answer(error: &reqwest::Error) -> bool {
    let mut causes = iter::successors(error.source(), |cause| (*cause).source());
    let is_closed = causes.any(|cause| {
        let http = cause.downcast_ref::<hyper::Error>();
        let socket = cause.downcast_ref::<io::Error>();
        http.is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
            || socket.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    });
    is_closed && !error.is_connect()
}
