//! `GET /_archway/v1/upstreams`: the upstreams in use, and how each is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Time;

/// The upstreams that were asked since the start, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstreams {
    /// The upstreams.
    pub upstreams: Vec<UpstreamState>,
    /// Patterns of upstreams that are never asked, by configuration.
    pub offline: Vec<String>,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamState {
    /// Its canonical name.
    pub host: String,
    /// Its key in the configuration; several upstreams may share one.
    pub pattern: String,
    /// Its endpoints, in the order in which they are asked.
    pub endpoints: Vec<UpstreamEndpoint>,
    /// Calls that wait for the configured rates.
    pub waiting: usize,
    /// The configured rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<CallRate>,
    /// What they would let go at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<CallBudget>,
    /// The pulls left, as last announced by an upstream with this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulls_left: Option<u64>,
    /// The pulls allowed, as last announced by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulls_limit: Option<u64>,
    /// When the token runs out that was got last for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires: Option<Time>,
    /// Answers since the start by kind (`ok`, `absent`, `refused`, `throttled`, `unreachable`,
    /// `broken`, `resting`), of all upstreams with this pattern.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, u64>,
    /// Bytes received since the start, of all upstreams with this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
}

/// One endpoint of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamEndpoint {
    /// Its base URL.
    pub url: String,
    /// How it is.
    pub state: EndpointState,
    /// Since when it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it is asked again at the earliest, if it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// The last cause, in English, without URLs, if it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The calls that are held back, if it throttles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldCalls>,
    /// What we log in with: `password`, `docker_config`, `ecr` or `anonymous`. Never the secret.
    #[serde(default)]
    pub credential: String,
}

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Requests are sent.
    Up,
    /// Requests are sent, but calls of some kind wait after a 429.
    Throttling,
    /// It is left alone between probes.
    Down,
}

impl EndpointState {
    /// The spelling in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Throttling => "throttling",
            Self::Down => "down",
        }
    }
}

/// Calls that are held back after a 429.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCalls {
    /// `manifests`, `blobs` or `lists`.
    pub calls: String,
    /// Until when.
    pub until: Time,
}

/// What a configured rate has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallBudget {
    /// `all`, `manifests`, `blobs` or `lists`.
    pub calls: String,
    /// Calls that would go at once.
    pub left: u32,
}

/// A configured rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRate {
    /// `all`, `manifests`, `blobs` or `lists`.
    pub calls: String,
    /// The rate as the configuration writes it, such as `100/1h`.
    pub rate: String,
}
