//! The HTTP client of one upstream: its own connections, trust, identity and timeouts.
//!
//! HTTP/2 is spoken where a server offers it, and the system's proxies are used (`HTTPS_PROXY`, `NO_PROXY`).

use std::{path::Path, time::Duration};

use config::UpstreamConfig;
use protocol::host::Host;
use reqwest::{Certificate, Client, ClientBuilder, Identity, redirect::Policy};

use super::{
    error::{FetchError, Trouble},
    resolver::Resolver,
};

/// How long an unused connection is kept: after that a new one asks DNS again. Load balancers close theirs after a minute, and a
/// request that meets such an end is lost.
const IDLE_CONNECTION: Duration = Duration::from_secs(50);

/// How often a connection with requests on it is asked whether it is alive, and how long it may take to say so. Without it one
/// dead HTTP/2 connection would be given to request after request.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A client as configured. Redirects are not followed by it.
pub(super) fn client(host: &Host, config: &UpstreamConfig) -> Result<Client, FetchError> {
    build(host, builder(host, config)?)
}

/// The client of `builder`.
pub(super) fn build(host: &Host, builder: ClientBuilder) -> Result<Client, FetchError> {
    builder.build().map_err(|source| FetchError::Unreachable {
        upstream: host.clone(),
        source: Trouble::Http(source),
    })
}

/// The same before it is made, for who wants to set more.
pub(super) fn builder(host: &Host, config: &UpstreamConfig) -> Result<ClientBuilder, FetchError> {
    let local = |reason: String| FetchError::Unreachable {
        upstream: host.clone(),
        source: Trouble::Local(reason),
    };
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|error| local(format!("cannot read {}: {error}", path.display())))
    };
    let mut builder = Client::builder()
        .user_agent(concat!("archway/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .dns_resolver(Resolver::new(config))
        .connect_timeout(config.connect_timeout)
        // It runs from the request on, before the first header too. Who reads a large body is stricter.
        .read_timeout(config.idle_timeout.max(config.header_timeout))
        .pool_idle_timeout(IDLE_CONNECTION)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE)
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_nodelay(true);
    if let Some(path) = &config.ca_file {
        let roots = Certificate::from_pem_bundle(&read(path)?)
            .map_err(|error| local(format!("{} holds no certificates: {error}", path.display())))?;
        builder = builder.tls_certs_merge(roots);
    }
    if let Some(certificate) = &config.client_certificate {
        let mut pem = read(&certificate.key)?;
        pem.push(b'\n');
        pem.extend(read(&certificate.chain)?);
        let identity = Identity::from_pem(&pem).map_err(|error| {
            local(format!(
                "{} and {} are no certificate and key: {error}",
                certificate.chain.display(),
                certificate.key.display()
            ))
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}
