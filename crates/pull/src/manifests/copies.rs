//! What the tier knows of a name, for a replica that has lost the upstream and has nothing itself.

use std::time::{Duration, SystemTime};

use manifest_model::{Digest, Reference, Tag};
use tier::Tier;
use tracing::debug;

use super::Manifests;
use crate::{
    Outcome, PullError, Repository,
    answer::{ManifestAnswer, ManifestResult},
};

/// The tier's copies of what a repository has.
pub(super) struct Copies<'a> {
    manifests: &'a Manifests,
    tier: &'a Tier,
    repository: &'a Repository,
}

impl<'a> Copies<'a> {
    /// Those of `repository`; `None` without a tier.
    pub(super) fn of(manifests: &'a Manifests, repository: &'a Repository) -> Option<Self> {
        Some(Self {
            manifests,
            tier: manifests.nearby.tier.as_ref()?,
            repository,
        })
    }

    /// What there is under a name whose upstream is in trouble; else the trouble.
    pub(super) async fn get(&self, reference: &Reference, problem: PullError) -> ManifestResult {
        let copied = async {
            match reference {
                Reference::Tag(tag) => self.tag(tag).await,
                Reference::Digest(digest) => self.manifest(digest, Outcome::Miss).await,
            }
        };
        let copied = self.repository.deadline().bound_last(copied).await;
        copied.flatten().ok_or(problem)
    }

    /// The manifest that a tag pointed at, marked stale, for as long as a tag may be.
    async fn tag(&self, tag: &Tag) -> Option<ManifestAnswer> {
        let repository = self.repository;
        let record = self.tier.tag(&repository.key, tag).await?;
        let age = SystemTime::now().duration_since(record.confirmed);
        let age = age.unwrap_or(Duration::ZERO);
        if !repository.may_be_copied(tag, age) {
            debug!(repository = %repository.key, %tag, age = age.as_secs(), "the tier knows a tag, and it is too old");
            return None;
        }
        debug!(repository = %repository.key, %tag, age = age.as_secs(), "serving a tag as the tier knows it");
        let answer = self.manifest(&record.digest, Outcome::Stale).await?;
        Some(ManifestAnswer {
            age: Some(age),
            ..answer
        })
    }

    /// A manifest that is stored here, or that the tier has for this repository.
    async fn manifest(&self, digest: &Digest, outcome: Outcome) -> Option<ManifestAnswer> {
        let repository = self.repository;
        if let Some(hit) = self.manifests.hit(repository, digest).await {
            return Some(ManifestAnswer { outcome, ..hit });
        }
        let manifest = self.tier.manifest(&repository.key, digest).await?;
        self.manifests.keep(repository, &manifest, None).await;
        Some(ManifestAnswer::new(manifest, outcome))
    }
}
