//! One directory's files and index, and the bounds on both: the part that fills and the front
//! share.

mod eviction;
mod reservations;
mod room;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use manifest_model::Digest;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::reservations::Reservations;
pub(crate) use self::room::Room;
use crate::{
    blobs::Blobs,
    disk::{Disk, Staged},
    error::CacheError,
    index::Index,
    uses::Uses,
};

/// Where a cache is and how much it may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory; created if need be, and owned by one process at a time.
    pub path: PathBuf,
    /// The bound on the sum of all blobs and running fills, in bytes; above it blobs are evicted. A
    /// fill that does not fit beside the other running ones fails with [`CacheError::Full`].
    pub max_size: u64,
    /// The size at which an eviction stops: not above `max_size`.
    pub low_water: u64,
    /// Bytes of the file system that are left to others: no download starts, or grows, into them.
    pub min_free: u64,
    /// How many fills may run at the same time; further ones wait for a permit.
    pub max_fills: usize,
    /// How many files stay open for the next reader, in addition to those being read.
    pub max_open_files: usize,
}

/// The cache's size at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all stored blobs.
    pub bytes: u64,
    /// Running fills.
    pub fills: usize,
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
}

/// The parts of an open cache.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) blobs: Blobs,
    pub(crate) index: Index,
    pub(crate) uses: Uses,
    /// After the index, so that its file is closed before the directory's lock is released.
    pub(crate) disk: Arc<Disk>,
    options: Options,
    opened: SystemTime,
    bytes: AtomicU64,
    evicted_bytes: AtomicU64,
    reserved: Reservations,
    fill_permits: Arc<Semaphore>,
    /// One eviction at a time; a second one would only look at the same rows.
    evicting: Mutex<()>,
}

impl Storage {
    /// Takes the directory and opens its index. Blocks.
    pub(crate) fn open(options: &Options) -> Result<Self, CacheError> {
        let opened = SystemTime::now();
        let disk = Arc::new(Disk::open(&options.path)?);
        let (index, _) = Index::open(&disk)?;
        Ok(Self {
            blobs: Blobs::new(Arc::clone(&disk), options.max_open_files),
            bytes: AtomicU64::new(index.rows.bytes()?),
            index,
            uses: Uses::default(),
            disk,
            options: options.clone(),
            opened,
            evicted_bytes: AtomicU64::new(0),
            reserved: Reservations::default(),
            fill_permits: Arc::new(Semaphore::new(options.max_fills)),
            evicting: Mutex::default(),
        })
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            fills: self.blobs.running(),
            evicted_bytes: self.evicted_bytes.load(Ordering::Relaxed),
        }
    }

    /// One permit per fill that may run at the same time.
    pub(crate) fn fill_permits(&self) -> &Arc<Semaphore> {
        &self.fill_permits
    }

    /// Syncs a verified file, records it and makes it visible, in an order that survives a crash.
    /// Blocks.
    pub(crate) fn publish(
        &self,
        staged: Staged,
        digest: &Digest,
        size: u64,
    ) -> Result<(), CacheError> {
        staged.sync()?;
        self.index.rows.record_blob(digest, size)?;
        self.disk.publish(&staged, digest)?;
        drop(staged);
        self.after_growth()
    }
}
