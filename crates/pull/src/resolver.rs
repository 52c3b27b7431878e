//! Which manifest goes out: for a tag within its freshness, by asking, or stale when asking fails;
//! for an index the whole of it, or the child for the client's platform.
//!
//! A tag is fresh for its time to live. Then one question confirms it for all clients that ask
//! meanwhile. If the upstream fails or is slow, the tag goes out as last seen, marked stale, for as
//! long as `stale_if_error` allows; a question under way continues. The upstream's "not found" is
//! no failure: it goes out, unless `serve_deleted_tags` is set. A tag of an offline upstream has no
//! age.
//!
//! Owns no state but its parts. Refuses headers and status codes: the routes write those from
//! [`Served`].

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::{Cache, TagEntry};
use config::UpstreamConfig;
use manifest_model::{Digest, Manifest, Reference, Tag};
use protocol::error_chain::ErrorChain;
use tracing::{debug, info};
use upstream::{FetchError, Urgency};

use crate::{
    Outcome, PullError, Repository, Substitution,
    answer::{Client, ManifestAnswer, ManifestResult, Served},
    attached::Question,
    authority::Authority,
    freshness::{Freshness, freshness, time_left},
    manifests::Manifests,
    metrics::{PullMetrics, StaleReason},
    platforms::{Platforms, for_client, substitution_for},
    rules::{self, Rules},
    stale_spells::StaleSpells,
};

/// How long a stale tag may take to be confirmed before clients get it as last seen: the one that
/// asked first, and at once those that come later. The confirmation goes on.
pub(super) const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(3);

/// The decisions above manifests, rules and platforms.
#[derive(Debug)]
pub(super) struct Resolver {
    cache: Cache,
    authority: Authority,
    manifests: Arc<Manifests>,
    platforms: Arc<Platforms>,
    rules: Arc<Rules>,
    spells: StaleSpells,
    metrics: PullMetrics,
}

impl Resolver {
    pub(super) fn new(
        cache: Cache,
        authority: Authority,
        manifests: Arc<Manifests>,
        platforms: Arc<Platforms>,
        rules: Arc<Rules>,
        metrics: PullMetrics,
    ) -> Self {
        Self {
            cache,
            authority,
            manifests,
            platforms,
            rules,
            spells: StaleSpells::default(),
            metrics,
        }
    }

    /// The manifest that goes out to `client` for `reference`. An error here means that nothing was
    /// found; one inside [`Served`] that the index found has no child for the client.
    pub(super) async fn answer(
        &self,
        repository: &Repository,
        reference: &Reference,
        client: &Client<'_>,
    ) -> Result<Served, PullError> {
        let tag_writes = matches!(reference, Reference::Tag(_)).then(|| self.cache.tag_writes());
        let found = self.resolve(repository, reference).await?;
        let mode = repository.upstream.config().resolve_of(&repository.name);
        let substitution = substitution_for(mode, repository, reference, &found.manifest, client);
        let child = match &substitution {
            None => Ok(None),
            Some(Substitution { platform, .. }) => {
                let child = self.platforms.child(repository, &found.manifest, platform);
                for_client(child.await, platform, client)
            }
        };
        let holds_for = if found.outcome == Outcome::Hit {
            self.holds_for(repository, reference)
        } else {
            Duration::ZERO
        };
        Ok(Served {
            found,
            mode,
            substitution,
            child,
            holds_for,
            tag_writes,
        })
    }

    fn holds_for(&self, repository: &Repository, reference: &Reference) -> Duration {
        match reference {
            Reference::Digest(_) => Duration::MAX,
            // Until a tag is written here.
            Reference::Tag(_) if repository.upstream.is_offline() => Duration::MAX,
            Reference::Tag(tag) => {
                let entry = self.cache.tag(&repository.key, tag);
                let left = entry.map_or(Duration::ZERO, |entry| {
                    time_left(&entry, tag, repository.upstream.config(), SystemTime::now())
                });
                left.min(self.authority.holds_for())
            }
        }
    }

