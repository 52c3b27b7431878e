//! What bundles keep, and so no removal takes.

use std::collections::HashMap;

use cache_store::index::{Bundles, CarriedName, Outcome};
use manifest_model::{Digest, Tag};

use crate::RepoKey;

/// The pins of all bundles and the names they brought.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pins: HashMap<Digest, Vec<Digest>>,
    names: HashMap<CarriedName, Vec<Digest>>,
}

impl Kept {
    pub(super) fn of(bundles: &Bundles) -> Outcome<Self> {
        let mut kept = Self::default();
        for (blob, bundle) in bundles.pins()? {
            kept.pins.entry(blob).or_default().push(bundle);
        }
        for row in bundles.all()? {
            for name in row.names {
                kept.names.entry(name).or_default().push(row.id);
            }
        }
        Ok(kept)
    }

    /// The bundles that pin a blob.
    pub(super) fn pinning(&self, blob: &Digest) -> &[Digest] {
        self.pins.get(blob).map_or(&[], Vec::as_slice)
    }

    /// The bundles that brought `tag` for `manifest` to a repository.
    pub(super) fn naming(&self, repository: &RepoKey, tag: &Tag, manifest: &Digest) -> &[Digest] {
        let name = CarriedName::new(repository, Some(tag), *manifest);
        self.names.get(&name).map_or(&[], Vec::as_slice)
    }
}
