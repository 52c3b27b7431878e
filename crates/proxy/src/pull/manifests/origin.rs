//! The upstream's answer for a name: one question for all who ask, and what it leaves behind.

use std::sync::Arc;

use cache::TagEntry;
use manifest_model::{Digest, Manifest, Reference, Tag};
use protocol::error_chain::ErrorChain;
use tracing::warn;
use upstream::{FetchError, Trouble, Urgency};

use super::{ManifestAnswer, ManifestResult, Manifests};
use crate::pull::{Outcome, PullError, Repository};

impl Manifests {
    /// What the upstream has under `tag` now; the tag is stored as that.
    pub(in crate::pull) async fn confirm(
        self: &Arc<Self>,
        repository: &Repository,
        tag: &Tag,
        known: Option<(TagEntry, Urgency)>,
    ) -> ManifestResult {
        let (reference, tag) = (Reference::Tag(tag.clone()), tag.clone());
        let work = move |manifests: Arc<Self>, repository: Repository| async move {
            if let Some((entry, urgency)) = known {
                let current = manifests.revalidate(&repository, &tag, &entry, urgency);
                return current.await;
            }
            let reference = Reference::Tag(tag.clone());
            let current = manifests.download(&repository, &reference, Some(&tag));
            current.await
        };
        self.share(repository, reference, work).await
    }

    /// What the upstream has under a name. A tag is not stored as that.
    pub(in crate::pull) async fn fetch(
        self: &Arc<Self>,
        repository: &Repository,
        reference: Reference,
    ) -> ManifestResult {
        self.share(
            repository,
            reference.clone(),
            move |manifests, repository| async move {
                manifests.download(&repository, &reference, None).await
            },
        )
        .await
    }

    /// A HEAD first: it is cheap, and enough where nothing has changed. Where it gives no digest, a
    /// GET that names the one known.
    async fn revalidate(
        &self,
        repository: &Repository,
        tag: &Tag,
        entry: &TagEntry,
        urgency: Urgency,
    ) -> ManifestResult {
        let (upstream, name) = (&repository.upstream, &repository.name);
        let by_tag = Reference::Tag(tag.clone());
        let current = match upstream.tag_digest(name, tag, urgency).await {
            Ok(digest) => digest,
            // Some registries answer HEAD otherwise than GET, and a HEAD carries no error code.
            Err(
                FetchError::Refused { .. }
                | FetchError::Broken {
                    source: Trouble::Status(404),
                    ..
                },
            ) => None,
            Err(problem) => return Err(self.note_failure(repository, &by_tag, problem).await),
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
            Some(Err(problem)) => Err(self.note_failure(repository, &by_tag, problem).await),
            None => {
                let confirmed = self.cache.confirm_tag(&repository.key, tag, &entry.digest);
                if let Err(trouble) = confirmed.await {
                    warn!(error = %ErrorChain(&trouble), %tag, "an unchanged tag could not be recorded; it will be confirmed again");
                }
                self.get_in_flight(repository, &entry.digest, tag).await
            }
        }
    }

    /// Like [`Self::get`], from within a flight: a manifest that was evicted is downloaded here, not
    /// in a flight of its own.
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
        match upstream.manifest(name, reference).await {
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

    /// Remembers what a failed question says about the next ones.
    async fn note_failure(
        &self,
        repository: &Repository,
        reference: &Reference,
        problem: FetchError,
    ) -> PullError {
        if let FetchError::Absent {
            what,
            by_stand_in: false,
            ..
        } = &problem
        {
            let config = repository.upstream.config();
            let key = (repository.key.clone(), reference.clone());
            self.absences.put(key, *what, config.not_found_ttl);
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
