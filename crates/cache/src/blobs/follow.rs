//! Readers: of a stored blob, and of one that is still arriving.

use std::{
    fs::File,
    ops::Range,
    pin::Pin as StdPin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use manifest_model::Digest;
use tokio::sync::watch;

use super::{
    Pin,
    fill::{Progress, Running},
};
use crate::{
    error::{FillError, ReadError},
    read::{PIECE, read_at},
};

/// A stored blob, open for reading. It is not evicted while this or a stream of it lives. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blob {
    file: Arc<File>,
    size: u64,
    pin: Pin,
}

impl Blob {
    pub(super) fn new(file: Arc<File>, size: u64, pin: Pin) -> Self {
        Self { file, size, pin }
    }

    /// The blob's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of `range`, which must lie within the blob.
    pub fn read(self, range: Range<u64>) -> BlobStream {
        debug_assert!(range.end <= self.size);
        BlobStream::new(
            Source::Stored(self.file),
            range.start,
            Some(range.end),
            self.pin,
        )
    }
}

/// A reader of a fill: it sees what has been published so far and waits for the rest.
#[derive(Debug)]
pub struct Follower {
    progress: watch::Receiver<Progress>,
    pin: Pin,
}

impl Follower {
    pub(super) fn new(running: &Arc<Running>, pin: Pin) -> Self {
        Self {
            progress: running.watch(),
            pin,
        }
    }

    /// Waits until the source has answered: the blob's size, `None` where the source did not announce it, or why there will be
    /// no blob. A blob that is said to be empty has no bytes to hold back, so it is waited for until its digest has matched.
    /// Cancel safe.
    pub async fn size(&mut self) -> Result<Option<u64>, Arc<FillError>> {
        let digest = self.pin.digest;
        let answered = self
            .progress
            .wait_for(|progress| {
                !matches!(
                    progress,
                    Progress::Waiting | Progress::Filling { size: Some(0), .. }
                )
            })
            .await;
        match answered.as_deref() {
            Ok(Progress::Filling { size, .. }) => Ok(*size),
            Ok(Progress::Complete { size, .. }) => Ok(Some(*size)),
            Ok(Progress::Failed(error)) => Err(Arc::clone(error)),
            Ok(Progress::Waiting) | Err(_) => Err(Arc::new(FillError::Abandoned { digest })),
        }
    }

    /// The bytes from `start` to `end`, or to the blob's end where that is `None`, as they arrive.
    pub fn read(self, start: u64, end: Option<u64>) -> BlobStream {
        BlobStream::new(Source::Filling(self.progress), start, end, self.pin)
    }
}

/// A blob's bytes, in pieces of up to 256 KiB. After an error the stream has ended, and the body with it is not whole.
pub struct BlobStream(StdPin<Box<dyn Stream<Item = Result<Bytes, ReadError>> + Send>>);

impl BlobStream {
    fn new(source: Source, position: u64, end: Option<u64>, pin: Pin) -> Self {
        let reader = Reader {
            source,
            position,
            end,
            pin,
        };
        Self(Box::pin(stream::try_unfold(reader, Reader::step)))
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(
        mut self: StdPin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BlobStream")
    }
}

enum Source {
    Stored(Arc<File>),
    Filling(watch::Receiver<Progress>),
}

struct Reader {
    source: Source,
    position: u64,
    /// `None`: to the end of a blob whose size is not known yet.
    end: Option<u64>,
    pin: Pin,
}

impl Reader {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, ReadError> {
        let Some((file, readable)) = self.readable().await? else {
            return Ok(None);
        };
        let length =
            usize::try_from(readable - self.position).map_or(PIECE, |length| length.min(PIECE));
        let digest = self.pin.digest;
        let bytes = read_at(&file, self.position, length)
            .await
            .map_err(|source| ReadError::Io { digest, source })?;
        if bytes.is_empty() {
            // The file is shorter than what was promised of it.
            return Err(ReadError::Io {
                digest,
                source: std::io::ErrorKind::UnexpectedEof.into(),
            });
        }
        self.position += bytes.len() as u64;
        Ok(Some((bytes, self)))
    }

    /// Waits for a byte at the current position: the file and how far it may be read; `None` at the end.
    async fn readable(&mut self) -> Result<Option<(Arc<File>, u64)>, ReadError> {
        let (position, end) = (self.position, self.end);
        if end.is_some_and(|end| position >= end) {
            return Ok(None);
        }
        let limit = |available: u64| end.map_or(available, |end| available.min(end));
        match &mut self.source {
            Source::Stored(file) => Ok(end.map(|end| (Arc::clone(file), end))),
            Source::Filling(progress) => {
                let moved = progress
                    .wait_for(|progress| match progress {
                        Progress::Waiting => false,
                        Progress::Filling { visible, .. } => *visible > position,
                        Progress::Complete { .. } | Progress::Failed(_) => true,
                    })
                    .await;
                match moved.as_deref() {
                    Ok(Progress::Filling { visible, file, .. }) => {
                        Ok(Some((Arc::clone(file), limit(*visible))))
                    }
                    Ok(Progress::Complete { size, .. }) if position >= *size => Ok(None),
                    Ok(Progress::Complete { size, file }) => {
                        Ok(Some((Arc::clone(file), limit(*size))))
                    }
                    Ok(Progress::Failed(error)) => Err(ReadError::Fill(Arc::clone(error))),
                    Ok(Progress::Waiting) | Err(_) => {
                        let digest: Digest = self.pin.digest;
                        Err(ReadError::Fill(Arc::new(FillError::Abandoned { digest })))
                    }
                }
            }
        }
    }
}
