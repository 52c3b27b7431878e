//! Readers: of a stored blob, and of one that is still arriving.

use std::{
    ops::Range,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use manifest_model::Digest;
use tokio::sync::watch;

use super::progress::{Progress, Running};
use crate::{
    OpenFile,
    error::{FillError, ReadError},
    read::{PIECE, read_at},
};

/// The largest piece of a mapping handed out at once. It is what a single `sendfile` sends; larger pieces would be counted as
/// sent long before they are.
const WINDOW: u64 = 2 * 1024 * 1024;

/// How a reader wants its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBy {
    /// In memory of their own.
    Copy,
    /// As pieces of the file's mapping where it has one, for a connection that sends from the file itself. See
    /// [`OpenFile::offset_of`].
    Map,
}

/// A stored blob, open for reading. It is not evicted while this or a stream of it lives. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blob {
    file: Arc<OpenFile>,
    size: u64,
}

impl Blob {
    pub(super) fn new(file: Arc<OpenFile>, size: u64) -> Self {
        Self { file, size }
    }

    /// The blob's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file, for a connection that sends from it.
    pub fn file(&self) -> Weak<OpenFile> {
        Arc::downgrade(&self.file)
    }

    /// The bytes of `range`, which must lie within the blob.
    pub fn read(self, range: Range<u64>, by: ReadBy) -> BlobStream {
        debug_assert!(range.end <= self.size);
        BlobStream::new(Reader {
            source: Source::Stored(self.file),
            position: range.start,
            end: Some(range.end),
            by,
        })
    }
}

/// A reader of a fill: it sees what has been written so far and waits for the rest.
#[derive(Debug)]
pub struct Follower {
    digest: Digest,
    running: Arc<Running>,
    progress: watch::Receiver<Progress>,
}

impl Follower {
    pub(super) fn new(digest: Digest, running: &Arc<Running>) -> Self {
        Self {
            digest,
            running: Arc::clone(running),
            progress: running.progress.subscribe(),
        }
    }

    /// Waits until the source has answered: the blob's size, `None` where the source did not announce it, or why there will be
    /// no blob. A blob that is said to be empty has no bytes to hold back, so it is waited for until its digest has matched.
    /// Cancel safe.
    pub async fn size(&mut self) -> Result<Option<u64>, Arc<FillError>> {
        let digest = self.digest;
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

    /// Waits until all bytes are there and the digest has matched: the blob's size, or why there will be no blob. Reads nothing.
    /// Cancel safe.
    pub async fn complete(&mut self) -> Result<u64, Arc<FillError>> {
        let digest = self.digest;
        let ended = self
            .progress
            .wait_for(|progress| {
                matches!(progress, Progress::Complete { .. } | Progress::Failed(_))
            })
            .await;
        match ended.as_deref() {
            Ok(Progress::Complete { size, .. }) => Ok(*size),
            Ok(Progress::Failed(error)) => Err(Arc::clone(error)),
            Ok(Progress::Waiting | Progress::Filling { .. }) | Err(_) => {
                Err(Arc::new(FillError::Abandoned { digest }))
            }
        }
    }

    /// Whether all bytes are there and the digest has matched: only the storing may not be done.
    pub fn is_complete(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Complete { .. })
    }

    /// The file, for a connection that sends from it; none before [`Self::size`] has answered.
    pub fn file(&self) -> Weak<OpenFile> {
        match &*self.progress.borrow() {
            Progress::Filling { file, .. } | Progress::Complete { file, .. } => {
                Arc::downgrade(file)
            }
            Progress::Waiting | Progress::Failed(_) => Weak::new(),
        }
    }

    /// The bytes from `start` to `end`, or to the blob's end where that is `None`, as they arrive.
    pub fn read(self, start: u64, end: Option<u64>, by: ReadBy) -> BlobStream {
        BlobStream::new(Reader {
            source: Source::Filling(self),
            position: start,
            end,
            by,
        })
    }
}

/// A blob's bytes, in pieces of up to 2 MiB. After an error the stream has ended, and the body with it is not whole.
pub struct BlobStream(Pin<Box<dyn Stream<Item = Result<Bytes, ReadError>> + Send>>);

impl BlobStream {
    fn new(reader: Reader) -> Self {
        Self(Box::pin(stream::try_unfold(reader, Reader::step)))
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BlobStream")
    }
}

enum Source {
    Stored(Arc<OpenFile>),
    Filling(Follower),
}

struct Reader {
    source: Source,
    position: u64,
    /// `None`: to the end of a blob whose size is not known yet.
    end: Option<u64>,
    by: ReadBy,
}

impl Reader {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, ReadError> {
        let Some((file, readable)) = self.readable().await? else {
            return Ok(None);
        };
        let bytes = match self.window(&file, readable) {
            Some(window) => window,
            None => self.copy(&file, readable).await?,
        };
        self.position += bytes.len() as u64;
        Ok(Some((bytes, self)))
    }

    fn window(&self, file: &Arc<OpenFile>, readable: u64) -> Option<Bytes> {
        let end = readable.min(self.position + WINDOW);
        // Small pieces are cheaper to copy than to send on their own.
        let worth_it = self.by == ReadBy::Map && end - self.position >= PIECE as u64;
        worth_it.then(|| file.window(self.position..end)).flatten()
    }

    async fn copy(&self, file: &Arc<OpenFile>, readable: u64) -> Result<Bytes, ReadError> {
        let length =
            usize::try_from(readable - self.position).map_or(PIECE, |length| length.min(PIECE));
        let read = match read_at(file, self.position, length).await {
            // The file is shorter than what was promised of it.
            Ok(bytes) if bytes.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
            outcome => outcome,
        };
        read.map_err(|source| {
            if let Source::Stored(file) = &self.source {
                file.condemn(&source);
            }
            ReadError::Io {
                digest: file.digest(),
                source,
            }
        })
    }

    /// Waits for a byte at the current position: the file and how far it may be read; `None` at the end.
    async fn readable(&mut self) -> Result<Option<(Arc<OpenFile>, u64)>, ReadError> {
        let (position, end) = (self.position, self.end);
        if end.is_some_and(|end| position >= end) {
            return Ok(None);
        }
        match &mut self.source {
            Source::Stored(file) => Ok(end.map(|end| (Arc::clone(file), end))),
            Source::Filling(follower) => follower.readable(position, end).await,
        }
    }
}

impl Follower {
    async fn readable(
        &mut self,
        position: u64,
        end: Option<u64>,
    ) -> Result<Option<(Arc<OpenFile>, u64)>, ReadError> {
        // Taken back as soon as this returns, however it does.
        let _wish = self.running.wish(position);
        let moved = self
            .progress
            .wait_for(|progress| match progress {
                Progress::Waiting => false,
                Progress::Filling { .. } => progress.readable(position).is_some(),
                Progress::Complete { .. } | Progress::Failed(_) => true,
            })
            .await;
        let digest = self.digest;
        let Ok(progress) = moved.as_deref() else {
            return Err(ReadError::Fill(Arc::new(FillError::Abandoned { digest })));
        };
        let readable = progress.readable(position);
        match progress {
            Progress::Failed(error) => Err(ReadError::Fill(Arc::clone(error))),
            Progress::Waiting => Err(ReadError::Fill(Arc::new(FillError::Abandoned { digest }))),
            Progress::Filling { file, .. } | Progress::Complete { file, .. } => {
                Ok(readable.map(|readable| {
                    (
                        Arc::clone(file),
                        end.map_or(readable, |end| readable.min(end)),
                    )
                }))
            }
        }
    }
}
