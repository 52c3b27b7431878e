//! How much of an image is stored.

use serde::{Deserialize, Serialize};

/// How much of an image is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// Its manifest is not stored, so its layers are unknown.
    Absent,
    /// Its manifest is stored, and at least one of its blobs is missing.
    Partial,
    /// Its manifest and all its blobs are stored, but for foreign layers, which clients fetch from
    /// their vendor.
    Cached,
}

impl Completeness {
    /// The word for it in tables, JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Partial => "partial",
            Self::Cached => "cached",
        }
    }
}
