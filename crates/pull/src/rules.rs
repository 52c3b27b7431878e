//! Names that are answered from other names, by the rules of their upstream's settings.
//!
//! A rule is applied before its tag is asked for. With `prefer = "upstream"`, the default, the
//! upstream's own answer goes first, and the rule answers only an absent name. A virtual index reads
//! manifests that the upstream itself has; an alias reads those, or what a virtual index makes of them
//! under its target. No rule reads an alias: rules cannot run in circles. Its result is stored, linked and tagged under the repository that was asked, so that
//! freshness, staleness and digest requests need nothing new. The images of a result may lie in
//! other repositories of the same upstream, the source repositories; content is fetched from there
//! only if both repositories link it.
//!
//! Trouble with a source is an error, or the last result, stale. Sources that are all absent make
//! an absent name. Two images for one platform do not: the requested thing exists, twice.
//!
//! Owns flights of its own: a rule waits for the flights to the upstream, and none of those waits
//! for a rule.

mod alias;
mod synthesis;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cache::{Cache, TagEntry};
use config::{Prefer, RuleAnswer};
use futures_util::FutureExt;
use manifest_model::{
    Descriptor, Digest, MAX_INDEX_DEPTH, Manifest, Reference, Tag, synthesized_from,
};
use protocol::error_chain::ErrorChain;
use tracing::debug;
use upstream::Urgency;

use crate::{
    Outcome, PullError, Repository,
    answer::{ManifestAnswer, ManifestResult},
    flights::Flights,
    manifests::{ManifestFlights, Manifests},
    platforms::Platforms,
    tasks::Tasks,
};

/// The most entries of one source, with those of the indexes it nests.
const MAX_ENTRIES: usize = 256;

/// The result of a rule, and all that has to be readable for it.
struct Synthesized {
    manifest: Manifest,
    /// Its images in source repositories other than the one that was asked.
    borrowed: Vec<(Repository, Digest)>,
    /// How long ago the upstream confirmed the oldest source, where it could not do so now.
    age: Option<Duration>,
}

/// A name that a rule reads.
struct SourceTag {
    repository: Repository,
    tag: Tag,
}

impl SourceTag {
    /// The names that the rule of `tag` reads.
    fn of(repository: &Repository, tag: &Tag) -> Vec<Self> {
        let rule = repository.rule(tag);
        let named = rule.map(|rule| rule.looks_at(&repository.name, tag));
        let named = named.into_iter().flatten();
        named
            .map(|(name, tag)| Self {
                repository: repository.sibling(&name),
                tag,
            })
            .collect()
    }

    /// Its name at the upstream, whatever the upstream is called here: the same for every replica.
    fn name(&self) -> String {
        format!("{}:{}", self.repository.name, self.tag)
    }
}

/// The rules of all upstreams, over their manifests.
#[derive(Debug)]
pub(super) struct Rules {
    cache: Cache,
    manifests: Arc<Manifests>,
    platforms: Arc<Platforms>,
    flights: ManifestFlights,
}

