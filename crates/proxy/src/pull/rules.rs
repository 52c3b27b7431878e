//! Names that are answered from other names, by the rules of their upstream's config.
//!
//! A rule looks at what the upstream itself has, never at what another rule would make: rules cannot run in circles.
//! What it makes is stored, linked and tagged under the repository that was asked, so that its freshness, its staleness
//! and its digest are those of any other manifest. The images it lists may lie in other repositories of the same
//! upstream, the lenders; what is linked here and there is fetched from there.

use std::borrow::Cow;

use cache::TagEntry;
use config::{Prefer, Rule, RuleAnswer};
use manifest_model::{Digest, Manifest, Reference, Tag, synthesized_from};
use protocol::error_chain::ErrorChain;
use tracing::{debug, warn};
use upstream::{FetchError, Urgency};

use super::{ManifestAnswer, Outcome, Pull, PullError, Repository, manifest::is_gone};

/// What a rule made, and what has to be readable for it.
pub(super) struct Made {
    pub(super) manifest: Manifest,
    /// Where its images are, where that is not the repository that was asked.
    pub(super) lent: Vec<(Repository, Digest)>,
}

/// A name a rule looks at.
pub(super) struct Looked {
    pub(super) repository: Repository,
    pub(super) tag: Tag,
}

impl Looked {
    /// As the upstream calls it, whatever the upstream is called here: the same for every replica.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.repository.name, self.tag)
    }
}

impl Repository {
    fn rule(&self, tag: &Tag) -> Option<&Rule> {
        self.upstream.config().rules.of(&self.name, tag)
    }

    /// The names the rule for `tag` looks at.
    fn looks_at(&self, rule: &Rule, tag: &Tag) -> Vec<Looked> {
        let names = rule.looks_at(&self.name, tag).into_iter();
        names
            .map(|(name, tag)| Looked {
                repository: self.sibling(&name),
                tag,
            })
            .collect()
    }
}

impl Pull {
    /// What `tag` is now: as its rule says where it has one, else as the upstream says.
    pub(super) async fn ask(
        &self,
        repository: &Repository,
        tag: &Tag,
        known: Option<(TagEntry, Urgency)>,
    ) -> Result<ManifestAnswer, PullError> {
        if repository.rule(tag).is_none() {
            return self.confirm(repository, tag, known).await;
        }
        let asked = tag.clone();
        // Flights of their own: a rule waits for the upstream's, and none of those waits for a rule.
        self.join(
            &self.inner.ruled,
            repository,
            Reference::Tag(tag.clone()),
            move |pull, repository| async move { pull.by_rule(&repository, &asked, known).await },
        )
        .await
    }

    /// Whether `tag` has a rule, so that its absence at the upstream is not the last word.
    pub(super) fn is_ruled(repository: &Repository, tag: &Tag) -> bool {
        repository.rule(tag).is_some()
    }

    /// Whether what `tag` was seen to be may be used for ever: what a rule made only where all it looks at may be, and only
    /// if all of that was there.
    pub(super) async fn is_immutable(
        &self,
        repository: &Repository,
        tag: &Tag,
        seen: &Digest,
    ) -> Result<bool, PullError> {
        let patterns = &repository.upstream.config().immutable_tags;
        let is_immutable = |tag: &Tag| patterns.iter().any(|pattern| pattern.matches(tag));
        let Some(rule) = repository.rule(tag).filter(|_| is_immutable(tag)) else {
            return Ok(is_immutable(tag));
        };
        let looked_at = rule.looks_at(&repository.name, tag);
        if let RuleAnswer::Index { .. } = rule.answer {
            let Some(seen) = self.stored_manifest(repository, seen).await? else {
                return Ok(false);
            };
            match synthesized_from(&seen) {
                Some(sources) if sources.len() < looked_at.len() => return Ok(false),
                Some(_) => {}
                None => return Ok(true),
            }
        }
        Ok(looked_at.iter().all(|(_, tag)| is_immutable(tag)))
    }

