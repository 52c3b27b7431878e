//! `GET /_archway/v1/platforms`: which platforms clients ask for, and what was learned of that.

use serde::{Deserialize, Serialize};

/// The platforms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Platforms {
    /// What is downloaded ahead, as `[prefetch]` says: for the platforms that were learned, and for
    /// those of the nodes.
    pub wanted: Vec<String>,
    /// The platform of a client that says nothing; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Each platform that was asked for, is stored or is learned.
    pub platforms: Vec<PlatformCount>,
    /// The places with learned platforms, the most pulled first; at most 500.
    pub learned: Vec<LearnedPlace>,
}

/// One platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformCount {
    /// The platform, or `other`.
    pub platform: String,
    /// Requests for it since the start.
    pub requests: u64,
    /// Requests for it that an image lacks it for, since the start.
    pub missing: u64,
    /// Indexes that were answered by its image, since the start.
    pub substitutions: u64,
    /// Images that are stored whole for it, as last counted.
    pub cached: u64,
    /// Images that are stored in part for it, as last counted.
    pub partial: u64,
    /// Nodes of the cluster, where it is followed.
    pub nodes: u64,
}

/// A place with learned platforms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnedPlace {
    /// An upstream, or a repository of it: `HOST` or `HOST/REPOSITORY`.
    pub place: String,
    /// The platforms pulled there, the most pulled first.
    pub platforms: Vec<PlatformWeight>,
}

/// How much a platform is pulled at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformWeight {
    /// The platform.
    pub platform: String,
    /// Pulls, of which older ones count less.
    pub weight: f64,
}
