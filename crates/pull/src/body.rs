//! The bytes of a blob on their way to a client: from the cache, or past it.
//!
//! A body that follows a download which can no longer be stored continues from the upstream.

use std::{
    pin::Pin,
    sync::Weak,
    task::{Context, Poll},
};

use bytes::Bytes;
use cache::{Blob, BlobStream, Follower, OpenFile, ReadBy, ReadError};
use futures_util::Stream;
use manifest_model::Digest;
use slots::{Slot, Slots};
use tokio::time::Instant;
use tracing::debug;
use upstream::FetchError;

use crate::{
    Repository,
    bypass::{self, Wanted},
    error::FillFailure,
};

/// The bytes of a blob: stored, arriving, or past the cache.
#[derive(Debug)]
pub struct BlobBytes {
    pub(super) digest: Digest,
    pub(super) repository: Repository,
    /// Its size, if it is known.
    pub(super) size: Option<u64>,
    /// The slots of downloads that bypass the cache.
    pub(super) bypasses: Slots,
    pub(super) place: BlobPlace,
}

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(super) enum BlobPlace {
    Stored(Blob),
    Arriving(Follower),
    /// At the upstream: the cache cannot store them. The slot is for their way past it.
    Upstream(Slot),
}

impl BlobBytes {
    /// The whole blob; `None` while its bytes arrive or are elsewhere.
    pub fn whole(&self) -> Option<Blob> {
        match &self.place {
            BlobPlace::Stored(blob) => Some(blob.clone()),
            BlobPlace::Arriving(follower) => follower.blob(),
            BlobPlace::Upstream(_) => None,
        }
    }

    /// The file they are in, for a connection that sends from it.
    pub fn file(&self) -> Weak<OpenFile> {
        match &self.place {
            BlobPlace::Stored(blob) => blob.file(),
            BlobPlace::Arriving(follower) => follower.file(),
            BlobPlace::Upstream(_) => Weak::new(),
        }
    }

    /// The length up to which a reader waits for nothing but its client; 0 for a blob that is still
    /// arriving.
    pub fn there(&self) -> u64 {
        match &self.place {
            BlobPlace::Stored(blob) => blob.size(),
            BlobPlace::Arriving(_) | BlobPlace::Upstream(_) => 0,
        }
    }

    /// The download that stores them, if there is one.
    pub fn download(self) -> Option<Follower> {
        match self.place {
            BlobPlace::Arriving(follower) => Some(follower),
            BlobPlace::Stored(_) | BlobPlace::Upstream(_) => None,
        }
    }

    /// The bytes from `start` to `end`, or to the end of the blob. The range must lie within the
    /// blob.
    pub fn read(self, start: u64, end: Option<u64>, by: ReadBy) -> BlobBody {
        let Self {
            digest,
            repository,
            size,
            bypasses,
            place,
        } = self;
        let wanted = match size {
            Some(size) if start > 0 || end.is_some_and(|end| end < size) => Wanted::PartOf(size),
            _ => Wanted::Whole,
        };
        let rest = Rest {
            repository,
            digest,
            position: start,
            end,
            wanted,
            bypasses,
            waits_since: None,
        };
        match place {
            BlobPlace::Stored(blob) => {
                let end = end.unwrap_or(blob.size());
                BlobBody::Cached(blob.read(start..end, by), None)
            }
            BlobPlace::Arriving(follower) => {
                BlobBody::Cached(follower.read(start, end, by), Some(Box::new(rest)))
            }
            BlobPlace::Upstream(slot) => rest.bypass(Some(slot)),
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
    /// With the client's wait for its first byte, which begins with that for the head.
    repository: Repository,
    digest: Digest,
    position: u64,
    end: Option<u64>,
    wanted: Wanted,
    bypasses: Slots,
    /// Since when the client waits for its next byte. Its deadline is made only where the rest is asked
    /// for.
    waits_since: Option<Instant>,
}

impl Rest {
    fn bypass(self, slot: Option<Slot>) -> BlobBody {
        let range = self.position..self.end.unwrap_or(u64::MAX);
        let since = self.waits_since.unwrap_or_else(Instant::now);
        let deadline = self.repository.deadline_since(since).clone();
        let (wanted, slots) = (self.wanted, (self.bypasses, slot));
        let stream = bypass::stream(
            &self.repository,
            self.digest,
            range,
            wanted,
            slots,
            deadline,
        );
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
                        (Poll::Pending, Some(rest)) => {
                            rest.waits_since.get_or_insert_with(Instant::now);
                            return Poll::Pending;
                        }
                        (Poll::Ready(Some(Ok(bytes))), Some(rest)) => {
                            rest.repository.end_wait();
                            rest.waits_since = None;
                            rest.position += bytes.len() as u64;
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                        (Poll::Ready(Some(Err(ReadError::Fill(error)))), Some(_))
                            if matches!(
                                FillFailure::of(&error),
                                FillFailure::Storage | FillFailure::GaveWay
                            ) =>
                        {
                            // The other one has said itself that it gave way.
                            let is_failure =
                                matches!(FillFailure::of(&error), FillFailure::Storage);
                            if is_failure && !error.is_sent_past() {
                                debug!(
                                    "the disk will not take a download; its body continues from the upstream"
                                );
                            }
                            let Some(rest) = rest.take() else { continue };
                            *self = rest.bypass(None);
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
