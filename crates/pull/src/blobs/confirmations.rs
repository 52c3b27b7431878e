//! What an upstream says of a blob without sending it: that a repository has it, and its size.
//!
//! Bytes that another upstream has brought are readable through a repository only once its own
//! upstream confirms that it has them there, even where a manifest names them; those of another
//! repository of the same upstream, where none does. All who ask the same at the same time share
//! one question.

use std::sync::Arc;

use cache::{Cache, RepoKey};
use manifest_model::Digest;
use upstream::FetchError;

use crate::{
    PullError, Repository, fill::resumes::through_store_failures, flights::Flights, slots::Slots,
    tasks::Tasks,
};

/// The questions about blobs that are not downloaded for them.
#[derive(Debug)]
pub(super) struct Confirmations {
    cache: Cache,
    /// The slots of calls upstream.
    calls: Slots,
    flights: Flights<BlobQuestion, Answer>,
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
    pub(super) fn new(cache: Cache, calls: Slots, tasks: Tasks) -> Self {
        Self {
            cache,
            calls,
            flights: Flights::new(tasks),
        }
    }

    /// The size of the blob, if its upstream tells it; an error if the repository does not have it.
    pub(super) async fn size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, PullError> {
        Ok(self.ask(repository, digest, About::Size).await??)
    }

    /// Links a blob of this size to the repository, unless it was `confirmed` before.
    pub(super) async fn link(
        &self,
        repository: &Repository,
        digest: &Digest,
        confirmed: bool,
        size: Option<u64>,
    ) -> Result<(), PullError> {
        if !confirmed {
            let answer = self.ask(repository, digest, About::Presence(size)).await?;
            answer.map_err(PullError::unconfirmed)?;
            repository.link(&self.cache, digest).await;
        }
        Ok(())
    }

    /// The same once a fill knows the size. The fill has linked the blob to the repository that has
    /// answered it by then: a follower from the same one need not ask again.
    pub(super) async fn link_followed(
        &self,
        repository: &Repository,
        digest: &Digest,
        confirmed: bool,
        size: Option<u64>,
    ) -> Result<(), PullError> {
        let confirmed = confirmed || self.cache.is_confirmed(&repository.key, digest);
        self.link(repository, digest, confirmed, size).await
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
