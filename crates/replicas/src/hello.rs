//! What a replica says of itself to another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The path of a greeting on the listener for replicas.
pub const HELLO_PATH: &str = "/_archway/v1/replica/hello";

/// The version of what replicas say to each other. One that speaks another owns nothing here.
pub const PROTOCOL: u32 = 2;

/// What a replica says of itself. Ages and not times, so that no two clocks are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// This start of it.
    pub instance: String,
    /// How long it has been running.
    pub age_ms: u64,
    /// The zone it is in, if its configuration says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether it is about to end, and takes nothing new.
    pub leaving: bool,
    /// What upstreams have asked it to hold back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<ToldPause>,
    /// Its version, for people.
    pub version: String,
}

/// A pause that an upstream has asked for: it is meant for all replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldPause {
    /// The upstream.
    pub upstream: String,
    /// The endpoint's URL.
    pub endpoint: String,
    /// The calls that are held back.
    pub calls: String,
    /// The rest of it.
    pub left_ms: u64,
}

impl Hello {
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.age_ms)
    }
}
