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
//! | [`answer`](crate::resolver::Resolver::answer) | the manifest that goes out to one client |
//! | `resolve` | the manifest a reference means now, from the cache where that is right |
//! | `renew` | a tag that is due, asked for again without a client |
//! | `current` | the manifest of a tag now: by its rule, else from the upstream |
//! | `confirm` | the upstream's manifest of a tag, compared with the known digest; moves the tag |
//! | `fetch` | the upstream's manifest of a name; moves no tag |
//! | `get` | the manifest of a digest: stored, else fetched |
//! | `stored` | the manifest of a digest, if it is stored and linked |
//! | `held` | of an offline upstream, the manifest of a tag as stored |
//! | `store` | keep a manifest, in memory and on disk |
//! | `brought` | the manifest of a digest by way of another replica |
//! | `forget` | drop what memory has, because files were removed |

mod copies;
mod origin;
mod peers;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::{Cache, RepoKey};
use manifest_model::{Digest, Manifest, Reference, Tag};
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use slots::Slots;
use tracing::{error, warn};
use upstream::{FetchError, Resource};

use self::origin::Absences;
use crate::{
    Outcome, PullError, Repository,
    announced::AnnouncedSizes,
    answer::{ManifestAnswer, ManifestResult},
    failures::Failures,
    flights::Flights,
    nearby::Nearby,
    tasks::Tasks,
};

/// Bytes of manifests kept. A manifest is a few KiB; a large cluster pulls thousands in a day.
const MAX_MANIFEST_BYTES: u64 = 32 * 1024 * 1024;

/// The cost of an entry beside its bytes: the parsed view and the map.
const ENTRY_OVERHEAD: u32 = 1024;

/// How long a manifest counts as being on disk without a look, as an open file does.
const TRUSTED_FOR: Duration = Duration::from_secs(10);

/// A name and the repository it is in.
type ManifestKey = (RepoKey, Reference);

/// Runs that bring a manifest, by its name.
pub(super) type ManifestFlights = Flights<ManifestKey, ManifestResult>;

/// The manifests known here, and the way to the upstream.
#[derive(Debug)]
pub(super) struct Manifests {
    cache: Cache,
    memory: ManifestMemory,
    announced: AnnouncedSizes,
    absences: Absences,
    failures: Failures<ManifestKey>,
    flights: ManifestFlights,
    nearby: Nearby,
    /// Runs that ask another replica first. They may wait for those of `flights`, and never the other
    /// way round: what a replica asks for joins those alone.
    peer_flights: ManifestFlights,
    /// The slots of calls upstream.
    calls: Slots,
}

