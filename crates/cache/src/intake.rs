//! Blobs that come out of a file at hand, in place of an upstream: many at a time, made durable
//! together.
//!
//! Each is brought into a file of its own, by the file system if it can share extents, and all of
//! that file is hashed: what the source had read, or claimed, proves nothing. Nobody can read the
//! blobs before a link opens them.

use std::{
    fs::File,
    io::{self, Seek},
    sync::Arc,
    time::{Duration, Instant},
};

use cache_store::{CacheError, disk::Staged};
use manifest_model::{Digest, Hasher};
use tracing::warn;

use crate::storage::{Demand, Room, Storage};

/// How much of a file is hashed at once.
const CHUNK: usize = 256 << 10;

/// Verified blobs are published when there are this many, or when this long has passed: a `kill -9`
/// loses no more than that.
const MAX_BATCH: usize = 512;
const MAX_BATCH_AGE: Duration = Duration::from_secs(1);

/// The blobs of one import. Those that are not [published](Self::publish) when it is dropped are
/// deleted.
#[derive(Debug)]
pub struct Intake {
    storage: Arc<Storage>,
    verified: Vec<(Staged, Digest, u64)>,
    rooms: Vec<Room>,
    published: Instant,
}

/// Why a blob was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Its bytes could not be brought: the source cannot be read, or the disk is full.
    #[error("cannot copy the blob {digest}")]
    Copy {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// The bytes are others.
    #[error("the bytes of the blob {digest} are not those its digest names")]
    Corrupt {
        /// The blob.
        digest: Digest,
    },
    /// The cache cannot hold it.
    #[error("cannot store the blob {digest}")]
    Storage {
        /// The blob.
        digest: Digest,
        /// Why.
        source: CacheError,
    },
}

impl Intake {
    pub(crate) fn new(storage: &Arc<Storage>) -> Self {
        Self {
            storage: Arc::clone(storage),
            verified: Vec::new(),
            rooms: Vec::new(),
            published: Instant::now(),
        }
    }

    /// Takes a blob whose `size` bytes `bring` writes to an empty file, and publishes it with those
    /// before it now and then. Blocks.
    pub fn take(
        &mut self,
        digest: &Digest,
        size: u64,
        bring: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<(), IntakeError> {
        let (digest, storage) = (*digest, &self.storage);
        let store_failed = |source| IntakeError::Storage { digest, source };
        forget_lost(storage, &digest).map_err(store_failed)?;
        // Whoever imports a bundle wants all of it.
        let room = storage.make_room(&digest, Some(size), Demand::Again);
        let mut room = room.map_err(store_failed)?;
        room.grow_to(size).map_err(store_failed)?;
        let staged = storage.disk.ingest.stage(&digest).map_err(store_failed)?;
        let copy_failed = |source| IntakeError::Copy { digest, source };
        bring(staged.file()).map_err(copy_failed)?;
        let (actual, length) = hash(staged.file(), &digest, |_| ()).map_err(copy_failed)?;
        if actual != digest || length != size {
            return Err(IntakeError::Corrupt { digest });
        }
        self.verified.push((staged, digest, size));
        self.rooms.push(room);
        if self.verified.len() >= MAX_BATCH || self.published.elapsed() >= MAX_BATCH_AGE {
            self.publish().map_err(store_failed)?;
        }
        Ok(())
    }

    /// Whether the blob is stored and its bytes, all of which are read, are those that its digest
    /// names. `read` is called with the number of bytes read since its last call. Blocks.
    pub fn has_sound(
        &self,
        digest: &Digest,
        size: u64,
        read: impl FnMut(u64),
    ) -> Result<bool, IntakeError> {
        let failed = |source| IntakeError::Storage {
            digest: *digest,
            source,
        };
        let found = self.storage.disk.find(digest).map_err(failed)?;
        let Some(found) = found.filter(|found| found.size == size) else {
            return Ok(false);
        };
        match hash(&found.file, digest, read) {
            Ok((actual, _)) => Ok(actual == *digest),
            // What the disk cannot read comes again.
            Err(error) => {
                warn!(%digest, %error, "a stored blob of a bundle cannot be read; it comes again");
                Ok(false)
            }
        }
    }

    /// Makes all blobs that were taken durable, and part of the cache. Blocks.
    pub fn publish(&mut self) -> Result<(), CacheError> {
        if !self.verified.is_empty() {
            for (_, digest, _) in &self.verified {
                // A file in its place is damaged, and may be open.
                if self.storage.disk.size(digest)?.is_some() {
                    self.storage.blobs.discard(digest)?;
                }
            }
            self.storage.publish_all(&self.verified)?;
            self.verified.clear();
            self.rooms.clear();
            self.storage.after_growth()?;
        }
        self.published = Instant::now();
        Ok(())
    }
}

/// Removes the row of a blob whose file is gone or damaged: a pinned one would take the room of the
/// blob that comes in its place.
fn forget_lost(storage: &Storage, digest: &Digest) -> Result<(), CacheError> {
    let rows = &storage.index.rows;
    if rows.size(digest)?.is_some() {
        rows.remove(&[*digest])?;
    }
    Ok(())
}

/// The digest and the length of a file, whatever its position.
fn hash(mut file: &File, digest: &Digest, read: impl FnMut(u64)) -> io::Result<(Digest, u64)> {
    file.rewind()?;
    let mut hasher = Hasher::new(digest.algorithm());
    let length = hasher.add_all(&mut file, &mut vec![0; CHUNK], read)?;
    Ok((hasher.finish(), length))
}
