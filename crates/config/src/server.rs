//! `[server]`: limits that hold for all listeners.

use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    platform::Network,
    show,
    table::Table,
    units::{Interval, Size, Timeout},
};

const DEFAULT_SHUTDOWN_GRACE: Interval = Interval(Duration::from_secs(30));
const DEFAULT_HEADER_TIMEOUT: Timeout = Timeout(Duration::from_secs(10));
const DEFAULT_SEND_TIMEOUT: Timeout = Timeout(Duration::from_mins(1));
const DEFAULT_IDLE_TIMEOUT: Timeout = Timeout(Duration::from_mins(1));
const DEFAULT_CONNECTIONS: usize = 10_000;
const MAX_CONNECTIONS: usize = 1_000_000;
/// One address has this part of the connections while others wait, unless set otherwise.
const DEFAULT_SHARE: usize = 10;

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
    /// How long a client may take nothing of its answer; never zero.
    #[serde(serialize_with = "show::duration")]
    pub send_timeout: Duration,
    /// How long a connection may have no request; never zero.
    #[serde(serialize_with = "show::duration")]
    pub idle_timeout: Duration,
    /// Connections of clients open at once, on all listeners together; never zero. Those of the
    /// admin listener do not count.
    pub max_connections: usize,
    /// Those that one client address may have while others wait; never zero.
    pub max_connections_per_address: usize,
    /// The bytes of memory, files aside, near which prefetch, requests and connections are held
    /// back; unset: half of what the control group allows.
    #[serde(serialize_with = "show::optional_size")]
    pub memory: Option<u64>,
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
        let send_timeout = table.or("send_timeout", DEFAULT_SEND_TIMEOUT);
        let idle_timeout = table.or("idle_timeout", DEFAULT_IDLE_TIMEOUT);
        let max_connections =
            table.count("max_connections", 1..=MAX_CONNECTIONS, DEFAULT_CONNECTIONS);
        let share = (max_connections / DEFAULT_SHARE).max(1);
        let max_connections_per_address =
            table.count("max_connections_per_address", 1..=max_connections, share);
        let memory = table.take("memory").map(|Size(bytes)| bytes);
        let replay = table.flag("replay", true);
        let trusted_proxies = table.list("trusted_proxies").into_iter();
        Self {
            shutdown_grace: shutdown_grace.0,
            header_timeout: header_timeout.0,
            send_timeout: send_timeout.0,
            idle_timeout: idle_timeout.0,
            max_connections,
            max_connections_per_address,
            memory,
            replay,
            trusted_proxies: trusted_proxies.map(|Network(network)| network).collect(),
        }
    }
}
