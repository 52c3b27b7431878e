//! What the tier knows of a name, for a replica that has lost the upstream and has nothing itself.

use std::time::{Duration, SystemTime};

use manifest_model::{Digest, Reference, Tag};
use tracing::debug;

use super::Manifests;
use crate::{
    Outcome, Repository,
    answer::{ManifestAnswer, ManifestResult},
    freshness,
};

impl Manifests {
    /// The upstream's answer; if it is in trouble, what the tier has under the name.
    pub(super) async fn or_copied(
        &self,
        repository: &Repository,
        reference: &Reference,
        answer: ManifestResult,
    ) -> ManifestResult {
        match answer {
            Err(problem) if self.tier.is_some() && problem.is_trouble() => {
                let copied = match reference {
                    Reference::Tag(tag) => self.copied_tag(repository, tag).await,
                    Reference::Digest(digest) => {
                        self.copied(repository, digest, Outcome::Miss).await
                    }
                };
                copied.ok_or(problem)
            }
            answer => answer,
        }
    }

    /// The manifest that a tag pointed at, marked stale, for as long as a tag may be.
    async fn copied_tag(&self, repository: &Repository, tag: &Tag) -> Option<ManifestAnswer> {
        let record = self.tier.as_ref()?.tag(&repository.key, tag).await?;
        let age = SystemTime::now().duration_since(record.confirmed);
        let age = age.unwrap_or(Duration::ZERO);
        let config = repository.upstream.config();
        // A record is written again now and then only.
        let slack = tier::RECORD_INTERVAL * 2;
        let allowed = freshness::longest_use(tag, config).saturating_add(slack);
        if age > allowed && !repository.is_immutable(tag) {
            debug!(repository = %repository.key, %tag, age = age.as_secs(), "the tier knows a tag, and it is too old");
            return None;
        }
        debug!(repository = %repository.key, %tag, age = age.as_secs(), "serving a tag as the tier knows it");
        let answer = self.copied(repository, &record.digest, Outcome::Stale);
        Some(ManifestAnswer {
            age: Some(age),
            ..answer.await?
        })
    }

    /// A manifest that is stored here, or that the tier has for this repository.
    async fn copied(
        &self,
        repository: &Repository,
        digest: &Digest,
        outcome: Outcome,
    ) -> Option<ManifestAnswer> {
        if let Some(hit) = self.hit(repository, digest).await {
            return Some(ManifestAnswer { outcome, ..hit });
        }
        let manifest = self
            .tier
            .as_ref()?
            .manifest(&repository.key, digest)
            .await?;
        self.keep(repository, &manifest, None).await;
        Some(ManifestAnswer::new(manifest, outcome))
    }
}
