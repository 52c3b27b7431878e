//! A repository of an upstream, as a request means it.
//!
//! Owns its name, its key in the cache and its look-ups in the upstream's settings.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cache::{Cache, CacheError, RepoKey};
use config::{Rule, RuleAnswer};
use manifest_model::{Digest, RepoName, Tag};
use protocol::{
    error_chain::ErrorChain,
    official_name::{official_name, repository_key},
};
use slots::{Asker, Claim, Slots};
use tokio::time::Instant;
use tracing::warn;
use upstream::{BlobSource, Cause, Deadline, FetchError, Resource, Upstream};

use crate::{
    error::PullError,
    flights::{NoRun, Seat},
    freshness,
};

/// The longest time an absence is remembered, whatever the configuration allows.
pub(super) const MAX_ABSENCE_TTL: Duration = Duration::from_hours(1);

/// A repository and the upstream it is in, as one client asks for it. Cheap to clone; a clone is
/// for the same client.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) upstream: Arc<Upstream>,
    pub(super) name: RepoName,
    pub(super) key: RepoKey,
    /// Who it is asked for.
    pub(super) asker: Asker,
    /// The client's wait for its next byte. It begins with the first question to the upstream: a hit
    /// has none.
    deadline: OnceLock<Deadline>,
}

impl Repository {
    pub(super) fn new(upstream: Arc<Upstream>, name: &RepoName, asker: Asker) -> Self {
        let name = official_name(upstream.host(), name);
        let key = RepoKey::new(upstream.host().as_str(), &name);
        Self {
            upstream,
            name,
            key,
            asker,
            deadline: OnceLock::new(),
        }
    }

    /// The same repository, asked for somebody else.
    #[must_use]
    pub fn asked_for(&self, asker: Asker) -> Self {
        Self {
            asker,
            ..self.anew()
        }
    }

    /// The slot that a call for it needs, of `calls`. The wait for it takes half of the client's at
    /// most: the call needs the rest.
    pub(super) fn seat(&self, calls: &Slots) -> Seat {
        Seat {
            slots: calls.clone(),
            claim: self.claim(),
            wait: self.deadline().left() / 2,
        }
    }

    /// The error a client gets where a run for it has no result.
    pub(super) fn without_result(&self, missed: NoRun) -> PullError {
        match missed {
            NoRun::NoSlot => PullError::Busy,
            NoRun::Cut => PullError::Interrupted,
            NoRun::OutOfTime => PullError::from(FetchError::Unreachable {
                upstream: self.upstream.host().clone(),
                source: Cause::OutOfTime,
            }),
        }
    }

    /// The error for what the upstream has said that it does not have.
    pub(super) fn absent(&self, what: Resource) -> PullError {
        PullError::from(FetchError::NotFound {
            upstream: self.upstream.host().clone(),
            what,
            from_fallback: false,
        })
    }

    /// The error for what an offline upstream's store does not have.
    pub(super) fn not_here(&self, what: Resource) -> PullError {
        PullError::NotHere {
            upstream: self.upstream.host().clone(),
            what,
        }
    }

