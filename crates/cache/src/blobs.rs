//! The blobs that are stored, being filled, or being read, under one lock.
//!
//! One lock decides and acts: a fill that ends meanwhile is seen as running or as stored, never as
//! neither. Eviction asks here too, so that no blob in use goes.

mod held;
mod open_files;
mod progress;
mod readers;

use std::{collections::HashMap, sync::Arc};

use cache_store::{
    CacheError,
    disk::{Disk, FoundBlob, Unpublished},
};
use manifest_model::Digest;
use parking_lot::Mutex;
use tracing::error;

pub(crate) use self::progress::{Progress, Running};
use self::{held::HeldBlobs, open_files::OpenFiles};
pub use self::{
    progress::{Arrived, HOLD_BACK, ReadDemands},
    readers::{Blob, BlobStream, Follower, ReadBy},
};
use crate::OpenFile;

/// All blobs of one directory.
#[derive(Debug)]
pub(crate) struct Blobs {
    disk: Arc<Disk>,
    /// Held for map operations and an `open` at most.
    table: Mutex<BlobTable>,
}

#[derive(Debug)]
struct BlobTable {
    /// At most one fill per digest; [`Blobs::end_fill`] removes it.
    running: HashMap<Digest, Arc<Running>>,
    open: OpenFiles,
    held: HeldBlobs,
}

/// The answer to a request for a blob.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is stored.
    Stored(Blob),
    /// A fill is running.
    Following(Follower),
    /// The caller now has to run the fill.
    Leading(Arc<Running>, Follower),
}

/// The outcome of an attempt to evict a blob.
#[derive(Debug)]
pub(crate) enum Eviction {
    /// Somebody reads, holds or fills it: it stays.
    InUse,
    /// There was no file.
    Absent,
    /// It has no name any more; its space is yet to be freed.
    Unpublished(Unpublished),
}

impl Blobs {
    pub(crate) fn new(disk: Arc<Disk>, max_open_files: usize) -> Self {
        Self {
            disk,
            table: Mutex::new(BlobTable {
                running: HashMap::new(),
                open: OpenFiles::new(max_open_files),
                held: HeldBlobs::default(),
            }),
        }
    }

    /// The number of running fills.
    pub(crate) fn running(&self) -> usize {
        self.table.lock().running.len()
    }

    /// Those who follow a running fill.
    pub(crate) fn followers(&self) -> usize {
        let table = self.table.lock();
        let running = table.running.values();
        running.map(|running| running.followers()).sum()
    }

    pub(crate) fn is_running(&self, digest: &Digest) -> bool {
        self.table.lock().running.contains_key(digest)
    }

    /// The file and the size of a blob whose digest has matched and whose fill has not ended yet.
    pub(crate) fn complete(&self, digest: &Digest) -> Option<(Arc<OpenFile>, u64)> {
        self.table.lock().running.get(digest)?.complete()
    }

    /// The blob, if it is stored. `recorded` looks its size up in the index; it is called only
    /// when the file has to be opened.
    pub(crate) fn stored(
        &self,
        digest: &Digest,
        recorded: impl FnOnce() -> Option<u64>,
    ) -> Result<Option<Blob>, CacheError> {
        self.open(&mut self.table.lock(), digest, recorded)
    }

    /// The blob if it is stored, else its running fill, else the duty to fill it.
    pub(crate) fn claim(
        &self,
        digest: &Digest,
        recorded: impl FnOnce() -> Option<u64>,
    ) -> Result<Claim, CacheError> {
        let mut table = self.table.lock();
        if let Some(running) = table.running.get(digest) {
            return Ok(Claim::Following(Follower::new(*digest, running)));
        }
        if let Some(blob) = self.open(&mut table, digest, recorded)? {
            return Ok(Claim::Stored(blob));
        }
        let running = Arc::new(Running::new());
        table.running.insert(*digest, Arc::clone(&running));
        let follower = Follower::new(*digest, &running);
        Ok(Claim::Leading(running, follower))
    }

    /// A follower of the running fill of `digest`, if there is one.
    pub(crate) fn follow(&self, digest: &Digest) -> Option<Follower> {
        let table = self.table.lock();
        let running = table.running.get(digest)?;
        Some(Follower::new(*digest, running))
    }

    /// Ends a fill. The file of a stored blob is open already.
    pub(crate) fn end_fill(&self, digest: &Digest, stored: Option<(Arc<OpenFile>, u64)>) {
        let mut table = self.table.lock();
        if let Some(running) = table.running.remove(digest) {
            running.end();
        }
        if let Some((file, size)) = stored.filter(|(file, size)| file.is_fit_for(*size)) {
            table.open.insert(*digest, file, size);
        }
    }

    /// Keeps blobs, stored or not, from eviction until they are released.
    pub(crate) fn hold(&self, digests: &[Digest]) {
        self.table.lock().held.add(digests);
    }

    /// Undoes one [`Self::hold`] of the same blobs.
    pub(crate) fn release(&self, digests: &[Digest]) {
        self.table.lock().held.take(digests);
    }

    /// Unpublishes `digest` unless somebody reads, holds or fills it.
    pub(crate) fn evict(&self, digest: &Digest) -> Result<Eviction, CacheError> {
        let mut table = self.table.lock();
        if table.running.contains_key(digest)
            || table.held.contains(digest)
            || !table.open.close_unless_in_use(digest)
        {
            return Ok(Eviction::InUse);
        }
        Ok(self
            .disk
            .unpublish(digest)?
            .map_or(Eviction::Absent, Eviction::Unpublished))
    }

    /// Discards a blob, even while somebody reads it, and says whether there was one. Its readers
    /// have its file open and read on.
    pub(crate) fn discard(&self, digest: &Digest) -> Result<bool, CacheError> {
        let unpublished = {
            let mut table = self.table.lock();
            table.open.forget(digest);
            self.disk.unpublish(digest)?
        };
        let is_there = unpublished.is_some();
        unpublished.map_or(Ok(()), Unpublished::delete)?;
        Ok(is_there)
    }

    fn open(
        &self,
        table: &mut BlobTable,
        digest: &Digest,
        recorded: impl FnOnce() -> Option<u64>,
    ) -> Result<Option<Blob>, CacheError> {
        if let Some((file, size)) = table.open.get(digest) {
            return Ok(Some(Blob::new(file, size)));
        }
        let Some(found) = self.find(&mut table.open, digest, recorded)? else {
            return Ok(None);
        };
        let size = found.size;
        let file = Arc::new(OpenFile::found(*digest, found, &self.disk));
        table.open.insert(*digest, Arc::clone(&file), size);
        Ok(Some(Blob::new(file, size)))
    }

    /// A stored file of the recorded size. One of another size is damaged and is discarded. When
    /// the process may open no more files, idle ones are closed first.
    fn find(
        &self,
        open: &mut OpenFiles,
        digest: &Digest,
        recorded: impl FnOnce() -> Option<u64>,
    ) -> Result<Option<FoundBlob>, CacheError> {
        let found = match self.disk.find(digest) {
            Err(error) if error.is_out_of_files() && open.close_idle() => self.disk.find(digest),
            found => found,
        };
        let Some(found) = found? else {
            return Ok(None);
        };
        let size = found.size;
        match recorded() {
            Some(recorded) if size != recorded => {
                error!(%digest, size, recorded, "discarding a stored blob whose size has changed");
                self.disk.note_damage();
                if let Some(unpublished) = self.disk.unpublish(digest)? {
                    unpublished.delete()?;
                }
                Ok(None)
            }
            _ => Ok(Some(found)),
        }
    }
}
