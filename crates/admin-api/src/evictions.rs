//! `GET /_archway/v1/evictions`: what leaves the cache next, and why.

use manifest_model::Digest;
use serde::{Deserialize, Serialize};

use crate::{DiskUse, Time};

/// The order in which blobs would leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evictions {
    /// The sums and their bounds.
    pub disk: DiskUse,
    /// Bytes that still fit before something has to leave.
    pub room: u64,
    /// The blobs that leave next, the first one first.
    pub next: Vec<NextToGo>,
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
    /// The repositories that have it, at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
}

/// The classes of the order of eviction, the first to go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvictionClass {
    /// Of a platform that nobody here pulls.
    Unwanted,
    /// Not used since it came.
    Probation,
    /// Used again.
    UsedAgain,
    /// A manifest, which is small and leads to all else.
    Manifest,
}
