//! Blobs: stored, being filled, to be filled now, or passed on where they cannot be stored.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use cache::{Blob, BlobStream, FillError, Follower, Joined, OpenFile, ReadBy, ReadError};
use futures_util::Stream;
use manifest_model::Digest;
use protocol::error_chain::ErrorChain;
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use upstream::FetchError;

use super::{
    Outcome, Pull, PullError, Repository,
    fill::{self, NotGiven},
    through,
};

/// How many fills that other repositories have started may fail one after another for one who follows them.
const MAX_JOINS: usize = 3;

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

/// The bytes of a blob, whole, arriving, or passed on.
#[derive(Debug)]
pub struct BlobBytes {
    digest: Digest,
    repository: Repository,
    /// Slots of downloads that pass the cache by.
    slots: Arc<Semaphore>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Stored(Blob),
    Following(Follower),
    /// They cannot be stored.
    Through,
}

impl BlobBytes {
    /// The file they are in, for a connection that sends from it.
    pub fn file(&self) -> Weak<OpenFile> {
        match &self.kind {
            Kind::Stored(blob) => blob.file(),
            Kind::Following(follower) => follower.file(),
            Kind::Through => Weak::new(),
        }
    }

    /// Up to where a reader has nothing to wait for but its client; 0 of a blob that is still arriving.
    pub fn there(&self) -> u64 {
        match &self.kind {
            Kind::Stored(blob) => blob.size(),
            Kind::Following(_) | Kind::Through => 0,
        }
    }

    /// The download that stores them; none of bytes that are stored, or cannot be.
    pub(super) fn download(self) -> Option<Follower> {
        match self.kind {
            Kind::Following(follower) => Some(follower),
            Kind::Stored(_) | Kind::Through => None,
        }
    }

    /// The bytes from `start` to `end`, or to the end of the blob. The range must lie within the blob.
    pub fn read(self, start: u64, end: Option<u64>, by: ReadBy) -> Body {
        let Self {
            digest,
            repository,
            slots,
            kind,
        } = self;
        let rest = Rest {
            repository,
            digest,
            position: start,
            end,
            slots,
        };
        match kind {
            Kind::Stored(blob) => {
                let end = end.unwrap_or(blob.size());
                Body::Cached(blob.read(start..end, by), None)
            }
            Kind::Following(follower) => {
                Body::Cached(follower.read(start, end, by), Some(Box::new(rest)))
            }
            Kind::Through => rest.pass_on(),
        }
    }
}

/// A body on its way to a client. One that follows a download which can no longer be stored goes on from the upstream.
pub enum Body {
    /// From the cache, and what to do if the cache cannot go on.
    Cached(BlobStream, Option<Box<Rest>>),
    /// Past it.
    Through(Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>),
}

/// What is left to send of a body.
pub struct Rest {
    repository: Repository,
    digest: Digest,
    position: u64,
    end: Option<u64>,
    slots: Arc<Semaphore>,
}

impl Rest {
    fn pass_on(self) -> Body {
        let range = self.position..self.end.unwrap_or(u64::MAX);
        let stream = through::stream(&self.repository, self.digest, range, self.slots);
        Body::Through(Box::pin(stream))
    }
}

/// Why a body has not come to its end. The connection must break for it.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The cache, or the fill that was followed.
    #[error(transparent)]
    Read(ReadError),
    /// The upstream, of a body that passed the cache by.
    #[error(transparent)]
    Fetch(FetchError),
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut *self {
                Self::Cached(stream, rest) => {
                    let polled = Pin::new(stream).poll_next(context);
                    match (polled, rest.as_mut()) {
                        (Poll::Ready(Some(Ok(bytes))), Some(rest)) => {
                            rest.position += bytes.len() as u64;
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                        (Poll::Ready(Some(Err(ReadError::Fill(error)))), Some(_))
                            if cannot_be_stored(&error) =>
                        {
                            warn!("a download that cannot be stored is passed on");
                            let Some(rest) = rest.take() else { continue };
                            *self = rest.pass_on();
                        }
                        (polled, _) => return polled.map_err(BodyError::Read),
                    }
                }
                Self::Through(stream) => {
                    return stream.as_mut().poll_next(context).map_err(BodyError::Fetch);
                }
            }
        }
    }
}

