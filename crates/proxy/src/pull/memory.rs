//! Manifests in memory, so that a hot one costs no disk and no parsing.
//!
//! The file is the truth: one that has gone from the disk meanwhile is to be stored again, or a restart would not know it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use manifest_model::{Digest, Manifest};
use moka::sync::Cache;

/// Bytes of manifests kept. A manifest is a few KiB; thousands of them are what a large cluster pulls in a day.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// What an entry costs beside its bytes: the parsed view and the map.
const OVERHEAD: u32 = 1024;

/// How long a manifest is taken to be on the disk without looking, as an open file is.
const TRUSTED_FOR: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Memory(Cache<Digest, Arc<Held>>);

#[derive(Debug)]
struct Held {
    manifest: Manifest,
    looked: Mutex<Instant>,
}

/// A manifest from memory.
#[derive(Debug)]
pub(super) enum Remembered {
    /// Its file was there a moment ago.
    Trusted(Manifest),
    /// Whoever is told so looks whether the file is still there; others are not told again for a while.
    Due(Manifest),
}

impl Memory {
    pub(super) fn new() -> Self {
        let weigh = |_: &Digest, held: &Arc<Held>| {
            u32::try_from(held.manifest.bytes().len())
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

    pub(super) fn get(&self, digest: &Digest) -> Option<Remembered> {
        self.get_at(digest, Instant::now())
    }

    fn get_at(&self, digest: &Digest, now: Instant) -> Option<Remembered> {
        let held = self.0.get(digest)?;
        let manifest = held.manifest.clone();
        let mut looked = held.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(*looked) <= TRUSTED_FOR {
            return Some(Remembered::Trusted(manifest));
        }
        *looked = now;
        Some(Remembered::Due(manifest))
    }

    /// The first of a digest stays: of the same bytes, another may have come with another type.
    pub(super) fn put(&self, manifest: &Manifest) {
        let held = || {
            Arc::new(Held {
                manifest: manifest.clone(),
                looked: Mutex::new(Instant::now()),
            })
        };
        self.0.entry(manifest.digest()).or_insert_with(held);
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    #[test]
    fn now_and_then_one_is_told_to_look_for_the_file() {
        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let manifest = Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
        let memory = Memory::new();
        memory.put(&manifest);
        let is_due = |now| {
            let remembered = memory.get_at(&manifest.digest(), now).unwrap();
            matches!(remembered, Remembered::Due(_))
        };
        let now = Instant::now();
        assert!(!is_due(now));
        let later = now + 2 * TRUSTED_FOR;
        assert!(is_due(later));
        assert!(!is_due(later), "somebody is looking");
        assert!(is_due(later + 2 * TRUSTED_FOR));
    }
}
