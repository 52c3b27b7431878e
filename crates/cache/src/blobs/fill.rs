//! The duty to bring a blob's bytes.
//!
//! Bytes go network -> bounded queue -> one blocking [writer](super::writer). Followers watch [`Progress`]; only the fill moves
//! it.

use std::sync::Arc;

use manifest_model::Digest;
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};
use tracing::warn;

use super::{
    Spans,
    progress::{Progress, Running, Wishes},
    queue::{FillWriter, queue},
    writer::{WriteJob, Written},
};
use crate::{
    Cache, OpenFile,
    error::{CacheError, FillError, SourceError},
};

/// The duty to bring a blob's bytes: [`admit`](Self::admit), [`start`](Self::start), then all bytes in any order through
/// [writers](Self::writer), then [`commit`](Self::commit); or [`fail`](Self::fail). Dropped in between, its followers see
/// [`FillError::Abandoned`].
///
/// What has been written of a blob of known size survives a failure, and the process: the next fill goes on from there.
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
    pieces: FillWriter,
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

    /// What an earlier download of this blob has left: the blob's size and the bytes that need not be fetched again.
    pub async fn partial(&self) -> Option<(u64, Spans)> {
        let (cache, digest) = (self.cache.clone(), self.digest);
        tokio::task::spawn_blocking(move || cache.blobs().disk().partial(&digest))
            .await
            .ok()
            .flatten()
    }

    /// Makes room, opens the file, tells followers the announced size, and starts the writer. The answer names the bytes that
    /// are there already: those of [`Self::partial`] if the size is the same, else none.
    pub async fn start(&mut self, size: Option<u64>) -> Result<Spans, Arc<FillError>> {
        let (cache, digest) = (self.cache.clone(), self.digest);
        let staged = blocking(digest, move || {
            let room = cache.make_room(&digest, size)?;
            let (staged, there) = cache.blobs().disk().stage_blob(&digest, size)?;
            let file = staged
                .file()
                .try_clone()
                .map_err(CacheError::io("open", staged.path()))?;
            let file = OpenFile::new(digest, file, size, cache.blobs());
            Ok((staged, there, Arc::new(file), room))
        });
        let (staged, there, file, room) = match staged.await {
            Ok(opened) => opened,
            Err(error) => return Err(self.settle_failed(error)),
        };
        self.running.progress.send_replace(Progress::Filling {
            file: Arc::clone(&file),
            size,
            written: Arc::new(there.clone()),
        });
        let (pieces, queue) = queue();
        let running = Arc::clone(&self.running);
        let staged = (staged, there.clone());
        let job = WriteJob::new(digest, staged, file, size, running, room);
        self.writer = Some(Writer {
            pieces,
            outcome: tokio::task::spawn_blocking(move || job.run(queue)),
        });
        Ok(there)
    }

    /// A way to hand over bytes. To be called after [`Self::start`]; all of them have to be dropped before the fill can end.
    pub fn writer(&self) -> FillWriter {
        let writer = self.writer.as_ref().expect("started before the first byte");
        writer.pieces.clone()
    }

    /// Where followers wait for bytes that will not come soon of themselves.
    pub fn wishes(&self) -> Arc<Wishes> {
        self.running.wishes()
    }

    /// Checks length and digest; lets followers see the end; stores the blob. Followers that read to the end do not depend on
    /// the storing: on a full disk they have their bytes, and the caller gets the error.
    pub async fn commit(mut self) -> Result<(), Arc<FillError>> {
        let written = match self.finish_writing().await {
            Ok(written) => written,
            Err(error) => return Err(self.settle_failed(error)),
        };
        let (file, size) = (Arc::clone(&written.file), written.size);
        self.settle(Progress::Complete {
            file: Arc::clone(&file),
            size,
        });
        let (cache, digest) = (self.cache.clone(), self.digest);
        let stored = blocking(digest, move || written.store(&cache, &digest)).await;
        // Only now: whoever joined in between followed the complete file.
        self.cache
            .blobs()
            .retire(&self.digest, stored.is_ok().then_some((file, size)));
        stored.map_err(Arc::new)
    }

    /// Gives up; followers learn `error`. What has been written is kept for the next try.
    pub async fn fail(mut self, error: SourceError) -> Arc<FillError> {
        if self.writer.is_some() {
            // For the journal's last line: the next try may come at once.
            let _ = self.finish_writing().await;
        }
        self.settle_failed(FillError::Source {
            digest: self.digest,
            source: error,
        })
    }

    async fn finish_writing(&mut self) -> Result<Written, FillError> {
        let Writer { pieces, outcome } = self.writer.take().expect("started, and finished once");
        drop(pieces);
        outcome.await.unwrap_or(Err(FillError::Abandoned {
            digest: self.digest,
        }))
    }

    fn settle_failed(&mut self, error: FillError) -> Arc<FillError> {
        let error = Arc::new(error);
        // Out of the map first: who comes after the failure starts anew instead of inheriting it.
        self.cache.blobs().retire(&self.digest, None);
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
