//! `[server]`: limits that hold for all listeners.

use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    platform::Network,
    show,
    table::Table,
    units::{Interval, Timeout},
};

const DEFAULT_SHUTDOWN_GRACE: Interval = Interval(Duration::from_secs(30));
const DEFAULT_HEADER_TIMEOUT: Timeout = Timeout(Duration::from_secs(10));
const DEFAULT_CONNECTIONS: usize = 10_000;
const MAX_CONNECTIONS: usize = 1_000_000;

/// Limits of the listeners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// How long open requests and running fills may go on after a signal to stop; zero cuts them
    /// at once.
    #[serde(serialize_with = "show::duration")]
    pub shutdown_grace: Duration,
    /// How long a client may take to send a request's headers; never zero.
    #[serde(serialize_with = "show::duration")]
    pub header_timeout: Duration,
    /// Connections of clients open at once, on all listeners together; never zero. Those of the
    /// admin listener do not count.
    pub max_connections: usize,
    /// Whether equal requests for small stored content are answered from memory, below HTTP.
    pub replay: bool,
    /// Load balancers that may name their client, by `X-Forwarded-For` or the PROXY protocol.
    #[serde(serialize_with = "show::texts")]
    pub trusted_proxies: Vec<IpNet>,
}

impl Server {
    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        let shutdown_grace = table.or("shutdown_grace", DEFAULT_SHUTDOWN_GRACE);
        let header_timeout = table.or("header_timeout", DEFAULT_HEADER_TIMEOUT);
        let max_connections =
            table.count("max_connections", 1..=MAX_CONNECTIONS, DEFAULT_CONNECTIONS);
        let replay = table.flag("replay", true);
        let trusted_proxies = table.list("trusted_proxies").into_iter();
        Self {
            shutdown_grace: shutdown_grace.0,
            header_timeout: header_timeout.0,
            max_connections,
            replay,
            trusted_proxies: trusted_proxies.map(|Network(network)| network).collect(),
        }
    }
}
