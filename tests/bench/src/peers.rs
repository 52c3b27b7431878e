//! The servers under measurement, each as it would be run for real, on the core of the server.

pub(crate) mod archway;
pub(crate) mod nginx;
pub(crate) mod process;
pub(crate) mod registry;
pub(crate) mod usage;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A port that was free a moment ago: each run has a network of its own, so it stays free.
pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