    async fn resolve(&self, repository: &Repository, reference: &Reference) -> ManifestResult {
        let tag = match reference {
            Reference::Digest(digest) => return self.manifests.get(repository, digest).await,
            Reference::Tag(tag) => tag,
        };
        if repository.upstream.is_offline() {
            return self.held(repository, tag).await;
        }
        if self.authority.is_elsewhere_perhaps()
            && let Some(answer) = Box::pin(self.authority.answer(repository, tag)).await
        {
            return answer;
        }
        let Some(entry) = self.cache.tag(&repository.key, tag) else {
            return self.current_or_absent(repository, tag).await;
        };
        match self.freshness(repository, tag, &entry).await? {
            Freshness::Fresh => match self.manifests.get(repository, &entry.digest).await {
                // Evicted here and deleted upstream: only the old image is gone, not the tag.
                Err(problem) if problem.is_absent() => {
                    self.rules.current(repository, tag, None).await
                }
                answer => answer,
            },
            Freshness::Stale(age) => self.confirmed_or_stale(repository, tag, entry, age).await,
            Freshness::Expired(age) => {
                let known = Some((entry, Urgency::Pull));
                match self.rules.current(repository, tag, known).await {
                    Err(problem)
                        if repository.upstream.config().serve_deleted_tags && problem.is_gone() =>
                    {
                        self.stale(repository, &entry, age, StaleReason::Gone).await
                    }
                    // What is attached to an image is there as long as the image.
                    Err(problem) if problem.is_trouble() && Question::of_tag(tag).is_some() => {
                        self.stale(repository, &entry, age, StaleReason::Failed)
                            .await
                    }
                    Err(problem) if problem.is_trouble() => {
                        Err(self.too_stale(repository, tag, &entry, age, problem).await)
                    }
                    answer => answer,
                }
            }
        }
    }

    /// A tag of an offline upstream: as stored, for ever. A rule is applied to the stored tags, but
    /// where the upstream's own answer goes first, and that is stored, or the rule has no result.
    async fn held(&self, repository: &Repository, tag: &Tag) -> ManifestResult {
        let stored = self.manifests.held(repository, tag).await;
        if rules::yields_to(repository, tag, stored.as_ref().ok()) {
            return stored;
        }
        let made = self.rules.made_of_stored(repository, tag).await;
        made.or_else(|problem| stored.map_err(|_| problem))
    }

    /// A tag that was never seen as it is now. While the upstream cannot be asked, the last it said
    /// of a tag of referrers holds: that there is none.
    async fn current_or_absent(&self, repository: &Repository, tag: &Tag) -> ManifestResult {
        let asked_for = self.rules.asked_for(repository, tag);
        let current = self.rules.current(repository, tag, None);
        let kept = Question::of_tag(tag).and_then(|question| {
            let age = question.absent_for(&self.cache, repository)?;
            Some(question.was_absent(repository, age))
        });
        let Some(was_absent) = kept else {
            return current.await;
        };
        match tokio::time::timeout(rest_of_confirmation(asked_for), current).await {
            Ok(Err(problem)) if problem.is_trouble() => Err(was_absent),
            Ok(answer) => answer,
            Err(_) => Err(was_absent),
        }
    }

    async fn freshness(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: &TagEntry,
    ) -> Result<Freshness, PullError> {
        let is_immutable = repository.is_immutable(tag)
            && self
                .rules
                .leaves_immutable(repository, tag, &entry.digest)
                .await?;
        let (config, now) = (repository.upstream.config(), SystemTime::now());
        Ok(freshness(entry, tag, is_immutable, config, now))
    }