impl Pull {
    /// The blob `digest`, if `repository` has it. Of all who ask for a blob that is not stored one starts its fill; the others
    /// follow. Returns when the size is known, before the bytes are there.
    ///
    /// A fill that fails in another repository before that is no answer for this one, which then asks for itself.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        let repository = &*self.lender(repository, digest);
        for _ in 0..MAX_JOINS {
            match self.join_fill(repository, digest).await {
                Err(PullError::Fill(error)) if is_of_another(&error, repository) => {
                    debug!(%digest, "the download of another repository failed; joining anew");
                }
                answer => return answer,
            }
        }
        self.passed_on(repository, digest, Outcome::Miss).await
    }

    async fn join_fill(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<BlobAnswer, PullError> {
        let linked = self.inner.cache.is_linked(&repository.key, digest);
        match self.inner.cache.join(digest)? {
            Joined::Leading(work, follower) => {
                let job = fill::run(self.clone(), repository.clone(), work);
                self.inner.tasks.spawn(job);
                self.following(repository, digest, follower, Outcome::Fill)
                    .await
            }
            Joined::Stored(blob) => {
                let size = Some(blob.size());
                self.confirm_link(repository, digest, linked, size).await?;
                Ok(BlobAnswer {
                    size,
                    outcome: Outcome::Hit,
                    bytes: self.bytes(repository, digest, Kind::Stored(blob)),
                })
            }
            Joined::Following(mut follower) => {
                if let Ok(size) = self.size(&mut follower, digest).await {
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

    /// The size of the blob `digest`, for a client that only wants to know whether it is there: nothing is downloaded for it.
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Option<u64>, Outcome), PullError> {
        let repository = &*self.lender(repository, digest);
        let linked = self.inner.cache.is_linked(&repository.key, digest);
        if let Some(blob) = self.inner.cache.stored(digest)? {
            let size = Some(blob.size());
            self.confirm_link(repository, digest, linked, size).await?;
            return Ok((size, Outcome::Hit));
        }
        if let Some(mut follower) = self.inner.cache.follow(digest) {
            match self.size(&mut follower, digest).await {
                Ok(size) => {
                    self.confirm_followed(repository, digest, linked, size)
                        .await?;
                    return Ok((size, Outcome::Follow));
                }
                // Neither says anything about what the upstream has in this repository.
                Err(error) if cannot_be_stored(&error) || is_of_another(&error, repository) => {}
                Err(error) => return Err(plain(error)),
            }
        }
        let size = repository
            .upstream
            .blob_size(&repository.name, digest)
            .await?;
        self.note_link(repository, digest).await;
        Ok((size, Outcome::Miss))
    }

    /// The size that a fill somebody else has started learns.
    async fn size(
        &self,
        follower: &mut Follower,
        digest: &Digest,
    ) -> Result<Option<u64>, Arc<FillError>> {
        debug!(%digest, "following a download");
        follower.size().await
    }

    /// As [`Self::confirm_link`], when a fill has told the size. It links what it has found before that: who follows one of its
    /// own repository need not ask again.
    async fn confirm_followed(
        &self,
        repository: &Repository,
        digest: &Digest,
        linked: bool,
        size: Option<u64>,
    ) -> Result<(), PullError> {
        let linked = linked || self.inner.cache.is_linked(&repository.key, digest);
        self.confirm_link(repository, digest, linked, size).await
    }

    /// Bytes that another repository has brought are readable through this one only once its upstream says it has them too.
    async fn confirm_link(
        &self,
        repository: &Repository,
        digest: &Digest,
        linked: bool,
        size: Option<u64>,
    ) -> Result<(), PullError> {
        if !linked {
            repository
                .upstream
                .confirm_blob(&repository.name, digest, size)
                .await?;
            self.note_link(repository, digest).await;
        }
        Ok(())
    }

    /// A link that cannot be noted costs the next who asks a question, not this one an answer.
    pub(super) async fn note_link(&self, repository: &Repository, digest: &Digest) {
        if let Err(error) = self.inner.cache.link(&repository.key, digest).await {
            warn!(error = %ErrorChain(&error), %digest, "a link could not be noted");
        }
    }

    async fn following(
        &self,
        repository: &Repository,
        digest: &Digest,
        mut follower: Follower,
        outcome: Outcome,
    ) -> Result<BlobAnswer, PullError> {
        match follower.size().await {
            Ok(size) => Ok(BlobAnswer {
                size,
                outcome,
                bytes: self.bytes(repository, digest, Kind::Following(follower)),
            }),
            Err(error) if cannot_be_stored(&error) => {
                warn!(%digest, "a blob that cannot be stored is passed on");
                self.passed_on(repository, digest, outcome).await
            }
            Err(error) => Err(plain(error)),
        }
    }

    async fn passed_on(
        &self,
        repository: &Repository,
        digest: &Digest,
        outcome: Outcome,
    ) -> Result<BlobAnswer, PullError> {
        let size = repository
            .upstream
            .blob_size(&repository.name, digest)
            .await?;
        Ok(BlobAnswer {
            size,
            outcome,
            bytes: self.bytes(repository, digest, Kind::Through),
        })
    }

    fn bytes(&self, repository: &Repository, digest: &Digest, kind: Kind) -> BlobBytes {
        BlobBytes {
            digest: *digest,
            repository: repository.clone(),
            slots: Arc::clone(&self.inner.through),
            kind,
        }
    }
}

/// Whether it was our disk that failed, and not the source of the bytes.
fn cannot_be_stored(error: &FillError) -> bool {
    matches!(error, FillError::Storage { .. })
}

/// Whether the fill failed for what an upstream answered to another repository's question.
fn is_of_another(error: &FillError, repository: &Repository) -> bool {
    NotGiven::of(error).is_some_and(|failure| failure.repository != repository.key)
}

/// The two failures of our own making that a client should hear of by their names.
fn plain(error: Arc<FillError>) -> PullError {
    match &*error {
        FillError::NoPermit { .. } => PullError::Busy,
        FillError::Abandoned { .. } => PullError::Interrupted,
        _ => PullError::Fill(error),
    }
}
