//! Manifests: by digest from what is stored; by tag, within the tag's freshness, by asking, or stale when asking fails.

use std::time::{Duration, SystemTime};

use cache::{RepoKey, TagEntry};
use config::UpstreamConfig;
use manifest_model::{Digest, Manifest, Reference, Tag};
use protocol::error_chain::ErrorChain;
use tracing::{error, info, warn};
use upstream::{Cause, FetchError, Urgency};

use super::{
    Outcome, Pull, PullError, Repository,
    flight::Flights,
    freshness::{TagState, tag_state, time_left},
    memory::Remembered,
    rules::is_absent,
};

/// How long a client waits for a tag to be confirmed before it gets what is there. The confirmation goes on.
const PATIENCE: Duration = Duration::from_secs(3);

/// A manifest and how it was had.
#[derive(Clone, Debug)]
pub struct ManifestAnswer {
    /// The manifest.
    pub manifest: Manifest,
    /// From where.
    pub outcome: Outcome,
    /// How long ago the upstream last confirmed the tag, where that could not be done now.
    pub age: Option<Duration>,
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

impl Pull {
    /// The manifest `reference` means in `repository`.
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<ManifestAnswer, PullError> {
        match reference {
            Reference::Digest(digest) => self.by_digest(repository, digest).await,
            Reference::Tag(tag) => self.by_tag(repository, tag).await,
        }
    }

    /// How long a stored answer for `reference` holds without asking anybody: a digest for good, a tag for what is left of its
    /// time.
    pub fn holds_for(&self, repository: &Repository, reference: &Reference) -> Duration {
        match reference {
            Reference::Digest(_) => Duration::MAX,
            Reference::Tag(tag) => {
                let entry = self.inner.cache.tag(&repository.key, tag);
                entry.map_or(Duration::ZERO, |entry| {
                    time_left(&entry, tag, repository.upstream.config(), SystemTime::now())
                })
            }
        }
    }

    /// A digest never changes: what is stored and linked needs no upstream.
    pub(super) async fn by_digest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<ManifestAnswer, PullError> {
        if let Some(hit) = self.hit(repository, digest).await {
            return Ok(hit);
        }
        let reference = Reference::Digest(*digest);
        let repository = &*self.lender(repository, digest);
        self.fly(
            repository,
            reference.clone(),
            move |pull, repository| async move { pull.fetch(&repository, &reference, None).await },
        )
        .await
    }

    async fn hit(&self, repository: &Repository, digest: &Digest) -> Option<ManifestAnswer> {
        let stored = self.stored_manifest(repository, digest).await;
        let stored = stored.unwrap_or_else(|trouble| {
            error!(error = %ErrorChain(&trouble), %digest, "a stored manifest cannot be read; asking upstream");
            None
        });
        stored.map(|manifest| ManifestAnswer::new(manifest, Outcome::Hit))
    }

    async fn by_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<ManifestAnswer, PullError> {
        let config = repository.upstream.config();
        let known = self.inner.cache.tag(&repository.key, tag);
        let Some(entry) = known else {
            return self.ask(repository, tag, None).await;
        };
        let is_immutable = self.is_immutable(repository, tag, &entry.digest).await?;
        match tag_state(&entry, tag, is_immutable, config, SystemTime::now()) {
            TagState::Fresh => match self.by_digest(repository, &entry.digest).await {
                // It is not stored any more, and no upstream has it: what the tag was is gone, not the tag.
                Err(problem) if is_absent(&problem) => self.ask(repository, tag, None).await,
                answer => answer,
            },
            TagState::Stale(age) => self.confirm_or_stale(repository, tag, entry, age).await,
            TagState::TooOld(age) => {
                let known = Some((entry, Urgency::Pull));
                match self.ask(repository, tag, known).await {
                    Err(problem) if config.serve_deleted_tags && is_gone(&problem) => {
                        self.stale(repository, &entry, age).await
                    }
                    answer => answer,
                }
            }
        }
    }

