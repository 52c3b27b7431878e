//! Why there is no plan.

use std::error::Error;

use manifest_model::{Ambiguity, Digest, MAX_INDEX_DEPTH, Platform};
use protocol::image_name::ImageName;

use crate::lock::LockError;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A manifest or a blob of an image is not at hand.
    #[error("{name} needs {digest}, which is not stored; pull the image first, for its platform")]
    NotStored {
        /// The image.
        name: Box<ImageName>,
        /// The manifest or blob.
        digest: Digest,
    },
    /// A manifest names something that cannot be read, and so cannot be carried.
    #[error("{name} cannot be carried whole: {digest} names something that cannot be read")]
    Unreadable {
        /// The image.
        name: Box<ImageName>,
        /// Its manifest.
        digest: Digest,
    },
    /// Clients would not agree on the choice.
    #[error("{name}: no manifest can be chosen from {digest}")]
    Ambiguous {
        /// The image.
        name: Box<ImageName>,
        /// The index.
        digest: Digest,
        /// Why.
        source: Ambiguity,
    },
    /// An index has nothing for a platform.
    #[error("{name} has no manifest for {wanted}; it has {}", list(.offered))]
    NoPlatform {
        /// The image.
        name: Box<ImageName>,
        /// The platform asked for.
        wanted: Box<Platform>,
        /// The platforms there are.
        offered: Vec<Platform>,
    },
    /// An image has no signature, and must have one.
    #[error(
        "{name} ({digest}) has no signature in the cache; sign it, or pull the signature first"
    )]
    Unsigned {
        /// The image.
        name: Box<ImageName>,
        /// Its manifest or index.
        digest: Digest,
    },
    /// Indexes are nested too deeply.
    #[error("{0} nests indexes more than {MAX_INDEX_DEPTH} levels deep")]
    TooDeep(Box<ImageName>),
    /// The store of manifests failed.
    #[error("cannot read {digest} for {name}")]
    Catalog {
        /// The image.
        name: Box<ImageName>,
        /// The manifest or subject.
        digest: Digest,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The lock would not be valid.
    #[error(transparent)]
    Lock(#[from] LockError),
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = platforms.iter().map(Platform::to_string).collect();
    names.join(", ")
}
