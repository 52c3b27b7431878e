//! The blobs of a plan, of one kind: manifests, configs or layers.

use std::collections::HashSet;

use manifest_model::Digest;

/// Blobs in the order in which they were first named.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    order: Vec<(Digest, u64)>,
    known: HashSet<Digest>,
}

impl Blobs {
    pub(super) fn add(&mut self, digest: Digest, size: u64) {
        if self.known.insert(digest) {
            self.order.push((digest, size));
        }
    }

    /// All of several kinds, each once: where it is named first.
    pub(super) fn once<const N: usize>(kinds: [&Self; N]) -> impl Iterator<Item = (Digest, u64)> {
        let mut seen = HashSet::new();
        let all = kinds.into_iter().flat_map(|kind| &kind.order).copied();
        all.filter(move |(digest, _)| seen.insert(*digest))
    }
}