    /// What the tag is now, if that is known soon; else what it was.
    async fn confirm_or_stale(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: TagEntry,
        age: Duration,
    ) -> Result<ManifestAnswer, PullError> {
        let config = repository.upstream.config();
        let known = Some((entry, Urgency::Confirmation));
        match tokio::time::timeout(PATIENCE, self.ask(repository, tag, known)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(problem)) if !allows_stale(&problem, config) => Err(problem),
            Ok(Err(problem)) => {
                info!(error = %ErrorChain(&problem), repository = %repository.key, %tag, age = age.as_secs(), "serving a tag stale");
                self.stale(repository, &entry, age).await
            }
            Err(_) => self.stale(repository, &entry, age).await,
        }
    }

    async fn stale(
        &self,
        repository: &Repository,
        entry: &TagEntry,
        age: Duration,
    ) -> Result<ManifestAnswer, PullError> {
        let answer = self.by_digest(repository, &entry.digest).await?;
        Ok(ManifestAnswer {
            manifest: answer.manifest,
            outcome: Outcome::Stale,
            age: Some(age),
        })
    }

    /// Asks the upstream what `tag` is now; one question for all who want to know.
    pub(super) async fn confirm(
        &self,
        repository: &Repository,
        tag: &Tag,
        known: Option<(TagEntry, Urgency)>,
    ) -> Result<ManifestAnswer, PullError> {
        let asked = tag.clone();
        self.fly(
            repository,
            Reference::Tag(tag.clone()),
            move |pull, repository| async move {
                match known {
                    Some((entry, urgency)) => {
                        pull.revalidate(&repository, &asked, &entry, urgency).await
                    }
                    None => {
                        pull.fetch(&repository, &Reference::Tag(asked.clone()), Some(&asked))
                            .await
                    }
                }
            },
        )
        .await
    }

    /// A HEAD first: it is cheap, and where nothing has changed it is all. Where it says nothing, a GET that says the digest known.
    async fn revalidate(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: &TagEntry,
        urgency: Urgency,
    ) -> Result<ManifestAnswer, PullError> {
        let (upstream, name) = (&repository.upstream, &repository.name);
        let by_tag = Reference::Tag(tag.clone());
        let current = match upstream.tag_digest(name, tag, urgency).await {
            Ok(digest) => digest,
            // Some registries answer HEAD otherwise than GET, and none says in a HEAD what it means.
            Err(
                FetchError::Refused { .. }
                | FetchError::Broken {
                    source: Cause::Status(404),
                    ..
                },
            ) => None,
            Err(problem) => return Err(self.note(repository, &by_tag, problem).await),
        };
        let changed = match current {
            Some(current) if current == entry.digest => None,
            Some(_) => Some(upstream.manifest(name, &by_tag).await),
            None => {
                let unless = upstream.manifest_unless(name, tag, &entry.digest).await;
                unless.transpose()
            }
        };
        match changed {
            Some(Ok(manifest)) => Ok(self.fetched(repository, manifest, Some(tag)).await),
            Some(Err(problem)) => Err(self.note(repository, &by_tag, problem).await),
            None => {
                let cache = &self.inner.cache;
                let confirmed = cache.confirm_tag(&repository.key, tag, &entry.digest);
                if let Err(trouble) = confirmed.await {
                    warn!(error = %ErrorChain(&trouble), %tag, "that a tag is unchanged cannot be noted; it will be asked again");
                }
                self.by_digest_now(repository, &entry.digest, tag).await
            }
        }
    }

