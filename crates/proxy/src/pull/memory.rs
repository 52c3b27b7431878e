//! Manifests in memory, so that a hot one costs no disk and no parsing.

use manifest_model::{Digest, Manifest};
use moka::sync::Cache;

/// Bytes of manifests kept. A manifest is a few KiB; thousands of them are what a large cluster pulls in a day.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// What an entry costs beside its bytes: the parsed view and the map.
const OVERHEAD: u32 = 1024;

#[derive(Debug)]
pub(super) struct Memory(Cache<Digest, Manifest>);

impl Memory {
    pub(super) fn new() -> Self {
        let weigh = |_: &Digest, manifest: &Manifest| {
            u32::try_from(manifest.bytes().len())
                .unwrap_or(u32::MAX)
                .saturating_mul(2)
                .saturating_add(OVERHEAD)
        };
        Self(
            Cache::builder()
                .max_capacity(MAX_BYTES)
                .weigher(weigh)
                .build(),
        )
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Manifest> {
        self.0.get(digest)
    }

    pub(super) fn put(&self, manifest: &Manifest) {
        self.0.insert(manifest.digest(), manifest.clone());
    }
}
