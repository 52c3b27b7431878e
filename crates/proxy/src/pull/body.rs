//! The bytes of a blob on their way to a client: from the cache, or past it.
//!
//! A body that follows a download which can no longer be stored continues from the upstream.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use cache::{Blob, BlobStream, Follower, OpenFile, ReadBy, ReadError};
use futures_util::Stream;
use manifest_model::Digest;
use tokio::sync::Semaphore;
use tracing::warn;
use upstream::FetchError;

use super::{Repository, bypass, error::FillFailure};

/// The bytes of a blob: stored, arriving, or past the cache.
#[derive(Debug)]
pub struct BlobBytes {
    pub(super) digest: Digest,
    pub(super) repository: Repository,
    /// Permits of downloads that bypass the cache.
    pub(super) permits: Arc<Semaphore>,
    pub(super) place: BlobPlace,
}

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(super) enum BlobPlace {
    Stored(Blob),
    Arriving(Follower),
    /// At the upstream: the cache cannot store them.
    Upstream,
}

impl BlobBytes {
    /// The file they are in, for a connection that sends from it.
    pub fn file(&self) -> Weak<OpenFile> {
        match &self.place {
            BlobPlace::Stored(blob) => blob.file(),
            BlobPlace::Arriving(follower) => follower.file(),
            BlobPlace::Upstream => Weak::new(),
        }
    }

    /// The length up to which a reader waits for nothing but its client; 0 for a blob that is still
    /// arriving.
    pub fn there(&self) -> u64 {
        match &self.place {
            BlobPlace::Stored(blob) => blob.size(),
            BlobPlace::Arriving(_) | BlobPlace::Upstream => 0,
        }
    }

    /// The download that stores them, if there is one.
    pub fn download(self) -> Option<Follower> {
        match self.place {
            BlobPlace::Arriving(follower) => Some(follower),
            BlobPlace::Stored(_) | BlobPlace::Upstream => None,
        }
    }

    /// The bytes from `start` to `end`, or to the end of the blob. The range must lie within the
    /// blob.
    pub fn read(self, start: u64, end: Option<u64>, by: ReadBy) -> BlobBody {
        let Self {
            digest,
            repository,
            permits,
            place,
        } = self;
        let rest = Rest {
            repository,
            digest,
            position: start,
            end,
            permits,
        };
        match place {
            BlobPlace::Stored(blob) => {
                let end = end.unwrap_or(blob.size());
                BlobBody::Cached(blob.read(start..end, by), None)
            }
            BlobPlace::Arriving(follower) => {
                BlobBody::Cached(follower.read(start, end, by), Some(Box::new(rest)))
            }
            BlobPlace::Upstream => rest.bypass(),
        }
    }
}

/// A body on its way to a client.
pub enum BlobBody {
    /// From the cache, with the rest to fetch past it if the cache cannot go on.
    Cached(BlobStream, Option<Box<Rest>>),
    /// From the upstream, past the cache.
    Bypass(Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>),
}

/// The part of a body that is still to be sent.
pub struct Rest {
    repository: Repository,
    digest: Digest,
    position: u64,
    end: Option<u64>,
    permits: Arc<Semaphore>,
}

impl Rest {
    fn bypass(self) -> BlobBody {
        let range = self.position..self.end.unwrap_or(u64::MAX);
        let stream = bypass::stream(&self.repository, self.digest, range, self.permits);
        BlobBody::Bypass(Box::pin(stream))
    }
}

/// Why a body breaks off. The connection must break with it.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The cache, or the fill that was followed.
    #[error(transparent)]
    Read(ReadError),
    /// The upstream, of a body past the cache.
    #[error(transparent)]
    Fetch(FetchError),
}

impl Stream for BlobBody {
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
                            if matches!(FillFailure::of(&error), FillFailure::Storage) =>
                        {
                            warn!(
                                "the disk will not take a download; its body continues from the upstream"
                            );
                            let Some(rest) = rest.take() else { continue };
                            *self = rest.bypass();
                        }
                        (polled, _) => return polled.map_err(BodyError::Read),
                    }
                }
                Self::Bypass(stream) => {
                    return stream.as_mut().poll_next(context).map_err(BodyError::Fetch);
                }
            }
        }
    }
}
