//! Blobs: stored, being filled, or to be filled now.

use std::sync::Arc;

use cache::{Blob, BlobStream, FillError, Follower, Joined};
use manifest_model::Digest;

use super::{Outcome, Pull, PullError, Repository, fill};

/// A blob and how it is had.
#[derive(Debug)]
pub struct BlobAnswer {
    /// Its size; unknown only for a fill whose upstream does not say.
    pub size: Option<u64>,
    /// From where.
    pub outcome: Outcome,
    /// Its bytes, to be read.
    pub bytes: BlobBytes,
}

/// The bytes of a blob, whole or arriving.
#[derive(Debug)]
pub enum BlobBytes {
    /// All there.
    Stored(Blob),
    /// Arriving.
    Following(Follower),
}

impl BlobBytes {
    /// The bytes from `start` to `end`, or to the end of the blob. The range must lie within the blob.
    pub fn read(self, start: u64, end: Option<u64>) -> BlobStream {
        match self {
            Self::Stored(blob) => {
                let end = end.unwrap_or(blob.size());
                blob.read(start..end)
            }
            Self::Following(follower) => follower.read(start, end),
        }
    }
}

impl Pull {
    /// The blob `digest`, if `repository` has it. Of all who ask for a blob that is not stored one starts its fill; the others
    /// follow. Returns when the size is known, before the bytes are there.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        let repository = &self.lender(repository, digest)?;
        let linked = self.inner.cache.is_linked(&repository.key, digest)?;
        match self.inner.cache.join(digest)? {
            Joined::Leading(work, follower) => {
                let job = fill::run(self.clone(), repository.clone(), work);
                self.inner.tasks.spawn(job);
                following(follower, Outcome::Fill).await
            }
            Joined::Stored(blob) => {
                self.confirm_link(repository, digest, linked).await?;
                Ok(BlobAnswer {
                    size: Some(blob.size()),
                    outcome: Outcome::Hit,
                    bytes: BlobBytes::Stored(blob),
                })
            }
            Joined::Following(follower) => {
                self.confirm_link(repository, digest, linked).await?;
                following(follower, Outcome::Follow).await
            }
        }
    }

    /// The size of the blob `digest`, for a client that only wants to know whether it is there: nothing is downloaded for it.
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Option<u64>, Outcome), PullError> {
        let repository = &self.lender(repository, digest)?;
        let linked = self.inner.cache.is_linked(&repository.key, digest)?;
        if let Some(blob) = self.inner.cache.stored(digest)? {
            self.confirm_link(repository, digest, linked).await?;
            return Ok((Some(blob.size()), Outcome::Hit));
        }
        if let Some(mut follower) = self.inner.cache.follow(digest) {
            self.confirm_link(repository, digest, linked).await?;
            return Ok((follower.size().await?, Outcome::Follow));
        }
        let size = repository
            .upstream
            .blob_size(&repository.name, digest)
            .await?;
        self.inner.cache.link(&repository.key, digest).await?;
        Ok((size, Outcome::Miss))
    }

    /// Bytes that another repository has brought are readable through this one only once its upstream says it has them too.
    async fn confirm_link(
        &self,
        repository: &Repository,
        digest: &Digest,
        linked: bool,
    ) -> Result<(), PullError> {
        if !linked {
            repository
                .upstream
                .confirm_blob(&repository.name, digest)
                .await?;
            self.inner.cache.link(&repository.key, digest).await?;
        }
        Ok(())
    }
}

async fn following(mut follower: Follower, outcome: Outcome) -> Result<BlobAnswer, PullError> {
    let size = follower.size().await.map_err(plain)?;
    Ok(BlobAnswer {
        size,
        outcome,
        bytes: BlobBytes::Following(follower),
    })
}

/// The two failures of our own making that a client should hear of by their names.
fn plain(error: Arc<FillError>) -> PullError {
    match &*error {
        FillError::Source { source, .. } if source.is::<fill::NoSlot>() => PullError::Busy,
        FillError::Abandoned { .. } => PullError::Interrupted,
        _ => PullError::Fill(error),
    }
}