    /// Like [`Self::by_digest`], from within a flight: the manifest may have been evicted, then it is fetched here and now.
    async fn by_digest_now(
        &self,
        repository: &Repository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<ManifestAnswer, PullError> {
        if let Some(hit) = self.hit(repository, digest).await {
            return Ok(hit);
        }
        self.fetch(repository, &Reference::Digest(*digest), Some(tag))
            .await
    }

    pub(super) async fn fetch(
        &self,
        repository: &Repository,
        reference: &Reference,
        tag: Option<&Tag>,
    ) -> Result<ManifestAnswer, PullError> {
        let fetched = repository
            .upstream
            .manifest(&repository.name, reference)
            .await;
        match fetched {
            Ok(manifest) => Ok(self.fetched(repository, manifest, tag).await),
            Err(problem) => Err(self.note(repository, reference, problem).await),
        }
    }

    /// The answer that a manifest which was fetched and is stored now makes. If it cannot be kept, the client has it all the same.
    async fn fetched(
        &self,
        repository: &Repository,
        manifest: Manifest,
        tag: Option<&Tag>,
    ) -> ManifestAnswer {
        self.store(repository, &manifest, tag).await;
        ManifestAnswer::new(manifest, Outcome::Miss)
    }

    /// Remembers what a failed question tells about the next ones.
    async fn note(
        &self,
        repository: &Repository,
        reference: &Reference,
        problem: FetchError,
    ) -> PullError {
        if let FetchError::NotFound {
            what,
            from_fallback: false,
            ..
        } = &problem
        {
            let config = repository.upstream.config();
            let key = (repository.key.clone(), reference.clone());
            let freshness = &self.inner.freshness;
            freshness.note_absent(key, *what, config.not_found_ttl);
            if let Reference::Tag(tag) = reference
                && !Self::is_ruled(repository, tag)
                && !config.serve_deleted_tags
                && let Err(trouble) = self.inner.cache.remove_tag(&repository.key, tag).await
            {
                return trouble.into();
            }
        }
        problem.into()
    }

    pub(super) async fn stored_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Manifest>, PullError> {
        if !self.inner.cache.is_linked(&repository.key, digest) {
            return Ok(None);
        }
        match self.inner.manifests.get(digest) {
            Some(Remembered::Trusted(manifest)) => return Ok(Some(manifest)),
            Some(Remembered::Due(manifest)) => {
                // Evicted, or taken out by `archway cache verify --repair`. Where it cannot be stored, memory has it all the same.
                // A disk in trouble is no reason to withhold what memory has.
                if let Ok(None) = self.inner.cache.peek_size(digest) {
                    self.store(repository, &manifest, None).await;
                }
                return Ok(Some(manifest));
            }
            None => {}
        }
        let stored = self.inner.cache.manifest(digest).await?;
        if let Some(manifest) = &stored {
            self.inner.manifests.put(manifest);
        }
        Ok(stored)
    }

    /// Runs `work` unless the same name is being asked for already or is known to be absent.
    pub(super) async fn fly<F>(
        &self,
        repository: &Repository,
        reference: Reference,
        work: impl FnOnce(Self, Repository) -> F,
    ) -> Result<ManifestAnswer, PullError>
    where
        F: Future<Output = Result<ManifestAnswer, PullError>> + Send + 'static,
    {
        let key = (repository.key.clone(), reference);
        if let Some(what) = self.inner.freshness.absent(&key) {
            return Err(FetchError::NotFound {
                upstream: repository.upstream.host().clone(),
                what,
                from_fallback: false,
            }
            .into());
        }
        self.join(&self.inner.fetches, repository, key.1, work)
            .await
    }

    /// Runs `work`, or waits for the flight of the same name that is under way.
    pub(super) async fn join<F>(
        &self,
        flights: &Flights<(RepoKey, Reference), Result<ManifestAnswer, PullError>>,
        repository: &Repository,
        reference: Reference,
        work: impl FnOnce(Self, Repository) -> F,
    ) -> Result<ManifestAnswer, PullError>
    where
        F: Future<Output = Result<ManifestAnswer, PullError>> + Send + 'static,
    {
        let key = (repository.key.clone(), reference);
        let stop = self.inner.stop.clone();
        let work = || {
            let work = work(self.clone(), repository.clone());
            async move {
                stop.run_until_cancelled(work)
                    .await
                    .unwrap_or(Err(PullError::Interrupted))
            }
        };
        flights
            .join(key, &self.inner.tasks, work)
            .await
            .unwrap_or(Err(PullError::Interrupted))
    }
}

/// Whether what we have from before beats reporting `problem`.
fn allows_stale(problem: &PullError, config: &UpstreamConfig) -> bool {
    let is_trouble = problem.fetch_error().is_some_and(FetchError::allows_stale);
    is_trouble || config.serve_deleted_tags && is_gone(problem)
}

/// Whether the upstream said that there is no such tag any more, nor any name its rule looks at.
pub(super) fn is_gone(problem: &PullError) -> bool {
    is_absent(problem) || matches!(problem, PullError::NoSource { .. })
}
