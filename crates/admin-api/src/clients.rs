//! `GET /_archway/v1/clients`: how clients are known. Which address pulled what is not kept.

use serde::{Deserialize, Serialize};

/// The clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// Open connections.
    pub connections: u64,
    /// How many connections may be open; none where nothing bounds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u64>,
    /// How often each source of a platform was followed, the most often first.
    pub hints: Vec<ClientHints>,
    /// Requests since the start by program, as their `User-Agent` names it, the most first.
    #[serde(default)]
    pub families: Vec<ClientFamily>,
    /// The networks whose platform is configured.
    pub networks: Vec<KnownNetwork>,
    /// Nodes of the cluster that are followed.
    pub nodes: u64,
    /// Nodes of the cluster whose runtime has never asked here.
    pub silent_nodes: u64,
}

/// What one source of a platform said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHints {
    /// The source: `header`, `user-agent`, `address`, ...; `none` where no source spoke.
    pub source: String,
    /// The platform, or `other`.
    pub platform: String,
    /// Requests since the start.
    pub requests: u64,
}

/// A program that asks, or several that pull alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFamily {
    /// Its name: `containerd`, `docker`, ...; `other`, or `none` of those that name none.
    pub family: String,
    /// Requests since the start.
    pub requests: u64,
}

/// A network whose platform is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownNetwork {
    /// The network: `10.0.0.0/8`.
    pub network: String,
    /// Its platform.
    pub platform: String,
}
