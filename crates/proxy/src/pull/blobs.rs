//! Blobs: stored, being filled, filled from now on, or past the cache where they cannot be stored.
//!
//! Owns the permits of downloads past the cache, and the rule that bytes are readable through a
//! repository only if its upstream has them there. Refuses how a fill gets its bytes (`fill`) and
//! how they reach a client (`body`).

use std::sync::Arc;

use cache::{Cache, FillError, Follower, Joined};
use manifest_model::Digest;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::{
    Outcome, PullError, Repository,
    body::{BlobBytes, BlobPlace},
    error::FillFailure,
    fill::Filler,
};

/// How many fills of other repositories may fail one after another for one request that joins them.
const MAX_JOINS: usize = 3;

/// A blob and where it came from.
#[derive(Debug)]
pub struct BlobAnswer {
    /// Its size; unknown only for a fill whose upstream does not send it.
    pub size: Option<u64>,
    /// Where it came from.
    pub outcome: Outcome,
    /// Its bytes, to be read.
    pub bytes: BlobBytes,
}

/// The way to the bytes of every blob.
#[derive(Debug)]
pub(super) struct Blobs {
    cache: Cache,
    filler: Arc<Filler>,
    /// One permit for each client of a download that bypasses the cache.
    bypass_permits: Arc<Semaphore>,
}

impl Blobs {
    pub(super) fn new(cache: Cache, filler: Filler, max_bypasses: usize) -> Self {
        Self {
            cache,
            filler: Arc::new(filler),
            bypass_permits: Arc::new(Semaphore::new(max_bypasses)),
        }
    }

    /// The blob `digest`, if `repository` has it. The first request for a blob that is not stored
    /// starts its fill; the others follow. Returns when the size is known, before the bytes are
    /// there.
    ///
    /// A fill asks in the name of the repository that started it. If the upstream fails it, that is
    /// no answer for another repository: its followers join anew, and may start a fill in their own
    /// name.
    pub(super) async fn get(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        let repository = &*repository.source_of(&self.cache, digest);
        for _ in 0..MAX_JOINS {
            match self.join(repository, digest).await {
                Err(PullError::Fill(error)) if is_of_another(&error, repository) => {
                    debug!(%digest, "the download of another repository failed; joining anew");
                }
                answer => return answer,
            }
        }
        self.bypass(repository, digest, Outcome::Miss).await
    }

    async fn join(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        let linked = self.cache.is_linked(&repository.key, digest);
        match self.cache.join(digest)? {
            Joined::Leading(fill, follower) => {
                self.filler.start(repository.clone(), fill);
                self.following(repository, digest, follower, Outcome::Fill)
                    .await
            }
            Joined::Stored(blob) => {
                let size = Some(blob.size());
                self.confirm_link(repository, digest, linked, size).await?;
                let place = BlobPlace::Stored(blob);
                Ok(self.blob(repository, digest, size, Outcome::Hit, place))
            }
            Joined::Following(mut follower) => {
                debug!(%digest, "following a download");
                if let Ok(size) = follower.size().await {
                    self.confirm_followed(repository, digest, linked, size)
                        .await?;
                }
                let outcome = if follower.is_complete() {
                    Outcome::Hit
                } else {
                    Outcome::Follow
                };
                self.following(repository, digest, follower, outcome).await
            }
        }
    }

    /// The size of the blob `digest`, for a client that only wants to know whether it is there:
    /// nothing is downloaded for it.
    pub(super) async fn size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Option<u64>, Outcome), PullError> {
        let repository = &*repository.source_of(&self.cache, digest);
        let linked = self.cache.is_linked(&repository.key, digest);
        if let Some(blob) = self.cache.stored(digest)? {
            let size = Some(blob.size());
            self.confirm_link(repository, digest, linked, size).await?;
            return Ok((size, Outcome::Hit));
        }
        if let Some(mut follower) = self.cache.follow(digest) {
            debug!(%digest, "following a download");
            match follower.size().await {
                Ok(size) => {
                    self.confirm_followed(repository, digest, linked, size)
                        .await?;
                    return Ok((size, Outcome::Follow));
                }
                // Neither tells whether the upstream has the blob in this repository.
                Err(error) if is_unstored(&error) || is_of_another(&error, repository) => {}
                Err(error) => return Err(reported(error)),
            }
        }
        let (upstream, name) = (&repository.upstream, &repository.name);
        let size = upstream.blob_size(name, digest).await?;
        repository.link(&self.cache, digest).await;
        Ok((size, Outcome::Miss))
    }

    /// As [`Self::confirm_link`], once a fill knows the size. The fill has linked the blob to its
    /// own repository by then: a follower from the same one need not ask again.
    async fn confirm_followed(
        &self,
        repository: &Repository,
        digest: &Digest,
        linked: bool,
        size: Option<u64>,
    ) -> Result<(), PullError> {
        let linked = linked || self.cache.is_linked(&repository.key, digest);
        self.confirm_link(repository, digest, linked, size).await
    }

    /// Bytes that another repository has brought are readable through this one only once its
    /// upstream confirms that it has them too.
    async fn confirm_link(
        &self,
        repository: &Repository,
        digest: &Digest,
        linked: bool,
        size: Option<u64>,
    ) -> Result<(), PullError> {
        if !linked {
            let (upstream, name) = (&repository.upstream, &repository.name);
            upstream.confirm_blob(name, digest, size).await?;
            repository.link(&self.cache, digest).await;
        }
        Ok(())
    }

    async fn following(
        &self,
        repository: &Repository,
        digest: &Digest,
        mut follower: Follower,
        outcome: Outcome,
    ) -> Result<BlobAnswer, PullError> {
        match follower.size().await {
            Ok(size) => {
                let place = BlobPlace::Arriving(follower);
                Ok(self.blob(repository, digest, size, outcome, place))
            }
            Err(error) if is_unstored(&error) => {
                warn!(%digest, "the disk will not take a blob; it bypasses the cache");
                self.bypass(repository, digest, outcome).await
            }
            Err(error) => Err(reported(error)),
        }
    }

    async fn bypass(
        &self,
        repository: &Repository,
        digest: &Digest,
        outcome: Outcome,
    ) -> Result<BlobAnswer, PullError> {
        let (upstream, name) = (&repository.upstream, &repository.name);
        let size = upstream.blob_size(name, digest).await?;
        Ok(self.blob(repository, digest, size, outcome, BlobPlace::Upstream))
    }

    fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: Option<u64>,
        outcome: Outcome,
        place: BlobPlace,
    ) -> BlobAnswer {
        BlobAnswer {
            size,
            outcome,
            bytes: BlobBytes {
                digest: *digest,
                repository: repository.clone(),
                permits: Arc::clone(&self.bypass_permits),
                place,
            },
        }
    }
}

/// Whether our disk failed, and not the source of the bytes.
fn is_unstored(error: &FillError) -> bool {
    matches!(FillFailure::of(error), FillFailure::Storage)
}

/// Whether the fill failed over an answer to another repository's question.
fn is_of_another(error: &FillError, repository: &Repository) -> bool {
    match FillFailure::of(error) {
        FillFailure::Source(failure) => failure.repository != repository.key,
        _ => false,
    }
}

/// The error a client gets: failures of our own making have a name of their own.
fn reported(error: Arc<FillError>) -> PullError {
    match FillFailure::of(&error) {
        FillFailure::NoPermit => PullError::Busy,
        FillFailure::Abandoned => PullError::Interrupted,
        _ => PullError::Fill(error),
    }
}
