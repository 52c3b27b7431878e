//! Manifests: those stored here, and the upstream's, fetched once for all clients that want the
//! same.
//!
//! Owns the parsed manifests in memory, so that a hot one costs no disk and no parsing, the names
//! known to be absent and the flights to the upstream. The file is the truth: a manifest whose file
//! has gone is stored again, or a restart would not know it.
//!
//! Refuses every choice: how long a tag holds, the rules of names and the platform are decided
//! above, in `rules` and `resolver`. One verb for each meaning, here and there:
//!
//! | verb | meaning |
//! |---|---|
//! | [`answer`](super::resolver::Resolver::answer) | the manifest that goes out to one client |
//! | `resolve` | the manifest a reference means now, from the cache where that is right |
//! | `renew` | a tag that is due, asked for again without a client |
//! | `current` | the manifest of a tag now: by its rule, else from the upstream |
//! | `confirm` | the upstream's manifest of a tag, compared with the known digest; moves the tag |
//! | `fetch` | the upstream's manifest of a name; moves no tag |
//! | `get` | the manifest of a digest: stored, else fetched |
//! | `stored` | the manifest of a digest, if it is stored and linked |
//! | `store` | keep a manifest, in memory and on disk |

mod origin;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::{Cache, RepoKey};
use manifest_model::{Digest, Manifest, Reference, Tag};
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use tracing::{error, warn};
use upstream::FetchError;

use self::origin::Absences;
use super::{
    Outcome, PullError, Repository,
    answer::{ManifestAnswer, ManifestResult},
    flights::Flights,
};
use crate::tasks::Tasks;

/// Bytes of manifests kept. A manifest is a few KiB; a large cluster pulls thousands in a day.
const MAX_MANIFEST_BYTES: u64 = 32 * 1024 * 1024;

/// The cost of an entry beside its bytes: the parsed view and the map.
const ENTRY_OVERHEAD: u32 = 1024;

/// How long a manifest counts as being on disk without a look, as an open file does.
const TRUSTED_FOR: Duration = Duration::from_secs(10);

/// Runs that bring a manifest, by its name.
pub(super) type ManifestFlights = Flights<(RepoKey, Reference), ManifestResult>;

/// The manifests known here, and the way to the upstream.
#[derive(Debug)]
pub(super) struct Manifests {
    cache: Cache,
    memory: ManifestMemory,
    absences: Absences,
    flights: ManifestFlights,
}

impl Manifests {
    pub(super) fn new(cache: Cache, tasks: Tasks) -> Self {
        Self {
            cache,
            memory: ManifestMemory::new(),
            absences: Absences::new(),
            flights: Flights::new(tasks),
        }
    }

    /// The manifest of a digest. A digest never changes: a manifest that is stored and linked needs
    /// no upstream.
    pub(super) async fn get(
        self: &Arc<Self>,
        repository: &Repository,
        digest: &Digest,
    ) -> ManifestResult {
        if let Some(hit) = self.hit(repository, digest).await {
            return Ok(hit);
        }
        let source = repository.source_of(&self.cache, digest);
        self.fetch(&source, Reference::Digest(*digest)).await
    }

    async fn hit(&self, repository: &Repository, digest: &Digest) -> Option<ManifestAnswer> {
        let stored = self.stored(repository, digest).await;
        let stored = stored.unwrap_or_else(|trouble| {
            error!(error = %ErrorChain(&trouble), %digest, "a stored manifest cannot be read; asking the upstream");
            None
        });
        stored.map(|manifest| ManifestAnswer::new(manifest, Outcome::Hit))
    }

