//! Readers of a stored blob, and of one that is still arriving.
//!
//! A [`Follower`] reads the growing file where it is written: the page cache carries the bytes to
//! all followers, and no channel copies them. The last [`HOLD_BACK`](super::HOLD_BACK) bytes stay
//! hidden until the digest has matched. If it does not match, the file is deleted and every
//! follower gets an error, upon which its connection must break.

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

use super::progress::{Onlooker, Progress, Running};
use crate::{
    OpenFile,
    error::{FillError, ReadError},
    open_file::{PIECE_SIZE, SMALL_PIECE_SIZE, read_at},
};

/// The largest piece of a mapping: the amount that a single `sendfile` sends. Larger pieces would
/// count as sent long before they are.
const MAX_WINDOW: u64 = 2 * 1024 * 1024;

/// The bytes of a body after which its pieces grow. A piece for a client that takes none is memory
/// that this client holds; the kernel's buffers of both sides take less than this while nobody
/// reads, so whoever gets here reads.
const PROOF: u64 = 4 * 1024 * 1024;

/// How a reader gets its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBy {
    /// Copied into memory of their own, in small pieces: for a connection that has many bodies
    /// under way at once.
    SmallCopy,
    /// The same, in larger pieces once the client has taken some MiB: each piece costs a
    /// few system calls.
    Copy,
    /// As pieces of the file's mapping if it has one, for a connection that sends from the file
    /// itself. See [`OpenFile::offset_of`].
    Map,
}

/// A stored blob, open for reading. It is not evicted while this or a stream of it lives. Cheap to
/// clone.
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

    /// Whether the bytes are those that the digest names. At once for a blob with a file of its own;
    /// one in a bundle that is served as it is was not hashed when it came, so that is done once.
    pub async fn is_sound(&self) -> bool {
        if !self.file.is_to_be_proved() {
            return self.file.is_sound();
        }
        let file = Arc::clone(&self.file);
        let proved = tokio::task::spawn_blocking(move || file.is_sound());
        proved.await.unwrap_or(false)
    }

    /// The bytes of `range`, which must lie within the blob, all at once: as pieces of the file's
    /// mapping if it has one, so that they are no memory of ours.
    pub async fn part(&self, range: Range<u64>) -> Result<Vec<Bytes>, ReadError> {
        all_of(&self.file, range).await
    }

    /// The bytes of `range`, which must lie within the blob.
    pub fn read(self, range: Range<u64>, by: ReadBy) -> BlobStream {
        debug_assert!(range.end <= self.size);
        BlobStream::new(Reader {
            source: ReadSource::Stored(self.file),
            start: range.start,
            position: range.start,
            end: Some(range.end),
            by,
        })
    }
}

/// A reader of a running fill: it sees the written bytes and waits for the rest.
#[derive(Debug)]
pub struct Follower {
    /// Of one that the fill does not run for. Goes before the count that it is taken off.
    onlooker: Option<Onlooker>,
    digest: Digest,
    running: Arc<Running>,
    progress: watch::Receiver<Progress>,
}

impl Follower {
    pub(super) fn new(digest: Digest, running: &Arc<Running>) -> Self {
        Self {
            onlooker: None,
            digest,
            running: Arc::clone(running),
            progress: running.subscribe(),
        }
    }

    /// The same follower as one that looks on: a fill that has no other may give way.
    #[must_use]
    pub fn looking_on(mut self) -> Self {
        let running = &self.running;
        self.onlooker.get_or_insert_with(|| running.look_on());
        self
    }

    /// The blob that is followed.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes of `range`, which must lie within the blob, once all of them can be read; as
    /// [`Blob::part`]. Those at the end of the blob can once the digest has matched. Cancel safe.
    pub async fn part(&mut self, range: Range<u64>) -> Result<Vec<Bytes>, ReadError> {
        let digest = self.digest;
        let is_there = |progress: &Progress| match progress {
            Progress::Waiting => false,
            Progress::Filling { .. } => progress
                .readable(range.start)
                .is_some_and(|end| end >= range.end),
            Progress::Complete { .. } | Progress::Failed(_) => true,
        };
        let file = match self.progress.wait_for(is_there).await.as_deref() {
            Ok(Progress::Filling { file, .. } | Progress::Complete { file, .. }) => {
                Arc::clone(file)
            }
            Ok(Progress::Failed(error)) => return Err(ReadError::Fill(Arc::clone(error))),
            Ok(Progress::Waiting) | Err(_) => {
                return Err(ReadError::Fill(Arc::new(FillError::Abandoned { digest })));
            }
        };
        all_of(&file, range).await
    }

    /// Waits until the source has answered: the blob's size, `None` if the source did not announce
    /// it, or the reason why there will be no blob. An empty blob has no bytes to hold back, so
    /// this waits until its digest has matched. Cancel safe.
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

