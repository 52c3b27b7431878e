//! The single writer of a blob that is on its way.
//!
//! Bytes go network -> bounded channel -> one blocking writer, which writes, publishes how far it came, and hashes. Followers
//! watch [`Progress`]; only the fill moves it.

use std::{
    fs::File,
    io::{self, IoSlice, Write},
    sync::Arc,
};

use bytes::Bytes;
use manifest_model::{Digest, Hasher};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinHandle,
};
use tracing::warn;

use crate::{
    Cache,
    disk::Staged,
    error::{CacheError, FillError, SourceError},
};

/// How many bytes at the end of a blob nobody sees before the digest has matched.
pub const HOLD_BACK: u64 = 16 * 1024;

/// Chunks that may wait for the writer; with chunks of up to some hundred KiB, the memory of one fill.
const CHUNKS_IN_FLIGHT: usize = 16;

/// Chunks written with one system call.
const CHUNKS_PER_WRITE: usize = 16;

/// How far a download has come.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The source has not answered yet.
    Waiting,
    /// Bytes are arriving.
    Filling {
        /// The size the source announced, if it did.
        size: Option<u64>,
        /// Followers may read up to here.
        visible: u64,
        /// The growing file.
        file: Arc<File>,
    },
    /// All bytes are there and the digest has matched.
    Complete {
        /// The blob's size.
        size: u64,
        /// The whole file.
        file: Arc<File>,
    },
    /// It will not be completed.
    Failed(Arc<FillError>),
}

/// What a fill shares with its followers.
#[derive(Debug)]
pub(crate) struct Running {
    progress: watch::Sender<Progress>,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            progress: watch::Sender::new(Progress::Waiting),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }
}

/// The duty to bring a blob's bytes: [`admit`](Self::admit), [`start`](Self::start), [`write`](Self::write) until the end, then
/// [`commit`](Self::commit); or [`fail`](Self::fail). Dropped in between, its followers see [`FillError::Abandoned`].
///
/// Drive it on a task of its own, so that it does not end with the client that happened to come first.
#[derive(Debug)]
pub struct Fill {
    cache: Cache,
    digest: Digest,
    running: Arc<Running>,
    slot: Option<OwnedSemaphorePermit>,
    writer: Option<Writer>,
    settled: bool,
}

#[derive(Debug)]
struct Writer {
    chunks: mpsc::Sender<Bytes>,
    outcome: JoinHandle<Result<Written, FillError>>,
}

impl Fill {
    pub(super) fn new(cache: Cache, digest: Digest, running: Arc<Running>) -> Self {
        Self {
            cache,
            digest,
            running,
            slot: None,
            writer: None,
            settled: false,
        }
    }

    /// The blob being filled.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Waits for one of the fill slots. Cancel safe.
    pub async fn admit(&mut self) {
        let slots = Arc::clone(&self.cache.blobs().slots);
        self.slot = Some(
            slots
                .acquire_owned()
                .await
                .expect("the slots are never closed"),
        );
    }

    /// Opens the file, tells followers the announced size, and starts the writer.
    pub async fn start(&mut self, size: Option<u64>) -> Result<(), Arc<FillError>> {
        let (cache, digest) = (self.cache.clone(), self.digest);
        let staged = blocking(digest, move || cache.blobs().disk().stage(&digest))
            .await
            .and_then(|staged| {
                let file = staged
                    .file()
                    .try_clone()
                    .map_err(CacheError::io("open", staged.path()));
                file.map(|file| (staged, Arc::new(file)))
                    .map_err(|source| FillError::Storage { digest, source })
            });
        let (staged, file) = match staged {
            Ok(opened) => opened,
            Err(error) => return Err(self.settle_failed(error)),
        };
        self.running.progress.send_replace(Progress::Filling {
            size,
            visible: 0,
            file: Arc::clone(&file),
        });
        let (chunks, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let job = WriteJob {
            staged,
            file,
            digest,
            size,
            running: Arc::clone(&self.running),
        };
        self.writer = Some(Writer {
            chunks,
            outcome: tokio::task::spawn_blocking(move || job.run(receiver)),
        });
        Ok(())
    }

    /// Hands over the next bytes; waits while the disk is behind. An error means the fill has failed and followers know.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Arc<FillError>> {
        let writer = self.writer.as_mut().expect("started before the first byte");
        if writer.chunks.send(chunk).await.is_ok() {
            return Ok(());
        }
        // The writer closed its end: it has failed, and its outcome says why.
        match self.finish_writing().await {
            Err(error) => Err(self.settle_failed(error)),
            Ok(_) => Err(self.settle_failed(FillError::Abandoned {
                digest: self.digest,
            })),
        }
    }

