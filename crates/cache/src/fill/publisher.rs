//! The part of the cache that a fill may use.

use std::sync::Arc;

use cache_store::{CacheError, disk::Staged};
use manifest_model::Digest;

use crate::{
    OpenFile, Spans,
    storage::{Demand, Room, Storage},
};

/// Reserves room, stages a file and publishes it. Cheap to clone. Everything blocks.
#[derive(Clone, Debug)]
pub(crate) struct Publisher(Arc<Storage>);

impl Publisher {
    pub(crate) fn new(storage: &Arc<Storage>) -> Self {
        Self(Arc::clone(storage))
    }

    /// The resumable bytes of an interrupted download of `digest`, and the size of the blob.
    pub(super) fn partial(&self, digest: &Digest) -> Option<(u64, Spans)> {
        self.0.disk.ingest.partial(digest)
    }

    /// Makes room for a download.
    pub(super) fn reserve(
        &self,
        digest: &Digest,
        size: Option<u64>,
        demand: Demand,
    ) -> Result<Room, CacheError> {
        self.0.make_room(digest, size, demand)
    }

    /// The file of a download to write to, its written bytes, and the same file to read from.
    pub(super) fn stage(
        &self,
        digest: &Digest,
        size: Option<u64>,
        room: &Room,
    ) -> Result<(Staged, Spans, Arc<OpenFile>), CacheError> {
        let disk = &self.0.disk;
        let blocks = room.blocks();
        let (staged, written) = disk.ingest.stage_download(digest, size, blocks)?;
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
