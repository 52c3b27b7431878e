//! The part of the cache that a fill may use.

use std::sync::Arc;

use manifest_model::Digest;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    OpenFile,
    disk::Staged,
    error::CacheError,
    spans::Spans,
    storage::{Room, Storage},
};

/// Reserves room, stages a file and publishes it. Cheap to clone. All but [`Self::permit`] blocks.
#[derive(Clone, Debug)]
pub(crate) struct Publisher(Arc<Storage>);

impl Publisher {
    pub(crate) fn new(storage: &Arc<Storage>) -> Self {
        Self(Arc::clone(storage))
    }

    /// Waits for a fill permit.
    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        let permits = Arc::clone(self.0.fill_permits());
        let permit = permits.acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// The resumable bytes of an interrupted download of `digest`, and the size of the blob.
    pub(super) fn partial(&self, digest: &Digest) -> Option<(u64, Spans)> {
        self.0.disk.ingest.partial(digest)
    }

    /// Makes room for a download.
    pub(super) fn reserve(&self, digest: &Digest, size: Option<u64>) -> Result<Room, CacheError> {
        self.0.make_room(digest, size)
    }

    /// The file of a download to write to, its written bytes, and the same file to read from.
    pub(super) fn stage(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<(Staged, Spans, Arc<OpenFile>), CacheError> {
        let disk = &self.0.disk;
        let (staged, written) = disk.ingest.stage_download(digest, size)?;
        let file = staged
            .file()
            .try_clone()
            .map_err(CacheError::io("open", staged.path()))?;
        let file = OpenFile::new(*digest, file, size, disk);
        Ok((staged, written, Arc::new(file)))
    }

    /// Stores a verified file.
    pub(super) fn publish(
        &self,
        staged: Staged,
        digest: &Digest,
        size: u64,
    ) -> Result<(), CacheError> {
        self.0.publish(staged, digest, size)
    }

    /// Ends the fill of `digest`; a stored blob keeps its open file.
    pub(super) fn end(&self, digest: &Digest, stored: Option<(Arc<OpenFile>, u64)>) {
        self.0.blobs.end_fill(digest, stored);
    }
}
