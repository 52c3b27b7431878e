//! The kinds of calls that registries limit apart.

use std::fmt;

use super::Resource;

/// A kind of call that a registry may limit on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Manifests, by GET and HEAD.
    Manifests,
    /// Blobs.
    Blobs,
    /// Tags and referrers.
    Lists,
}

impl CallKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Manifests, Self::Blobs, Self::Lists];

    /// The kind of a call for `resource`.
    pub(crate) fn of(resource: Resource) -> Self {
        match resource {
            Resource::Manifest => Self::Manifests,
            Resource::Blob => Self::Blobs,
            Resource::Repository | Resource::ReferrersApi => Self::Lists,
        }
    }

    /// The spelling in texts and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::Blobs => "blobs",
            Self::Lists => "lists",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
