//! What the registry holds: repositories with their tags, manifests and blobs.

use std::collections::{BTreeMap, HashMap};

use manifest_model::{Algorithm, Digest};

use crate::images::{Blob, Content, Stored};

/// All repositories by name.
#[derive(Default)]
pub(super) struct Repositories {
    by_name: HashMap<String, Repository>,
}

#[derive(Default)]
struct Repository {
    tags: BTreeMap<String, String>,
    manifests: BTreeMap<String, Stored>,
    blobs: HashMap<String, Blob>,
}

impl Repositories {
    pub(super) fn push(&mut self, algorithm: Algorithm, name: &str, tag: &str, content: &Content) {
        let repository = self.by_name.entry(name.to_owned()).or_default();
        for stored in &content.manifests {
            let digest = stored.digest.to_string();
            repository.manifests.insert(digest, stored.clone());
        }
        for blob in &content.blobs {
            let digest = blob.digest().to_string();
            repository.blobs.insert(digest, blob.clone());
        }
        let mut root = content.root().clone();
        root.digest = Digest::of(algorithm, &root.bytes);
        let digest = root.digest.to_string();
        repository.tags.insert(tag.to_owned(), digest.clone());
        repository.manifests.insert(digest, root);
    }

    pub(super) fn push_blob(&mut self, name: &str, algorithm: Algorithm, blob: &Blob) -> Digest {
        let digest = match (algorithm, blob) {
            (_, Blob::Held(bytes)) => Digest::of(algorithm, bytes),
            (Algorithm::Sha256, Blob::Made(blob)) => blob.digest(),
            (Algorithm::Sha512, Blob::Made(_)) => panic!("large blobs have SHA-256 digests only"),
        };
        let repository = self.by_name.entry(name.to_owned()).or_default();
        repository.blobs.insert(digest.to_string(), blob.clone());
        digest
    }

    pub(super) fn remove_tag(&mut self, name: &str, tag: &str) {
        if let Some(repository) = self.by_name.get_mut(name) {
            repository.tags.remove(tag);
        }
    }

    /// The manifest by tag or digest, or the error code of its absence.
    pub(super) fn manifest(&self, name: &str, reference: &str) -> Result<&Stored, &'static str> {
        let repository = self.by_name.get(name).ok_or("NAME_UNKNOWN")?;
        let digest = repository
            .tags
            .get(reference)
            .map_or(reference, String::as_str);
        repository.manifests.get(digest).ok_or("MANIFEST_UNKNOWN")
    }

    pub(super) fn blob(&self, name: &str, digest: &str) -> Option<&Blob> {
        self.by_name.get(name)?.blobs.get(digest)
    }

    /// All tags in order, or nothing where there is no such repository.
    pub(super) fn tags(&self, name: &str) -> Option<Vec<String>> {
        let repository = self.by_name.get(name)?;
        Some(repository.tags.keys().cloned().collect())
    }

    /// All manifests of a repository, in the order of their digests.
    pub(super) fn manifests(&self, name: &str) -> Vec<Stored> {
        let repository = self.by_name.get(name);
        repository.map_or_else(Vec::new, |all| all.manifests.values().cloned().collect())
    }
}
