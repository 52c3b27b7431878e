//! `[server]`: limits that hold for all listeners.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::{
    error::Problems,
    field::{Count, Field, or},
    platform::Network,
    print::Page,
    units::{Interval, Timeout},
};

const DEFAULT_SHUTDOWN_GRACE: Interval = Interval(Duration::from_secs(30));
const DEFAULT_HEADER_TIMEOUT: Timeout = Timeout(Duration::from_secs(10));
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
const MOST_CONNECTIONS: usize = 1_000_000;

/// Limits of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// How long open requests and running fills may go on after a signal to stop; zero cuts them at once.
    pub shutdown_grace: Duration,
    /// How long a client may take to send a request's headers; never zero.
    pub header_timeout: Duration,
    /// Connections of clients open at once, on all listeners together; never zero. The admin listener's do not count.
    pub max_connections: usize,
    /// Whether equal requests for small stored content are answered from memory, below HTTP.
    pub replay: bool,
    /// Load balancers that may say who their client is, by `X-Forwarded-For` or the PROXY protocol.
    pub trusted_proxies: Vec<IpNet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as [server]")]
pub(super) struct RawServer {
    shutdown_grace: Option<Field<Interval>>,
    header_timeout: Option<Field<Timeout>>,
    max_connections: Option<Count>,
    replay: Option<bool>,
    trusted_proxies: Vec<Field<Network>>,
}

impl RawServer {
    pub(super) fn resolve(self, problems: &mut Problems) -> Server {
        let max_connections = self
            .max_connections
            .and_then(|count| count.take("max_connections", 1..=MOST_CONNECTIONS, problems));
        let trusted = self.trusted_proxies.into_iter();
        let trusted = trusted.filter_map(|field| field.take("trusted_proxies", problems));
        let trusted_proxies = trusted.map(|Network(network)| network).collect();
        Server {
            replay: self.replay.unwrap_or(true),
            trusted_proxies,
            shutdown_grace: or(
                self.shutdown_grace,
                "shutdown_grace",
                DEFAULT_SHUTDOWN_GRACE,
                problems,
            )
            .0,
            header_timeout: or(
                self.header_timeout,
                "header_timeout",
                DEFAULT_HEADER_TIMEOUT,
                problems,
            )
            .0,
            max_connections: max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS),
        }
    }
}

impl Server {
    pub(super) fn print(&self, page: &mut Page) {
        page.header("[server]");
        page.duration("shutdown_grace", self.shutdown_grace);
        page.duration("header_timeout", self.header_timeout);
        page.raw("max_connections", self.max_connections);
        page.raw("replay", self.replay);
        page.list("trusted_proxies", &self.trusted_proxies);
    }
}
