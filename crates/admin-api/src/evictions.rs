//! `GET /_archway/v1/evictions`: what leaves the cache next and why, and how full the cache is.

use manifest_model::Digest;
use serde::{Deserialize, Serialize};

use crate::Time;

/// The order in which blobs would leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evictions {
    /// The sums and their bounds.
    pub cache: CacheTotals,
    /// The blobs that leave next, the first one first. One that is being read is passed over when its
    /// turn comes.
    pub next: Vec<NextToGo>,
}

/// The sums of the cache and their bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheTotals {
    /// Bytes of all stored blobs.
    pub bytes: u64,
    /// How many they are.
    pub blobs: u64,
    /// The bound on `bytes`, running downloads included.
    pub max_bytes: u64,
    /// Bytes of what bundles pin, which never leaves.
    pub pinned_bytes: u64,
    /// Bytes of what nobody is expected to ask for, which leaves first.
    pub unwanted_bytes: u64,
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
    /// Bytes that the file system can still give; none where it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// Bytes of the file system that are left to others.
    pub disk_reserve: u64,
}

/// A blob that is to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextToGo {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// When it was last used, or came.
    pub used: Time,
    /// Why it is at this place of the order.
    pub class: EvictionClass,
    /// The same in an English clause.
    pub why: String,
}

/// The classes of the order of eviction, the first to go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvictionClass {
    /// Of a platform that nobody here pulls.
    Unwanted,
    /// Not used since it came, or beyond the share of what is used again.
    Probation,
    /// Used again.
    UsedAgain,
    /// A manifest, which is small and leads to all else.
    Manifest,
}

impl EvictionClass {
    /// The spelling in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unwanted => "unwanted",
            Self::Probation => "probation",
            Self::UsedAgain => "used_again",
            Self::Manifest => "manifest",
        }
    }

    /// Why blobs of this class leave when they do.
    pub fn why(self) -> &'static str {
        match self {
            Self::Unwanted => "of a platform that nobody here pulls",
            Self::Probation => "not used since it came, or not for long",
            Self::UsedAgain => "used again, and longest ago",
            Self::Manifest => "a manifest, which all else depends on",
        }
    }
}
