//! Manifests in memory, so that a hot one costs no disk and no parsing, and names known to be absent.
//!
//! The file is the truth: a manifest whose file has gone is to be stored again, or a restart would
//! not know it. Nothing here outlives a restart.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cache::RepoKey;
use manifest_model::{Digest, Manifest, Reference};
use moka::sync::Cache;
use upstream::Absent;

/// Bytes of manifests kept. A manifest is a few KiB; a large cluster pulls thousands in a day.
const MAX_MANIFEST_BYTES: u64 = 32 * 1024 * 1024;

/// The cost of an entry beside its bytes: the parsed view and the map.
const ENTRY_OVERHEAD: u32 = 1024;

/// How long a manifest counts as being on disk without a look, as an open file does.
const TRUSTED_FOR: Duration = Duration::from_secs(10);

/// Names remembered as absent at the same time.
const MAX_ABSENCES: u64 = 100_000;

/// No absence is remembered for longer, whatever the config says.
const MAX_ABSENCE_TTL: Duration = Duration::from_hours(1);

/// Parsed manifests by digest, up to a number of bytes.
#[derive(Debug)]
pub(super) struct ManifestMemory(Cache<Digest, Arc<RememberedManifest>>);

#[derive(Debug)]
struct RememberedManifest {
    manifest: Manifest,
    /// When somebody last looked for its file.
    checked: Mutex<Instant>,
}

/// A manifest from memory.
#[derive(Debug)]
pub(super) enum Remembered {
    /// Its file was there a moment ago.
    Trusted(Manifest),
    /// The caller looks whether the file is still there; no other caller is asked to for a while.
    Due(Manifest),
}

impl ManifestMemory {
    pub(super) fn new() -> Self {
        let weigh = |_: &Digest, remembered: &Arc<RememberedManifest>| {
            u32::try_from(remembered.manifest.bytes().len())
                .unwrap_or(u32::MAX)
                .saturating_mul(2)
                .saturating_add(ENTRY_OVERHEAD)
        };
        Self(
            Cache::builder()
                .max_capacity(MAX_MANIFEST_BYTES)
                .weigher(weigh)
                .build(),
        )
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Remembered> {
        self.get_at(digest, Instant::now())
    }

    fn get_at(&self, digest: &Digest, now: Instant) -> Option<Remembered> {
        let remembered = self.0.get(digest)?;
        let manifest = remembered.manifest.clone();
        let checked = remembered.checked.lock();
        let mut checked = checked.unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(*checked) <= TRUSTED_FOR {
            return Some(Remembered::Trusted(manifest));
        }
        *checked = now;
        Some(Remembered::Due(manifest))
    }

    /// The first manifest of a digest stays: the same bytes may have come with another type.
    pub(super) fn put(&self, manifest: &Manifest) {
        let remembered = || {
            Arc::new(RememberedManifest {
                manifest: manifest.clone(),
                checked: Mutex::new(Instant::now()),
            })
        };
        self.0.entry(manifest.digest()).or_insert_with(remembered);
    }
}

/// Names the upstream lacks, for as long as that may be repeated without asking.
#[derive(Debug)]
pub(super) struct Absences(Cache<(RepoKey, Reference), (Absent, Instant)>);

impl Absences {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MAX_ABSENCES)
                .time_to_live(MAX_ABSENCE_TTL)
                .build(),
        )
    }

    pub(super) fn get(&self, key: &(RepoKey, Reference)) -> Option<Absent> {
        let (what, until) = self.0.get(key)?;
        (Instant::now() < until).then_some(what)
    }

    pub(super) fn put(&self, key: (RepoKey, Reference), what: Absent, ttl: Duration) {
        if !ttl.is_zero() {
            let until = Instant::now() + ttl.min(MAX_ABSENCE_TTL);
            self.0.insert(key, (what, until));
        }
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
        let memory = ManifestMemory::new();
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
