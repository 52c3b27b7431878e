//! The duty to bring a blob's bytes.
//!
//! [`Cache::join`](crate::Cache::join) gives this duty to one caller, under the lock that also
//! finds stored files and running fills, so no blob is ever filled twice at a time. The fill
//! belongs to the process, not to the client that came first: it runs to its end without followers,
//! because its content is nearly always wanted again. The caller bounds the number of fills, and may
//! end one that nobody follows.
//!
//! Bytes go network -> bounded [queue](mod@queue) -> one blocking [writer]. Followers watch the
//! progress; only the fill and its writer move it.

mod publisher;
mod queue;
mod writer;

use std::sync::Arc;

use cache_store::CacheError;
use manifest_model::Digest;
use tokio::task::JoinHandle;
use tracing::warn;

pub(crate) use self::publisher::Publisher;
pub use self::queue::{Closed, FillWriter};
use self::{
    queue::queue,
    writer::{Verified, WriteJob},
};
use crate::{
    Spans,
    blobs::{Arrived, Progress, ReadDemands, Running},
    blocking::blocking,
    error::{FillError, SourceError},
    storage::Demand,
};

/// The duty to bring a blob's bytes: [`start`](Self::start), then all bytes in any order through
/// [writers](Self::writer), then [`commit`](Self::commit); or [`fail`](Self::fail). If it is dropped in between, its followers see [`FillError::Abandoned`].
///
/// The written bytes of a blob of known size survive a failure and the process: the next fill
/// resumes from them.
///
/// Drive it on a task of its own, so that it does not end with the client that happened to come
/// first.
#[derive(Debug)]
pub struct Fill {
    publisher: Publisher,
    digest: Digest,
    running: Arc<Running>,
    writing: Option<Writing>,
    is_settled: bool,
}

/// Those who follow a fill.
#[derive(Clone, Debug)]
pub struct Audience(Arc<Running>);

impl Audience {
    /// How many they are now.
    pub fn count(&self) -> usize {
        self.0.followers()
    }

    /// How far the bytes have come that they read; `None` once it has failed.
    pub fn arrived(&self) -> Option<Arrived> {
        self.0.arrived()
    }
}

/// The running writer: its queue, and its outcome.
#[derive(Debug)]
struct Writing {
    pieces: FillWriter,
    outcome: JoinHandle<Result<Verified, FillError>>,
}

impl Fill {
    pub(crate) fn new(publisher: Publisher, digest: Digest, running: Arc<Running>) -> Self {
        Self {
            publisher,
            digest,
            running,
            writing: None,
            is_settled: false,
        }
    }

    /// The blob being filled.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Those who follow it.
    pub fn audience(&self) -> Audience {
        Audience(Arc::clone(&self.running))
    }

    /// The resumable part of an interrupted download of this blob: the blob's size and the bytes
    /// that need not be downloaded again.
    pub async fn partial(&self) -> Option<(u64, Spans)> {
        let (publisher, digest) = (self.publisher.clone(), self.digest);
        blocking(move || Ok(publisher.partial(&digest)))
            .await
            .ok()
            .flatten()
    }

    /// Makes room, opens the file, shows followers the announced size, and starts the writer.
    /// Returns the bytes written already: those of [`Self::partial`] if the size is the same, else
    /// none.
    pub async fn start(&mut self, size: Option<u64>) -> Result<Spans, Arc<FillError>> {
        let (publisher, digest) = (self.publisher.clone(), self.digest);
        let demand = Demand::of_followers(self.running.followers());
        let staged = self.blocking(move || {
            let room = publisher.reserve(&digest, size, demand)?;
            let (staged, written, file) = publisher.stage(&digest, size, &room)?;
            Ok((staged, written, file, room))
        });
        let (staged, written, file, room) = match staged.await {
            Ok(opened) => opened,
            Err(error) => return Err(self.settle_failed(error)),
        };
        self.running.show(Progress::Filling {
            file: Arc::clone(&file),
            size,
            written: Arc::new(written.clone()),
        });
        let (pieces, queue) = queue();
        let running = Arc::clone(&self.running);
        let staged = (staged, written.clone());
        let job = WriteJob::new(digest, staged, file, size, running, room);
        self.writing = Some(Writing {
            pieces,
            outcome: tokio::task::spawn_blocking(move || job.run(queue)),
        });
        Ok(written)
    }

    /// A handle to hand over bytes, available after [`Self::start`]. The fill cannot end before all
    /// of them are dropped.
    pub fn writer(&self) -> FillWriter {
        let writing = self.writing.as_ref();
        let Writing { pieces, .. } = writing.expect("started before the first byte");
        pieces.clone()
    }

    /// Where followers wait for bytes that will not arrive soon on their own.
    pub fn read_demands(&self) -> Arc<ReadDemands> {
        self.running.read_demands()
    }

    /// Checks length and digest, shows followers the end, and stores the blob. Followers that read
    /// to the end do not depend on the storing: on a full disk they have their bytes, and the
    /// caller gets the error.
    pub async fn commit(mut self) -> Result<(), Arc<FillError>> {
        let verified = match self.finish_writing().await {
            Ok(verified) => verified,
            Err(error) => return Err(self.settle_failed(error)),
        };
        let (file, size) = (Arc::clone(&verified.file), verified.size);
        self.settle(Progress::Complete {
            file: Arc::clone(&file),
            size,
        });
        let (publisher, digest) = (self.publisher.clone(), self.digest);
        let stored =
            self.blocking(move || publisher.publish(verified.into_staged()?, &digest, size));
        let stored = stored.await;
        // Only now: a request that came in between followed the complete file.
        self.publisher
            .end(&self.digest, stored.is_ok().then_some((file, size)));
        stored.map_err(Arc::new)
    }

    /// Gives up; followers see `error`. The written bytes are kept for the next fill.
    pub async fn fail(mut self, error: SourceError) -> Arc<FillError> {
        if self.writing.is_some() {
            // The writer ends with the journal's last line; the next fill may start at once.
            let _ = self.finish_writing().await;
        }
        self.settle_failed(FillError::Source {
            digest: self.digest,
            source: error,
        })
    }

    async fn finish_writing(&mut self) -> Result<Verified, FillError> {
        let writing = self.writing.take();
        let Writing { pieces, outcome } = writing.expect("started, and finished once");
        drop(pieces);
        outcome.await.unwrap_or(Err(FillError::Abandoned {
            digest: self.digest,
        }))
    }

    fn settle_failed(&mut self, error: FillError) -> Arc<FillError> {
        let error = Arc::new(error);
        // First the fill leaves the map: a request after the failure starts anew instead of
        // inheriting it.
        self.publisher.end(&self.digest, None);
        self.settle(Progress::Failed(Arc::clone(&error)));
        error
    }

    fn settle(&mut self, progress: Progress) {
        self.is_settled = true;
        self.running.show(progress);
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, FillError> {
        let digest = self.digest;
        blocking(work).await.map_err(|error| match error {
            CacheError::Interrupted(_) => FillError::Abandoned { digest },
            source => FillError::Storage { digest, source },
        })
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if !self.is_settled {
            warn!(digest = %self.digest, "a download ended early: its task was cut by a shutdown, or panicked");
            self.settle_failed(FillError::Abandoned {
                digest: self.digest,
            });
        }
    }
}