    /// The manifest of a digest, if it is stored and the repository links it.
    pub(super) async fn stored(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Manifest>, PullError> {
        if !self.cache.is_linked(&repository.key, digest) {
            return Ok(None);
        }
        match self.memory.get(digest) {
            Some(Remembered::Trusted(manifest)) => return Ok(Some(manifest)),
            Some(Remembered::Due(manifest)) => {
                // The file may have been evicted, or removed by `archway cache verify --repair`.
                // A disk in trouble is no reason to withhold what memory has.
                if let Ok(None) = self.cache.peek_size(digest) {
                    self.store(repository, &manifest, None).await;
                }
                return Ok(Some(manifest));
            }
            None => {}
        }
        let stored = self.cache.manifest(digest).await?;
        if let Some(manifest) = &stored {
            self.memory.put(manifest);
        }
        Ok(stored)
    }

    /// Keeps a manifest, under `tag` too where there is one. A client has it even if the disk will
    /// not take it.
    pub(super) async fn store(
        &self,
        repository: &Repository,
        manifest: &Manifest,
        tag: Option<&Tag>,
    ) {
        let stored = self.cache.store_manifest(&repository.key, manifest, tag);
        if let Err(trouble) = stored.await {
            warn!(error = %ErrorChain(&trouble), digest = %manifest.digest(), "a manifest could not be stored");
        }
        self.memory.put(manifest);
    }

    /// Runs `work`, unless the name is known to be absent or is being asked for already.
    async fn share<F>(
        self: &Arc<Self>,
        repository: &Repository,
        reference: Reference,
        work: impl FnOnce(Arc<Self>, Repository) -> F,
    ) -> ManifestResult
    where
        F: Future<Output = ManifestResult> + Send + 'static,
    {
        let key = (repository.key.clone(), reference);
        if let Some(what) = self.absences.get(&key) {
            return Err(FetchError::NotFound {
                upstream: repository.upstream.host().clone(),
                what,
                from_fallback: false,
            }
            .into());
        }
        self.flights
            .join(key, || work(Arc::clone(self), repository.clone()))
            .await
            .unwrap_or(Err(PullError::Interrupted))
    }
}

/// Parsed manifests by digest, up to a number of bytes.
/// Nothing in it outlives a restart.
#[derive(Debug)]
struct ManifestMemory(moka::sync::Cache<Digest, Arc<RememberedManifest>>);

#[derive(Debug)]
struct RememberedManifest {
    manifest: Manifest,
    /// When its file was last looked for.
    checked: Mutex<Instant>,
}

/// A manifest from memory.
#[derive(Debug)]
enum Remembered {
    /// Its file was there a moment ago.
    Trusted(Manifest),
    /// The caller looks whether the file is still there; no other caller is asked to for a while.
    Due(Manifest),
}

impl ManifestMemory {
    fn new() -> Self {
        let weigh = |_: &Digest, remembered: &Arc<RememberedManifest>| {
            u32::try_from(remembered.manifest.bytes().len())
                .unwrap_or(u32::MAX)
                .saturating_mul(2)
                .saturating_add(ENTRY_OVERHEAD)
        };
        Self(
            moka::sync::Cache::builder()
                .max_capacity(MAX_MANIFEST_BYTES)
                .weigher(weigh)
                .build(),
        )
    }

    fn get(&self, digest: &Digest) -> Option<Remembered> {
        self.get_at(digest, Instant::now())
    }

    fn get_at(&self, digest: &Digest, now: Instant) -> Option<Remembered> {
        let remembered = self.0.get(digest)?;
        let manifest = remembered.manifest.clone();
        let mut checked = remembered.checked.lock();
        if now.saturating_duration_since(*checked) <= TRUSTED_FOR {
            return Some(Remembered::Trusted(manifest));
        }
        *checked = now;
        Some(Remembered::Due(manifest))
    }

    /// The first manifest of a digest stays: the same bytes may have come with another type.
    fn put(&self, manifest: &Manifest) {
        let remembered = || {
            Arc::new(RememberedManifest {
                manifest: manifest.clone(),
                checked: Mutex::new(Instant::now()),
            })
        };
        self.0.entry(manifest.digest()).or_insert_with(remembered);
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
