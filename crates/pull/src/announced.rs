//! The sizes of blobs, as the manifests announce them that went through here, and which manifest
//! that was.
//!
//! A manifest is right about its own repository at best, so a size is known in that repository
//! alone. Nothing is believed against an upstream's own answer, and nothing outlives a restart.

use cache::RepoKey;
use manifest_model::{Digest, Manifest};

/// Sizes kept, some 250 bytes each.
const MAX_SIZES: u64 = 16_384;

/// The sizes that manifests have announced. Cheap to clone; all clones are the same sizes.
#[derive(Clone, Debug)]
pub(super) struct AnnouncedSizes(moka::sync::Cache<(RepoKey, Digest), Announced>);

/// What a manifest says of something that it names.
#[derive(Clone, Copy, Debug)]
struct Announced {
    size: u64,
    by: Digest,
}

impl AnnouncedSizes {
    pub(super) fn new() -> Self {
        Self(moka::sync::Cache::new(MAX_SIZES))
    }

    /// Notes the sizes of everything that `manifest` names; those it leaves out are 0.
    pub(super) fn note(&self, repository: &RepoKey, manifest: &Manifest) {
        let by = manifest.digest();
        for named in manifest.links().filter(|named| named.size > 0) {
            let size = named.size;
            self.0
                .insert((repository.clone(), named.digest), Announced { size, by });
        }
    }

    /// The size that a manifest of `repository` has announced for a blob.
    pub(super) fn of(&self, repository: &RepoKey, digest: &Digest) -> Option<u64> {
        let announced = self.0.get(&(repository.clone(), *digest))?;
        Some(announced.size)
    }

    /// The manifest of `repository` that has named `digest` last, of those still remembered.
    pub(super) fn named_by(&self, repository: &RepoKey, digest: &Digest) -> Option<Digest> {
        let announced = self.0.get(&(repository.clone(), *digest))?;
        Some(announced.by)
    }
}
