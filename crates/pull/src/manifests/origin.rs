//! The upstream's answer for a name: one question for all clients that ask at the same time, and
//! its traces in the cache. Of an offline upstream, what is stored is its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::{RepoKey, TagEntry};
use manifest_model::{Digest, Manifest, Reference, Tag};
use moka::sync::Cache;
use protocol::error_chain::ErrorChain;
use tracing::warn;
use upstream::{FetchError, Resource, Urgency};

use super::{Manifests, copies::Copies};
use crate::{
    Outcome, PullError, Repository,
    answer::{ManifestAnswer, ManifestResult},
    attached::Question,
    repository::MAX_ABSENCE_TTL,
};

/// What the names may weigh that are remembered as absent: clients choose them.
const MAX_ABSENCES: u64 = 8 * 1024 * 1024;

/// What a name weighs beside its text.
const ABSENCE_WEIGHT: usize = 256;

impl Manifests {
    /// The upstream's manifest of `tag` now; the tag is moved to it.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        repository: &Repository,
        tag: &Tag,
        known: Option<(TagEntry, Urgency)>,
    ) -> ManifestResult {
        if repository.upstream.is_offline() {
            return self.held(repository, tag).await;
        }
        let (reference, tag) = (Reference::Tag(tag.clone()), tag.clone());
        let (is_known, asked) = (known.is_some(), reference.clone());
        let work = move |manifests: Arc<Self>, repository: Repository| async move {
            if let Some((entry, urgency)) = known {
                let current = manifests.revalidate(&repository, &tag, &entry, urgency);
                return current.await;
            }
            let reference = Reference::Tag(tag.clone());
            let current = manifests.download(&repository, &reference, Some(&tag));
            current.await
        };
        let answer = self.share(repository, reference, work).await;
        match (answer, Copies::of(self, repository)) {
            // What is known here is newer than any copy.
            (Err(problem), Some(copies)) if problem.is_trouble() && !is_known => {
                copies.get(&asked, problem).await
            }
            (answer, _) => answer,
        }
    }

    /// Has the next question for a tag asked, whatever its upstream said a moment ago, or did not say
    /// in time.
    pub(crate) fn forget_outcome(&self, repository: &Repository, tag: &Tag) {
        let key = (repository.key.clone(), Reference::Tag(tag.clone()));
        self.absences.forget(&key);
        self.failures.forget(&key);
    }

    /// The upstream's manifest of a name. No tag is moved to it.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        repository: &Repository,
        reference: Reference,
    ) -> ManifestResult {
        if repository.upstream.is_offline() {
            return match &reference {
                Reference::Tag(tag) => self.held(repository, tag).await,
                Reference::Digest(_) => Err(repository.not_here(Resource::Manifest)),
            };
        }
        let asked = reference.clone();
        let work = move |manifests: Arc<Self>, repository: Repository| async move {
            manifests.download(&repository, &reference, None).await
        };
        let answer = self.share(repository, asked.clone(), work).await;
        match (answer, Copies::of(self, repository)) {
            (Err(problem), Some(copies)) if problem.is_trouble() => {
                copies.get(&asked, problem).await
            }
            (answer, _) => answer,
        }
    }

    /// A HEAD first: it is cheap, and enough where nothing has changed. Where it gives no digest, a
    /// conditional GET names the known one.
    async fn revalidate(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: &TagEntry,
        urgency: Urgency,
    ) -> ManifestResult {
        let (upstream, name) = (&repository.upstream, &repository.name);
        let deadline = repository.deadline();
        let by_tag = Reference::Tag(tag.clone());
        let current = match upstream.tag_digest(name, tag, urgency, deadline).await {
            Ok(digest) => digest,
            // Some registries answer HEAD otherwise than GET, and a HEAD carries no error code: only
            // a GET forgets a tag.
            Err(problem) if problem.leaves_open_what_a_get_says() => None,
            Err(problem) => return Err(self.note_failure(repository, &by_tag, problem).await),
        };
        let changed = match current {
            Some(current) if current == entry.digest => None,
            Some(_) => Some(upstream.manifest(name, &by_tag, deadline).await),
            None => {
                let unless = upstream
                    .manifest_unless(name, tag, &entry.digest, deadline)
                    .await;
                unless.transpose()
            }
        };
        match changed {
            Some(Ok(manifest)) => Ok(self.fetched(repository, manifest, Some(tag)).await),
            Some(Err(problem)) => Err(self.note_failure(repository, &by_tag, problem).await),
            None => {
                let confirmed = self.cache.confirm_tag(&repository.key, tag, &entry.digest);
                if let Err(trouble) = confirmed.await {
                    warn!(error = %ErrorChain(&trouble), %tag, "an unchanged tag could not be recorded; it will be confirmed again");
                }
                if let Some(tier) = &self.nearby.tier {
                    tier.confirmed_tag(&repository.key, tag, &entry.digest);
                }
                self.get_in_flight(repository, &entry.digest, tag).await
            }
        }
    }

    /// Like [`Self::get`], from within a flight: a manifest that was evicted is downloaded here,
    /// not in a flight of its own.
    async fn get_in_flight(
        &self,
        repository: &Repository,
        digest: &Digest,
        tag: &Tag,
    ) -> ManifestResult {
        if let Some(hit) = self.hit(repository, digest).await {
            return Ok(hit);
        }
        self.download(repository, &Reference::Digest(*digest), Some(tag))
            .await
    }

    async fn download(
        &self,
        repository: &Repository,
        reference: &Reference,
        tag: Option<&Tag>,
    ) -> ManifestResult {
        let (upstream, name) = (&repository.upstream, &repository.name);
        match upstream
            .manifest(name, reference, repository.deadline())
            .await
        {
            Ok(manifest) => Ok(self.fetched(repository, manifest, tag).await),
            Err(problem) => Err(self.note_failure(repository, reference, problem).await),
        }
    }

    async fn fetched(
        &self,
        repository: &Repository,
        manifest: Manifest,
        tag: Option<&Tag>,
    ) -> ManifestAnswer {
        self.store(repository, &manifest, tag).await;
        ManifestAnswer::new(manifest, Outcome::Miss)
    }

    /// Remembers an absence, and forgets the tag that is absent.
    async fn note_failure(
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
            self.absences.put(key, *what, repository.absent_for());
            if let Reference::Tag(tag) = reference
                && let Some(question) = Question::of_tag(tag)
            {
                question.keep(&self.cache, repository, None).await;
            }
            if let Reference::Tag(tag) = reference
                && repository.rule(tag).is_none()
                && !config.serve_deleted_tags
                && let Err(trouble) = self.cache.remove_tag(&repository.key, tag).await
            {
                return trouble.into();
            }
        }
        problem.into()
    }
}

/// Names the upstream lacks, for as long as that may be repeated without asking.
#[derive(Debug)]
pub(super) struct Absences(Cache<(RepoKey, Reference), (Resource, Instant)>);

impl Absences {
    pub(super) fn new() -> Self {
        let weigh = |key: &(RepoKey, Reference), _: &(Resource, Instant)| {
            let name = match &key.1 {
                Reference::Tag(tag) => tag.as_str().len(),
                Reference::Digest(_) => 0,
            };
            let weight = ABSENCE_WEIGHT + key.0.as_str().len() + name;
            u32::try_from(weight).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .max_capacity(MAX_ABSENCES)
                .weigher(weigh)
                .time_to_live(MAX_ABSENCE_TTL)
                .build(),
        )
    }

    pub(super) fn get(&self, key: &(RepoKey, Reference)) -> Option<Resource> {
        let (what, until) = self.0.get(key)?;
        (Instant::now() < until).then_some(what)
    }

    fn forget(&self, key: &(RepoKey, Reference)) {
        self.0.invalidate(key);
    }

    pub(super) fn put(&self, key: (RepoKey, Reference), what: Resource, ttl: Duration) {
        if !ttl.is_zero() {
            self.0.insert(key, (what, Instant::now() + ttl));
        }
    }
}
