//! What the routes answer, as JSON. Written here, read by the command line.

use cache::inspect::Removed;
use manifest_model::Digest;
use serde::{Deserialize, Serialize};

/// The outcome for one name that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedName {
    /// The name as it was asked for.
    pub name: String,
    /// Whether there was anything to remove.
    pub found: bool,
    /// The tags that went, as `HOST/REPOSITORY:TAG`.
    pub tags: Vec<String>,
    /// The blobs that went.
    pub blobs: Vec<Digest>,
    /// Their bytes.
    pub bytes: u64,
    /// The bundles that keep it; then nothing was removed.
    pub kept_by: Vec<Digest>,
}

/// The upstream's answer for a tag that was asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// The image, with its registry.
    pub name: String,
    /// Where the tag points now.
    pub digest: Digest,
    /// Where it pointed before; absent if it was not known here.
    pub previous: Option<Digest>,
}

impl RemovedName {
    /// What was removed for `name`.
    pub fn new(name: &str, removed: &Removed) -> Self {
        let (tags, blobs) = (removed.tags.iter(), removed.blobs.iter());
        Self {
            name: name.to_owned(),
            found: !removed.is_empty(),
            tags: tags
                .map(|(repository, tag)| format!("{repository}:{tag}"))
                .collect(),
            blobs: blobs.clone().map(|(digest, _)| *digest).collect(),
            bytes: blobs.map(|(_, size)| size).sum(),
            kept_by: removed.kept_by.clone(),
        }
    }

    /// Whether there was something to remove, and it went.
    pub fn is_done(&self) -> bool {
        self.found && self.kept_by.is_empty()
    }
}

impl Refreshed {
    /// Whether the tag points elsewhere than before, or was not known.
    pub fn has_moved(&self) -> bool {
        self.previous != Some(self.digest)
    }
}