    /// Waits until all bytes are written and the digest has matched: the blob's size, or the reason
    /// why there will be no blob. Reads nothing. Cancel safe.
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

    /// Waits until the fill has ended: the blob is stored, or will not be. Cancel safe.
    pub async fn ended(&self) {
        self.running.ended().await;
    }

    /// The blob, once all bytes are written and the digest has matched. It may not be stored yet.
    pub fn blob(&self) -> Option<Blob> {
        match &*self.progress.borrow() {
            Progress::Complete { file, size } => Some(Blob::new(Arc::clone(file), *size)),
            Progress::Waiting | Progress::Filling { .. } | Progress::Failed(_) => None,
        }
    }

    /// The file, for a connection that sends from it; dangling before [`Self::size`] has answered.
    pub fn file(&self) -> Weak<OpenFile> {
        match &*self.progress.borrow() {
            Progress::Filling { file, .. } | Progress::Complete { file, .. } => {
                Arc::downgrade(file)
            }
            Progress::Waiting | Progress::Failed(_) => Weak::new(),
        }
    }

    /// The bytes from `start` to `end`, or to the blob's end if that is `None`, as they arrive.
    pub fn read(self, start: u64, end: Option<u64>, by: ReadBy) -> BlobStream {
        BlobStream::new(Reader {
            source: ReadSource::Filling(self),
            start,
            position: start,
            end,
            by,
        })
    }
}

/// A blob's bytes, in pieces of up to 2 MiB. An error ends the stream and means that the body is
/// not whole.
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

async fn all_of(file: &Arc<OpenFile>, range: Range<u64>) -> Result<Vec<Bytes>, ReadError> {
    let (mut pieces, mut position) = (Vec::new(), range.start);
    while position < range.end {
        let end = range.end.min(position + MAX_WINDOW);
        let piece = if let Some(window) = file.window(position..end) {
            window
        } else {
            let length = usize::try_from(end - position).unwrap_or(PIECE_SIZE);
            let read = match read_at(file, position, length.min(PIECE_SIZE)).await {
                Ok(bytes) if bytes.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
                outcome => outcome,
            };
            read.map_err(|source| ReadError::Io {
                digest: file.digest(),
                source,
            })?
        };
        position += piece.len() as u64;
        pieces.push(piece);
    }
    Ok(pieces)
}

enum ReadSource {
    Stored(Arc<OpenFile>),
    Filling(Follower),
}

struct Reader {
    source: ReadSource,
    start: u64,
    position: u64,
    /// `None`: the end of a blob whose size is not known yet.
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
        let end = readable.min(self.position + MAX_WINDOW);
        // Small pieces are cheaper to copy than to send on their own.
        let worth_it = self.by == ReadBy::Map && end - self.position >= PIECE_SIZE as u64;
        worth_it.then(|| file.window(self.position..end)).flatten()
    }

    /// The size of the next copied piece.
    fn piece(&self) -> usize {
        match self.by {
            ReadBy::Copy if self.position - self.start >= PROOF => PIECE_SIZE,
            ReadBy::SmallCopy | ReadBy::Copy => SMALL_PIECE_SIZE,
            // Sent by the kernel, or the short rest of a mapped file.
            ReadBy::Map => PIECE_SIZE,
        }
    }

    async fn copy(&self, file: &Arc<OpenFile>, readable: u64) -> Result<Bytes, ReadError> {
        let piece = self.piece();
        let length =
            usize::try_from(readable - self.position).map_or(piece, |length| length.min(piece));
        let read = match read_at(file, self.position, length).await {
            // The file is shorter than it was when it was opened.
            Ok(bytes) if bytes.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
            outcome => outcome,
        };
        read.map_err(|source| {
            if let ReadSource::Stored(file) = &self.source {
                file.discard_if_damaged(&source);
            }
            ReadError::Io {
                digest: file.digest(),
                source,
            }
        })
    }

    /// Waits for a byte at the current position: the file and the end of its readable bytes; `None`
    /// at the end of the blob.
    async fn readable(&mut self) -> Result<Option<(Arc<OpenFile>, u64)>, ReadError> {
        let (position, end) = (self.position, self.end);
        if end.is_some_and(|end| position >= end) {
            return Ok(None);
        }
        match &mut self.source {
            ReadSource::Stored(file) => Ok(end.map(|end| (Arc::clone(file), end))),
            ReadSource::Filling(follower) => follower.readable(position, end).await,
        }
    }
}

impl Follower {
    async fn readable(
        &mut self,
        position: u64,
        end: Option<u64>,
    ) -> Result<Option<(Arc<OpenFile>, u64)>, ReadError> {
        // Withdrawn as soon as this returns, however it does.
        let _demand = self.running.demand(position);
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
