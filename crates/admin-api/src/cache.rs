//! `GET /_archway/v1/cache`: what the disk is used for.

use serde::{Deserialize, Serialize};

use crate::{DiskUse, Time};

/// What is stored, by different divisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// The sums and their bounds.
    pub disk: DiskUse,
    /// By what eviction makes of them: `unwanted`, `probation`, `used_again`, `manifests`, `pinned`.
    pub classes: Vec<Share>,
    /// By what they are: `index`, `manifest`, `config`, `layer`, `other`.
    pub kinds: Vec<Share>,
    /// By the platform of the image that they belong to. A blob of two counts for both.
    pub platforms: Vec<Share>,
    /// By upstream. A blob of two counts for both.
    pub upstreams: Vec<Share>,
    /// The fifty largest repositories. A blob of two counts for both.
    pub repositories: Vec<Share>,
    /// When the divisions were last counted; none before the first count. The sums are of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Time>,
}

/// One row of a division.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What it is.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its blobs.
    pub blobs: u64,
}