    /// Checks length and digest; lets followers see the end; stores the blob. Followers that read to the end do not depend on
    /// the storing: on a full disk they have their bytes, and the caller gets the error.
    pub async fn commit(mut self) -> Result<(), Arc<FillError>> {
        let written = match self.finish_writing().await {
            Ok(written) => written,
            Err(error) => return Err(self.settle_failed(error)),
        };
        self.settle(Progress::Complete {
            size: written.size,
            file: written.file,
        });
        let (cache, digest, size) = (self.cache.clone(), self.digest, written.size);
        let stored = blocking(digest, move || {
            cache.publish_blob(&written.staged, &digest, size)
        })
        .await;
        // Only now: whoever joined in between followed the complete file.
        self.cache.blobs().retire(&self.digest);
        stored.map_err(Arc::new)
    }

    /// Gives up; followers learn `error`.
    pub fn fail(mut self, error: SourceError) -> Arc<FillError> {
        self.settle_failed(FillError::Source {
            digest: self.digest,
            source: error,
        })
    }

    async fn finish_writing(&mut self) -> Result<Written, FillError> {
        let Writer { chunks, outcome } = self.writer.take().expect("started, and finished once");
        drop(chunks);
        outcome.await.unwrap_or(Err(FillError::Abandoned {
            digest: self.digest,
        }))
    }

    fn settle_failed(&mut self, error: FillError) -> Arc<FillError> {
        let error = Arc::new(error);
        // Out of the map first: who comes after the failure starts anew instead of inheriting it.
        self.cache.blobs().retire(&self.digest);
        self.settle(Progress::Failed(Arc::clone(&error)));
        error
    }

    fn settle(&mut self, progress: Progress) {
        self.settled = true;
        self.running.progress.send_replace(progress);
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if !self.settled {
            warn!(digest = %self.digest, "a download was abandoned");
            self.settle_failed(FillError::Abandoned {
                digest: self.digest,
            });
        }
    }
}

async fn blocking<T: Send + 'static>(
    digest: Digest,
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, FillError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|source| FillError::Storage { digest, source }),
        Err(_) => Err(FillError::Abandoned { digest }),
    }
}

/// A blob whose bytes are all written and right, not yet synced.
#[derive(Debug)]
struct Written {
    staged: Staged,
    file: Arc<File>,
    size: u64,
}

/// What the blocking writer owns.
struct WriteJob {
    staged: Staged,
    file: Arc<File>,
    digest: Digest,
    size: Option<u64>,
    running: Arc<Running>,
}

impl WriteJob {
    fn run(self, mut chunks: mpsc::Receiver<Bytes>) -> Result<Written, FillError> {
        let mut hasher = Hasher::new(self.digest.algorithm());
        let mut written = 0;
        let mut batch = Vec::with_capacity(CHUNKS_PER_WRITE);
        while chunks.blocking_recv_many(&mut batch, CHUNKS_PER_WRITE) > 0 {
            written += batch.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
            if let Some(announced) = self.size.filter(|&announced| written > announced) {
                return Err(FillError::Length {
                    digest: self.digest,
                    announced,
                    received: written,
                });
            }
            write_all_vectored(self.staged.file(), &batch)
                .map_err(CacheError::io("write", self.staged.path()))
                .map_err(|source| FillError::Storage {
                    digest: self.digest,
                    source,
                })?;
            self.publish(written);
            for chunk in batch.drain(..) {
                hasher.update(&chunk);
            }
        }
        if let Some(announced) = self.size.filter(|&announced| written != announced) {
            return Err(FillError::Length {
                digest: self.digest,
                announced,
                received: written,
            });
        }
        let actual = hasher.finish();
        if actual != self.digest {
            return Err(FillError::Corrupt {
                expected: self.digest,
                actual,
            });
        }
        Ok(Written {
            staged: self.staged,
            file: self.file,
            size: written,
        })
    }

    /// Where the size is known, only its end is held back; where it is not, any byte may belong to the end.
    fn publish(&self, written: u64) {
        let visible = match self.size {
            Some(size) => written.min(size.saturating_sub(HOLD_BACK)),
            None => written.saturating_sub(HOLD_BACK),
        };
        let file = Arc::clone(&self.file);
        self.running.progress.send_replace(Progress::Filling {
            size: self.size,
            visible,
            file,
        });
    }
}

fn write_all_vectored(mut file: &File, chunks: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
