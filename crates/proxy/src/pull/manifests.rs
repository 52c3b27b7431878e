//! Manifests: those stored here, and the upstream's, asked once for all who want the same.
//!
//! Owns the parsed manifests in memory, the names known to be absent and the flights to the
//! upstream. Refuses every choice: how long a tag holds, the rules of names and the platform are
//! decided above, in `rules` and `resolver`. The verbs, here and there:
//!
//! | verb | meaning |
//! |---|---|
//! | [`answer`](super::Resolver::answer) | the manifest that goes out to one client |
//! | `resolve` | what a reference means now, from the cache where that is right |
//! | `renew` | a tag that is due, asked for again without a client |
//! | `current` | what a tag is now: by its rule, else at the upstream |
//! | `confirm` | what the upstream has under a tag, against what is known of it |
//! | `fetch` | what the upstream has under a name, whatever is known of it |
//! | `get` | the manifest of a digest: stored, else fetched |
//! | `stored` | the manifest of a digest, if it is stored and linked |
//! | `store` | keep a manifest, in memory and on disk |

mod memory;
mod origin;

use std::{sync::Arc, time::Duration};

use cache::{Cache, RepoKey};
use manifest_model::{Digest, Manifest, Reference, Tag};
use protocol::error_chain::ErrorChain;
use tracing::{error, warn};
use upstream::FetchError;

use self::memory::{Absences, ManifestMemory, Remembered};
use super::{Outcome, PullError, Repository, flights::Flights};
use crate::tasks::Tasks;

/// A manifest and where it came from.
#[derive(Clone, Debug)]
pub(super) struct ManifestAnswer {
    pub(super) manifest: Manifest,
    pub(super) outcome: Outcome,
    /// How long ago the upstream last confirmed the tag, where it could not do so now.
    pub(super) age: Option<Duration>,
}

impl ManifestAnswer {
    pub(super) fn new(manifest: Manifest, outcome: Outcome) -> Self {
        Self {
            manifest,
            outcome,
            age: None,
        }
    }
}

pub(super) type ManifestResult = Result<ManifestAnswer, PullError>;

/// Runs that bring a manifest, by its name.
pub(super) type ManifestFlights = Flights<(RepoKey, Reference), ManifestResult>;

/// What is known of manifests, and the way to the upstream.
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

    /// The manifest of a digest. A digest never changes: what is stored and linked needs no
    /// upstream.
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
            return Err(FetchError::Absent {
                upstream: repository.upstream.host().clone(),
                what,
                by_stand_in: false,
            }
            .into());
        }
        self.flights
            .join(key, || work(Arc::clone(self), repository.clone()))
            .await
            .unwrap_or(Err(PullError::Interrupted))
    }
}