impl Rules {
    pub(super) fn new(
        cache: Cache,
        manifests: Arc<Manifests>,
        platforms: Arc<Platforms>,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache,
            manifests,
            platforms,
            flights: Flights::new(tasks),
        }
    }

    /// `tag` as it is now: by its rule where it has one, else at the upstream.
    pub(super) async fn current(
        self: &Arc<Self>,
        repository: &Repository,
        tag: &Tag,
        known: Option<(TagEntry, Urgency)>,
    ) -> ManifestResult {
        if repository.rule(tag).is_none() {
            return self.manifests.confirm(repository, tag, known).await;
        }
        let key = (repository.key.clone(), Reference::Tag(tag.clone()));
        let work = || {
            let (rules, repository, tag) = (Arc::clone(self), repository.clone(), tag.clone());
            async move { rules.apply(&repository, &tag, known).await }
        };
        let outcome = self
            .flights
            .join(key, None, repository.deadline(), work)
            .await;
        outcome.unwrap_or_else(|missed| Err(repository.without_result(missed)))
    }

    /// For how long [`Self::current`] has been under way for a tag; `None` while it is not.
    pub(super) fn asked_for(&self, repository: &Repository, tag: &Tag) -> Option<Duration> {
        if repository.rule(tag).is_none() {
            return self.manifests.asked_for(repository, tag);
        }
        let key = (repository.key.clone(), Reference::Tag(tag.clone()));
        self.flights.under_way(&key)
    }

    /// Whether a tag that is configured never to move may be used for ever as `seen`. The result of
    /// a rule may, only if all of its sources are such tags and all of them were there.
    pub(super) async fn leaves_immutable(
        &self,
        repository: &Repository,
        tag: &Tag,
        seen: &Digest,
    ) -> Result<bool, PullError> {
        let Some(rule) = repository.rule(tag) else {
            return Ok(true);
        };
        let sources = rule.looks_at(&repository.name, tag);
        if let RuleAnswer::Index { .. } = rule.answer {
            let Some(seen) = self.manifests.stored(repository, seen).await? else {
                return Ok(false);
            };
            match synthesized_from(&seen) {
                Some(found) if found.len() < sources.len() => return Ok(false),
                Some(_) => {}
                None => return Ok(true),
            }
        }
        Ok(sources.iter().all(|(_, tag)| repository.is_immutable(tag)))
    }

    /// The result of a tag's rule where the upstream is offline: of the stored tags. It is readable
    /// by its digest, but kept under no tag: that would pass for the upstream's.
    pub(super) async fn made_of_stored(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> ManifestResult {
        let made = self.result(repository, tag).await?;
        let Synthesized {
            manifest, borrowed, ..
        } = made;
        let stored = self
            .manifests
            .stored(repository, &manifest.digest())
            .await?;
        if stored.is_none() {
            self.borrow(repository, &borrowed).await?;
            self.manifests.store(repository, &manifest, None).await;
        }
        Ok(ManifestAnswer::new(manifest, Outcome::Hit))
    }

    async fn apply(
        &self,
        repository: &Repository,
        tag: &Tag,
        known: Option<(TagEntry, Urgency)>,
    ) -> ManifestResult {
        let rule = repository.rule(tag);
        if rule.is_some_and(|rule| rule.prefer == Prefer::Upstream) {
            match self.manifests.confirm(repository, tag, known).await {
                Err(problem) if problem.is_absent() => {}
                answer => return answer,
            }
        }
        match self.result(repository, tag).await {
            Ok(synthesized) => self.keep(repository, tag, synthesized, known).await,
            Err(problem) => {
                debug!(error = %ErrorChain(&problem), repository = %repository.key, %tag, "a rule has no result");
                let serve_deleted = repository.upstream.config().serve_deleted_tags;
                if is_verdict(&problem) && !(serve_deleted && problem.is_gone()) {
                    self.cache.remove_tag(&repository.key, tag).await?;
                }
                Err(problem)
            }
        }
    }

    /// What the rule of a tag makes of its sources now.
    async fn result(&self, repository: &Repository, tag: &Tag) -> Result<Synthesized, PullError> {
        let rule = repository.rule(tag).expect("asked for a tag that has one");
        let sources = SourceTag::of(repository, tag);
        match &rule.answer {
            RuleAnswer::Index { platforms, .. } => {
                self.synthesize_index(repository, &sources, platforms).await
            }
            RuleAnswer::Child { platform, .. } => {
                self.resolve_alias(repository, &sources, platform).await
            }
        }
    }

    /// The manifest of a source tag, asked for now; `None` where the upstream has none.
    async fn source_manifest(
        &self,
        source: &SourceTag,
    ) -> Result<Option<ManifestAnswer>, PullError> {
        let SourceTag { repository, tag } = source;
        let answer = if repository.rule(tag).is_some() {
            // The row of this tag holds the result of its own rule; the upstream's goes without
            // one.
            let reference = Reference::Tag(tag.clone());
            self.manifests.fetch(repository, reference).await
        } else {
            let known = self.cache.tag(&repository.key, tag);
            let known = known.map(|entry| (entry, Urgency::Pull));
            self.manifests.confirm(repository, tag, known).await
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(problem) if problem.is_absent() => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Makes the result of a rule readable here, by tag and by digest, with all it lists. A client
    /// has it even if the disk will not take it.
    async fn keep(
        &self,
        repository: &Repository,
        tag: &Tag,
        synthesized: Synthesized,
        known: Option<(TagEntry, Urgency)>,
    ) -> ManifestResult {
        let Synthesized {
            manifest,
            borrowed,
            age,
        } = synthesized;
        if age.is_some() {
            // A copy of a source confirms nothing: the tag is not to become fresh by it.
            self.borrow(repository, &borrowed).await?;
            self.manifests.store(repository, &manifest, None).await;
            return Ok(ManifestAnswer {
                manifest,
                outcome: Outcome::Stale,
                age,
            });
        }
        let digest = manifest.digest();
        if known.is_some_and(|(known, _)| known.digest == digest)
            && self.manifests.stored(repository, &digest).await?.is_some()
        {
            self.cache
                .confirm_tag(&repository.key, tag, &digest)
                .await?;
            return Ok(ManifestAnswer::new(manifest, Outcome::Hit));
        }
        self.borrow(repository, &borrowed).await?;
        self.manifests.store(repository, &manifest, Some(tag)).await;
        Ok(ManifestAnswer::new(manifest, Outcome::Miss))
    }

    /// Makes images of source repositories readable in this one.
    async fn borrow(
        &self,
        repository: &Repository,
        borrowed: &[(Repository, Digest)],
    ) -> Result<(), PullError> {
        for (source, child) in borrowed {
            let child = self.manifests.get(source, child).await?.manifest;
            self.manifests.store(repository, &child, None).await;
        }
        Ok(())
    }

    /// The images and attestations below a manifest, itself if it is one, with their platforms;
    /// indexes are opened.
    async fn leaves(
        &self,
        repository: &Repository,
        root: Manifest,
    ) -> Result<Vec<Descriptor>, PullError> {
        if !root.is_index() {
            return Ok(vec![self.described(repository, &root).await?]);
        }
        let (mut leaves, mut entries_left) = (Vec::new(), MAX_ENTRIES);
        let mut waiting = vec![(root, 1)];
        while let Some((index, depth)) = waiting.pop() {
            if let Some(ambiguity) = index.ambiguity() {
                return Err(ambiguity.into());
            }
            for entry in index.entries() {
                // Indexes count, too: those without an image would be opened for ever.
                entries_left = entries_left
                    .checked_sub(1)
                    .ok_or(PullError::Unresolvable("a source has too many entries"))?;
                if entry.is_artifact() {
                    continue;
                }
                let is_named = entry.media_type.is_image() && entry.platform.is_some();
                if is_named || entry.is_attestation() {
                    leaves.push(entry.clone());
                    continue;
                }
                let below = self
                    .manifests
                    .get(repository, &entry.digest)
                    .await?
                    .manifest;
                if !below.is_index() {
                    let annotations = entry.annotations.clone();
                    let leaf = self.described(repository, &below).await?;
                    leaves.push(Descriptor {
                        annotations,
                        ..leaf
                    });
                } else if depth <= MAX_INDEX_DEPTH {
                    waiting.push((below, depth + 1));
                } else {
                    return Err(PullError::Unresolvable("its indexes are nested too deep"));
                }
            }
        }
        Ok(leaves)
    }

    /// An image as an index would list it, with the platform in its config.
    async fn described(
        &self,
        repository: &Repository,
        image: &Manifest,
    ) -> Result<Descriptor, PullError> {
        let config = image.config().filter(|_| image.media_type().is_image());
        let config = config.ok_or(PullError::Unresolvable("a source is no image"))?;
        let platform = self.platforms.config_platform(repository, config);
        let platform = platform.boxed().await?;
        if platform.architecture.is_empty() {
            return Err(PullError::Unresolvable(
                "an image's config names no platform",
            ));
        }
        Ok(Descriptor {
            media_type: image.media_type().clone(),
            digest: image.digest(),
            size: image.bytes().len() as u64,
            platform: Some(platform),
            annotations: BTreeMap::new(),
            artifact_type: Box::default(),
            has_urls: false,
        })
    }
}

/// Whether a rule has nothing to add to what is stored of a tag: there is none, or the upstream's
/// own answer goes first, and this is it.
pub(super) fn yields_to(
    repository: &Repository,
    tag: &Tag,
    stored: Option<&ManifestAnswer>,
) -> bool {
    let Some(rule) = repository.rule(tag) else {
        return true;
    };
    let is_upstreams = |stored: &ManifestAnswer| synthesized_from(&stored.manifest).is_none();
    rule.prefer == Prefer::Upstream && stored.is_some_and(is_upstreams)
}

/// Whether every source has answered and there is nothing to serve: the last result is gone, too.
fn is_verdict(problem: &PullError) -> bool {
    matches!(
        problem,
        PullError::NoSource { .. } | PullError::NothingFits { .. } | PullError::Ambiguous { .. }
    )
}