    /// What the calls for it are counted for.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            upstream: self.upstream.host().clone(),
            asker: self.asker,
        }
    }

    /// The same repository for another client, or for another question that no client waits for.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            deadline: OnceLock::new(),
            ..self.clone()
        }
    }

    /// The blob `digest` here, as the source of a download.
    pub(super) fn source(&self, digest: Digest) -> BlobSource {
        BlobSource::new(Arc::clone(&self.upstream), self.name.clone(), digest)
    }

    /// When the client's wait for the upstream ends: one wait, whatever is asked for it.
    pub(super) fn deadline(&self) -> &Deadline {
        self.deadline.get_or_init(|| self.upstream.deadline())
    }

    /// The same, for a client that has waited since then, where no wait of its has begun.
    pub(super) fn deadline_since(&self, since: Instant) -> &Deadline {
        let begins = || self.upstream.deadline().renewed(since);
        self.deadline.get_or_init(begins)
    }

    /// The client has a byte: its next wait is another one.
    pub(super) fn end_wait(&mut self) {
        self.deadline.take();
    }

    /// The upstream it is in.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// How long ago its upstream has said "not found", at most, where that is the answer.
    pub fn absent_for(&self) -> Duration {
        let ttl = self.upstream.config().not_found_ttl;
        ttl.min(MAX_ABSENCE_TTL)
    }

    /// Its name at the upstream.
    pub fn name(&self) -> &RepoName {
        &self.name
    }

    /// Its key in the cache.
    pub fn key(&self) -> &RepoKey {
        &self.key
    }

    /// Another repository of the same upstream.
    pub(super) fn sibling(&self, name: &RepoName) -> Self {
        let sibling = Self::new(Arc::clone(&self.upstream), name, self.asker);
        Self {
            deadline: OnceLock::from(self.deadline().clone()),
            ..sibling
        }
    }

    /// The rule that answers `tag`, if the upstream's settings have one. With a rule, the absence
    /// of the tag at the upstream is not the last word.
    pub(super) fn rule(&self, tag: &Tag) -> Option<&Rule> {
        self.upstream.config().rules.of(&self.name, tag)
    }

    /// The rule that answers `tag`, by its key in the configuration, and the names it looks at.
    pub fn explain_rule(&self, tag: &Tag) -> Option<(&'static str, Vec<String>)> {
        let rule = self.rule(tag)?;
        let key = match rule.answer {
            RuleAnswer::Index { .. } => "virtual_index",
            RuleAnswer::Child { .. } => "alias",
        };
        let names = rule.looks_at(&self.name, tag).into_iter();
        let names = names.map(|(name, tag)| format!("{name}:{tag}"));
        Some((key, names.collect()))
    }

    /// Whether a tag of this name is configured never to move.
    pub(super) fn is_immutable(&self, tag: &Tag) -> bool {
        freshness::is_immutable(tag, self.upstream.config())
    }

    /// Whether a tag that was confirmed so long ago may go out as another replica, or the bucket, knows
    /// it: there it is written again now and then only.
    pub(super) fn may_be_copied(&self, tag: &Tag, age: Duration) -> bool {
        let allowed = freshness::longest_use(tag, self.upstream.config());
        age <= allowed.saturating_add(tier::RECORD_INTERVAL * 2) || self.is_immutable(tag)
    }

    /// The repository to fetch `digest` from: the source repository of a rule where both are known
    /// to link it, else this one.
    pub(super) fn source_of(&self, cache: &Cache, digest: &Digest) -> Cow<'_, Self> {
        let rules = &self.upstream.config().rules;
        if rules.is_empty() || !cache.is_linked(&self.key, digest) {
            return Cow::Borrowed(self);
        }
        let host = self.upstream.host();
        let mut sources = rules.lenders(&self.name).into_iter();
        sources
            .find(|name| cache.is_linked(&repository_key(host, name), digest))
            .map_or(Cow::Borrowed(self), |name| Cow::Owned(self.sibling(&name)))
    }

    /// Records that this repository has `digest`, as its upstream has said.
    pub(super) async fn link(&self, cache: &Cache, digest: &Digest) {
        note_unrecorded(cache.link(&self.key, digest).await, digest);
    }

    /// Records that this repository has `digest`, whose bytes its upstream has sent.
    pub(super) async fn link_sent(&self, cache: &Cache, digest: &Digest) {
        note_unrecorded(cache.link_sent(&self.key, digest).await, digest);
    }
}

/// A link that is not recorded costs the next request one more question; this one has its answer.
fn note_unrecorded(recorded: Result<(), CacheError>, digest: &Digest) {
    if let Err(error) = recorded {
        warn!(error = %ErrorChain(&error), %digest, "a link could not be recorded");
    }
}
