//! What changes from one bundle or inventory to another.

use std::collections::BTreeMap;

use manifest_model::Digest;

use crate::{inventory::Inventory, lock::Lock};

/// What a bundle brings a site to, or what a site has: names with their digests, and blobs with
/// their sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    names: BTreeMap<String, Digest>,
    blobs: BTreeMap<Digest, u64>,
}

impl From<&Lock> for Holding {
    /// With what the bundle builds on.
    fn from(lock: &Lock) -> Self {
        let images = lock.images.iter();
        let blobs = lock.blobs.iter();
        Self {
            names: images
                .map(|image| (image.name.to_string(), image.digest))
                .collect(),
            blobs: blobs.map(|blob| (blob.digest, blob.size)).collect(),
        }
    }
}

impl From<&Inventory> for Holding {
    fn from(inventory: &Inventory) -> Self {
        let images = inventory.images.iter();
        Self {
            names: images
                .map(|image| (image.name.to_string(), image.digest))
                .collect(),
            blobs: inventory.blobs.clone(),
        }
    }
}

/// The change from one holding to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names that only the second has.
    pub added: Vec<(String, Digest)>,
    /// Names that only the first has.
    pub removed: Vec<(String, Digest)>,
    /// Names that mean something else, with the old and the new digest.
    pub moved: Vec<(String, Digest, Digest)>,
    /// The number of blobs that only the second has.
    pub new_blobs: u64,
    /// Their bytes: what has to be carried.
    pub new_bytes: u64,
}

impl Difference {
    /// What changes from `old` to `new`.
    pub fn between(old: &Holding, new: &Holding) -> Self {
        let mut difference = Self::default();
        for (name, &digest) in &new.names {
            match old.names.get(name) {
                None => difference.added.push((name.clone(), digest)),
                Some(&before) if before != digest => {
                    difference.moved.push((name.clone(), before, digest));
                }
                Some(_) => {}
            }
        }
        let removed = old.names.iter();
        let removed = removed.filter(|(name, _)| !new.names.contains_key(*name));
        difference.removed = removed
            .map(|(name, &digest)| (name.clone(), digest))
            .collect();
        for (digest, size) in &new.blobs {
            if !old.blobs.contains_key(digest) {
                difference.new_blobs += 1;
                difference.new_bytes = difference.new_bytes.saturating_add(*size);
            }
        }
        difference
    }

    /// Whether both name the same images.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.moved.is_empty()
    }
}
