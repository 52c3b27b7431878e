//! What an upstream says of a blob without sending it: that a repository has it, and its size.
//!
//! Bytes that another upstream has brought are readable through a repository only once its own
//! upstream confirms that it has them there, even where a manifest names them; those of another
//! repository of the same upstream, where none does. All who ask the same at the same time share
//! one question.

use std::sync::Arc;

use cache::{Cache, RepoKey};
use futures_util::FutureExt;
use manifest_model::Digest;
use slots::Slots;
use tier::Tier;
use upstream::{FetchError, Part};

use crate::{
    PullError, Repository, fill::resumes::through_store_failures, flights::Flights, tasks::Tasks,
};

/// The questions about blobs that are not downloaded for them.
#[derive(Debug)]
pub(super) struct Confirmations {
    cache: Cache,
    /// The slots of calls upstream.
    calls: Slots,
    flights: Flights<BlobQuestion, Answer>,
    /// Says what an upstream in trouble would say.
    tier: Option<Tier>,
}

/// A blob of a repository, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BlobQuestion {
    digest: Digest,
    repository: RepoKey,
    about: About,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum About {
    /// Its size.
    Size,
    /// Whether it is there, in this size if there is one.
    Presence(Option<u64>),
}

/// The size, if it was asked for and the upstream tells it.
type Answer = Result<Option<u64>, Arc<FetchError>>;

impl Confirmations {
    pub(super) fn new(cache: Cache, calls: Slots, tier: Option<Tier>, tasks: Tasks) -> Self {
        Self {
            cache,
            calls,
            flights: Flights::new(tasks),
            tier,
        }
    }

    /// The size of the blob, if its upstream tells it; an error if the repository does not have it.
    pub(super) async fn size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, PullError> {
        self.answer(repository, digest, About::Size).await
    }

    /// Links a blob of this size to the repository, unless that is confirmed: a fill has linked it to
    /// the one that has answered it, and a follower from the same one need not ask again.
    pub(super) async fn link(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<(), PullError> {
        if !self.cache.is_confirmed(&repository.key, digest) {
            let about = About::Presence(size);
            self.answer(repository, digest, about).await?;
            repository.link(&self.cache, digest).await;
        }
        Ok(())
    }

    /// The upstream's answer; while it is in trouble, that of the tier.
    async fn answer(
        &self,
        repository: &Repository,
        digest: &Digest,
        about: About,
    ) -> Result<Option<u64>, PullError> {
        let reported: fn(Arc<FetchError>) -> PullError = match about {
            About::Size => PullError::from,
            About::Presence(_) => PullError::unconfirmed,
        };
        let answer = self.ask(repository, digest, about).await;
        match answer.and_then(|answer| answer.map_err(reported)) {
            Err(problem) if problem.is_trouble() => {
                let copied = self.copied(repository, digest).boxed();
                let copied = repository.deadline().bound_last(copied).await;
                copied.flatten().map(Some).ok_or(problem)
            }
            answer => answer,
        }
    }

    /// The size of the blob in the tier, if that is proof enough: a manifest of the repository names
    /// the blob, and the upstream has sent it.
    async fn copied(&self, repository: &Repository, digest: &Digest) -> Option<u64> {
        let tier = self.tier.as_ref()?;
        let blob = tier.last_resort(repository.upstream.host(), digest)?;
        let size = blob.get(Part::Bytes(0, Some(1))).await.ok()?.size?;
        if !blob.is_of_upstream() {
            return None;
        }
        if !self.cache.is_linked(&repository.key, digest) {
            tier.manifest_naming(&repository.key, digest).await?;
        }
        Some(size)
    }

    async fn ask(
        &self,
        repository: &Repository,
        digest: &Digest,
        about: About,
    ) -> Result<Answer, PullError> {
        let (digest, asker) = (*digest, repository.clone());
        let question = BlobQuestion {
            digest,
            repository: repository.key.clone(),
            about,
        };
        let work = || async move {
            let (upstream, name, deadline) = (&asker.upstream, &asker.name, asker.deadline());
            let ask = async || match about {
                About::Size => upstream.blob_size(name, &digest, deadline).await,
                About::Presence(size) => {
                    let confirmed = upstream.confirm_blob(name, &digest, size, deadline).await;
                    confirmed.map(|()| None)
                }
            };
            let answer = through_store_failures(deadline, ask).await;
            answer.map_err(Arc::new)
        };
        let seat = repository.seat(&self.calls);
        let deadline = repository.deadline();
        let answer = self.flights.join(question, Some(seat), deadline, work);
        answer
            .await
            .map_err(|missed| repository.without_result(missed))
    }
}