    async fn by_rule(
        &self,
        repository: &Repository,
        tag: &Tag,
        known: Option<(TagEntry, Urgency)>,
    ) -> Result<ManifestAnswer, PullError> {
        let rule = repository.rule(tag).expect("asked for because it has one");
        if rule.prefer == Prefer::Upstream {
            match self.confirm(repository, tag, known).await {
                Err(problem) if is_absent(&problem) => {}
                answer => return answer,
            }
        }
        let looked = repository.looks_at(rule, tag);
        let made = match &rule.answer {
            RuleAnswer::Index { platforms, .. } => {
                self.virtual_index(repository, looked, platforms).await
            }
            RuleAnswer::Child { platform, .. } => self.alias(repository, looked, platform).await,
        };
        match made {
            Ok(made) => self.keep(repository, tag, made, known).await,
            Err(problem) => {
                debug!(error = %ErrorChain(&problem), repository = %repository.key, %tag, "a rule made nothing");
                let serve_deleted = repository.upstream.config().serve_deleted_tags;
                if is_verdict(&problem) && !(serve_deleted && is_gone(&problem)) {
                    self.inner.cache.remove_tag(&repository.key, tag).await?;
                }
                Err(problem)
            }
        }
    }

    /// What the upstream has under a name a rule looks at, asked for now; `None` where it says that it has nothing.
    pub(super) async fn look(&self, looked: &Looked) -> Result<Option<Manifest>, PullError> {
        let Looked { repository, tag } = looked;
        let answer = if Self::is_ruled(repository, tag) {
            // The row of this tag is what its own rule makes; what the upstream has goes without one.
            let reference = Reference::Tag(tag.clone());
            self.fly(repository, reference.clone(), move |pull, repository| async move {
                pull.fetch(&repository, &reference, None).await
            })
            .await
        } else {
            let known = self.inner.cache.tag(&repository.key, tag);
            let known = known.map(|entry| (entry, Urgency::Pull));
            self.confirm(repository, tag, known).await
        };
        match answer {
            Ok(answer) => Ok(Some(answer.manifest)),
            Err(problem) if is_absent(&problem) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Makes what a rule made readable here, by tag and by digest, with all it lists. If it cannot be kept, the client
    /// has it all the same.
    async fn keep(
        &self,
        repository: &Repository,
        tag: &Tag,
        made: Made,
        known: Option<(TagEntry, Urgency)>,
    ) -> Result<ManifestAnswer, PullError> {
        let digest = made.manifest.digest();
        if known.is_some_and(|(known, _)| known.digest == digest)
            && self.stored_manifest(repository, &digest).await?.is_some()
        {
            self.inner
                .cache
                .confirm_tag(&repository.key, tag, &digest)
                .await?;
            return Ok(ManifestAnswer::new(made.manifest, Outcome::Hit));
        }
        for (lender, child) in &made.lent {
            let child = self.by_digest(lender, child).await?.manifest;
            self.store(repository, &child, None).await;
        }
        self.store(repository, &made.manifest, Some(tag)).await;
        Ok(ManifestAnswer::new(made.manifest, Outcome::Miss))
    }

    pub(super) async fn store(
        &self,
        repository: &Repository,
        manifest: &Manifest,
        tag: Option<&Tag>,
    ) {
        let cache = &self.inner.cache;
        if let Err(trouble) = cache.store_manifest(&repository.key, manifest, tag).await {
            warn!(error = %ErrorChain(&trouble), digest = %manifest.digest(), "a manifest could not be stored");
        }
        self.inner.manifests.put(manifest);
    }

    /// The repository to fetch `digest` from: another one where a rule lends from there and both are known to link it.
    pub(super) fn lender<'a>(
        &self,
        repository: &'a Repository,
        digest: &Digest,
    ) -> Cow<'a, Repository> {
        let cache = &self.inner.cache;
        let lenders = repository.upstream.config().rules.lenders(&repository.name);
        if lenders.is_empty() || !cache.is_linked(&repository.key, digest) {
            return Cow::Borrowed(repository);
        }
        let mut siblings = lenders.iter().map(|name| repository.sibling(name));
        siblings
            .find(|lender| cache.is_linked(&lender.key, digest))
            .map_or(Cow::Borrowed(repository), Cow::Owned)
    }
}

/// Whether every source has answered and there is nothing to serve: what there was before is gone.
fn is_verdict(problem: &PullError) -> bool {
    matches!(
        problem,
        PullError::NoSource { .. } | PullError::NothingFits { .. } | PullError::Ambiguous { .. }
    )
}

/// Whether the upstream said that there is no such thing.
pub(super) fn is_absent(problem: &PullError) -> bool {
    matches!(problem.fetch_error(), Some(FetchError::NotFound { .. }))
}