    /// The tag as it is now, if the answer comes within [`CONFIRMATION_TIMEOUT`]; else as last
    /// seen.
    async fn confirmed_or_stale(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: TagEntry,
        age: Duration,
    ) -> ManifestResult {
        let config = repository.upstream.config();
        let known = Some((entry, Urgency::Confirmation));
        let asked_for = self.rules.asked_for(repository, tag);
        let current = self.rules.current(repository, tag, known);
        match tokio::time::timeout(rest_of_confirmation(asked_for), current).await {
            Ok(Ok(answer)) => {
                self.spells.confirmed(repository.upstream.host());
                Ok(answer)
            }
            Ok(Err(problem)) if !allows_stale(&problem, config) => Err(problem),
            Ok(Err(problem)) => {
                self.spells.served(repository.upstream.host(), &problem);
                debug!(error = %ErrorChain(&problem), repository = %repository.key, %tag, age = age.as_secs(), "serving a tag stale");
                let reason = if problem.is_trouble() {
                    StaleReason::Failed
                } else {
                    StaleReason::Gone
                };
                self.stale(repository, &entry, age, reason).await
            }
            Err(_) => {
                // Once for each confirmation, by the client that waited for all of it.
                if asked_for.is_none() {
                    info!(repository = %repository.key, %tag, age = age.as_secs(), "confirming a tag takes long; serving it stale meanwhile");
                }
                self.stale(repository, &entry, age, StaleReason::Slow).await
            }
        }
    }

    async fn stale(
        &self,
        repository: &Repository,
        entry: &TagEntry,
        age: Duration,
        reason: StaleReason,
    ) -> ManifestResult {
        let pattern = &repository.upstream.config().pattern;
        self.metrics.stale(pattern, reason, age);
        let answer = self.manifests.get(repository, &entry.digest).await?;
        Ok(ManifestAnswer {
            manifest: answer.manifest,
            outcome: Outcome::Stale,
            age: Some(age),
        })
    }

    /// The error for a tag that is too old to go out unconfirmed: it says so where the image is here,
    /// which nobody could tell from the upstream's trouble alone.
    async fn too_stale(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: &TagEntry,
        age: Duration,
        problem: PullError,
    ) -> PullError {
        let stored = self.manifests.stored(repository, &entry.digest).await;
        if !matches!(stored, Ok(Some(_))) {
            return problem;
        }
        PullError::TooStale {
            name: format!("{}:{tag}", repository.key),
            digest: entry.digest,
            age,
            allowed: repository.upstream.config().stale_if_error,
            source: Box::new(problem),
        }
    }

    /// Asks for a known tag again if it is due. The manifest is there if the tag has moved. Trouble
    /// is an error, where a client would get the tag as last seen.
    pub(super) async fn renew(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<Manifest>, PullError> {
        let known = self.cache.tag(&repository.key, tag);
        let Some(known) = known.filter(|_| !repository.upstream.is_offline()) else {
            return Ok(None);
        };
        if self.freshness(repository, tag, &known).await? == Freshness::Fresh {
            return Ok(None);
        }
        let asked_as = Some((known, Urgency::Confirmation));
        let current = self.rules.current(repository, tag, asked_as).await?;
        if current.manifest.digest() == known.digest {
            return Ok(None);
        }
        debug!(repository = %repository.key, %tag, "a tag has moved");
        Ok(Some(current.manifest))
    }

    /// Asks for a tag whatever is known of it, and moves it. The digest is where it pointed before.
    pub(super) async fn refresh(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<(Option<Digest>, Manifest), PullError> {
        if repository.upstream.is_offline() {
            let upstream = repository.upstream.host().clone();
            return Err(FetchError::Offline { upstream }.into());
        }
        let known = self.cache.tag(&repository.key, tag);
        self.manifests.forget_outcome(repository, tag);
        let asked_as = known.map(|entry| (entry, Urgency::Pull));
        let current = self.rules.current(repository, tag, asked_as).await?;
        Ok((known.map(|entry| entry.digest), current.manifest))
    }
}

/// How much longer what is known waits for a question that has been under way for `asked_for`.
/// Counted from its start: who comes later does not wait again.
pub(super) fn rest_of_confirmation(asked_for: Option<Duration>) -> Duration {
    CONFIRMATION_TIMEOUT.saturating_sub(asked_for.unwrap_or_default())
}

/// Whether the tag as last seen beats reporting `problem`.
fn allows_stale(problem: &PullError, config: &UpstreamConfig) -> bool {
    problem.is_trouble() || config.serve_deleted_tags && problem.is_gone()
}