impl Manifests {
    pub(super) fn new(
        cache: Cache,
        announced: AnnouncedSizes,
        calls: Slots,
        nearby: Nearby,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache,
            memory: ManifestMemory::new(),
            announced,
            absences: Absences::new(),
            failures: Failures::default(),
            flights: Flights::new(tasks.clone()),
            nearby,
            peer_flights: Flights::new(tasks),
            calls,
        }
    }

    /// The manifest of a digest. A digest never changes: a manifest that is stored and confirmed
    /// needs no upstream.
    pub(super) async fn get(
        self: &Arc<Self>,
        repository: &Repository,
        digest: &Digest,
    ) -> ManifestResult {
        if let Some(hit) = self.hit(repository, digest).await {
            return Ok(hit);
        }
        let source = repository.source_of(&self.cache, digest);
        let fetched = match self.nearby.authority(&source) {
            Some(peers) => self.brought(&source, digest, peers).await,
            None => self.fetch(&source, Reference::Digest(*digest)).await,
        };
        let fetched = match fetched {
            Err(problem) if problem.is_absent() => {
                let held = self.held_by_anyone(repository, digest).await;
                held.ok_or(problem)
            }
            fetched => fetched,
        };
        fetched.map_err(|error| match error {
            // Perhaps only the proof was missing that a stored manifest is there too.
            PullError::Fetch(fetch)
                if self.cache.is_linked(&repository.key, digest)
                    && matches!(self.cache.peek_size(digest), Ok(Some(_))) =>
            {
                PullError::unconfirmed(fetch)
            }
            error => error,
        })
    }

    async fn hit(&self, repository: &Repository, digest: &Digest) -> Option<ManifestAnswer> {
        let stored = self.stored(repository, digest).await;
        let stored = stored.unwrap_or_else(|trouble| {
            error!(error = %ErrorChain(&trouble), %digest, "a stored manifest cannot be read; treating it as not stored");
            None
        });
        stored.map(|manifest| ManifestAnswer::new(manifest, Outcome::Hit))
    }

    /// The manifest of a tag as stored, whatever its age.
    pub(super) async fn held(&self, repository: &Repository, tag: &Tag) -> ManifestResult {
        let absent = || repository.not_here(Resource::Manifest);
        let entry = self.cache.tag(&repository.key, tag).ok_or_else(absent)?;
        self.hit(repository, &entry.digest).await.ok_or_else(absent)
    }

    /// The manifest of a digest, if it is stored, and the repository's upstream has proved that it
    /// has it there.
    pub(super) async fn stored(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Manifest>, PullError> {
        if !self.cache.is_confirmed(&repository.key, digest) {
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
            self.announced.note(&repository.key, manifest);
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
        self.keep(repository, manifest, tag).await;
        if let Some(tier) = &self.nearby.tier {
            tier.stored_manifest(&repository.key, &manifest.digest(), tag);
        }
    }

    /// The same of what the tier has already.
    async fn keep(&self, repository: &Repository, manifest: &Manifest, tag: Option<&Tag>) {
        let stored = self.cache.store_manifest(&repository.key, manifest, tag);
        if let Err(trouble) = stored.await {
            warn!(error = %ErrorChain(&trouble), digest = %manifest.digest(), "a manifest could not be stored");
        }
        self.announced.note(&repository.key, manifest);
        self.memory.put(manifest);
    }

    /// Forgets what memory has: files were removed, and a manifest whose file was there a moment ago
    /// would go out without being stored again.
    pub(super) fn forget(&self) {
        self.memory.0.invalidate_all();
    }

    /// For how long the question for a tag has been under way; `None` while it is not.
    pub(super) fn asked_for(&self, repository: &Repository, tag: &Tag) -> Option<Duration> {
        let key = (repository.key.clone(), Reference::Tag(tag.clone()));
        self.flights.under_way(&key)
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
            return Err(repository.absent(what));
        }
        let failure = self.failures.of(&key);
        if let Some(failure) = failure.as_ref().filter(|failure| failure.is_fresh())
            && self.flights.under_way(&key).is_none()
        {
            return Err(failure.error());
        }
        let seat = Some(repository.seat(&self.calls));
        let deadline = repository.deadline();
        let work = || {
            let (manifests, key) = (Arc::clone(self), key.clone());
            let brought = work(Arc::clone(self), repository.clone());
            async move {
                let brought = brought.await;
                manifests.note_outcome(&key, &brought);
                brought
            }
        };
        let joined = self.flights.join(key.clone(), seat, deadline, work);
        let joined = match failure {
            Some(failure) => failure.bound(joined).await?,
            None => joined.await,
        };
        joined.unwrap_or_else(|missed| Err(repository.without_result(missed)))
    }

    /// Remembers what somebody has waited for in vain, until the upstream answers.
    fn note_outcome(&self, key: &ManifestKey, brought: &ManifestResult) {
        match brought {
            Err(error) if error.fetch_error().is_some_and(FetchError::is_stall) => {
                self.failures.note(key, error.clone());
            }
            Err(error) if error.is_trouble() => {}
            Ok(_) | Err(_) => self.failures.forget(key),
        }
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

    /// A manifest that is there stays, with the time of its last look.
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
