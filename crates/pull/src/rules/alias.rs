//! The name of one architecture, answered from the name that has them all.

use config::{Prefer, Rule, RuleAnswer};
use manifest_model::{Matcher, Platform, offered};

use super::{Rules, SourceTag, Synthesized};
use crate::{Outcome, PullError, Repository, answer::ManifestAnswer};

impl Rules {
    /// The one image for exactly `platform` below the target: an older variant or the 32-bit
    /// ancestor is not what the name promises.
    pub(super) async fn resolve_alias(
        &self,
        repository: &Repository,
        tags: &[SourceTag],
        platform: &Platform,
    ) -> Result<Synthesized, PullError> {
        let no_source = || PullError::NoSource {
            tried: tags.iter().map(SourceTag::name).collect(),
        };
        let target = tags.first().ok_or_else(no_source)?;
        let found = self.target_manifest(target).await?;
        let ManifestAnswer { manifest, age, .. } = found.ok_or_else(no_source)?;
        let leaves = self.leaves(&target.repository, manifest).await?;
        let matcher = Matcher::strict(platform);
        let fits = |platform: &Platform| matcher.matches(platform);
        let mut fitting: Vec<_> = leaves
            .iter()
            .filter(|leaf| !leaf.is_attestation() && leaf.platform.as_ref().is_some_and(fits))
            .map(|leaf| leaf.digest)
            .collect();
        fitting.sort_by_key(ToString::to_string);
        fitting.dedup();
        match *fitting {
            [] => Err(PullError::NothingFits {
                wanted: platform.clone(),
                offered: offered(&leaves),
            }),
            [child] => {
                let manifest = self
                    .manifests
                    .get(&target.repository, &child)
                    .await?
                    .manifest;
                let is_elsewhere = target.repository.key != repository.key;
                let borrowed = is_elsewhere.then(|| (target.repository.clone(), child));
                Ok(Synthesized {
                    manifest,
                    borrowed: Vec::from_iter(borrowed),
                    age,
                })
            }
            _ => Err(PullError::Ambiguous {
                platform: platform.clone(),
                candidates: fitting
                    .iter()
                    .map(|digest| format!("{}@{digest}", target.name()))
                    .collect(),
            }),
        }
    }

    /// The manifest under the target's name: the upstream's own, or what a virtual index makes of its
    /// sources there. That looks at names of the upstream alone, so this ends.
    async fn target_manifest(
        &self,
        target: &SourceTag,
    ) -> Result<Option<ManifestAnswer>, PullError> {
        let SourceTag { repository, tag } = target;
        let Some(Rule {
            answer: RuleAnswer::Index { platforms, .. },
            prefer,
            ..
        }) = repository.rule(tag)
        else {
            return self.source_manifest(target).await;
        };
        let own = self.source_manifest(target).await?;
        if own.is_some() && *prefer == Prefer::Upstream {
            return Ok(own);
        }
        let sources = SourceTag::of(repository, tag);
        match self.synthesize_index(repository, &sources, platforms).await {
            Ok(made) => {
                self.borrow(repository, &made.borrowed).await?;
                let answer = ManifestAnswer::new(made.manifest, Outcome::Miss);
                Ok(Some(ManifestAnswer {
                    age: made.age,
                    ..answer
                }))
            }
            Err(PullError::NoSource { .. }) => Ok(own),
            Err(problem) => Err(problem),
        }
    }
}
