//! One directory's files and index, and the bounds on both: the part that fills and the front
//! share.

mod admission;
mod counts;
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

use cache_store::{
    CacheError,
    disk::{Disk, Staged},
    index::{Index, answer_or_default},
};
use manifest_model::Digest;
use parking_lot::Mutex;

pub use self::counts::EvictionReason;
use self::{admission::Admission, counts::Counts, reservations::Reservations};
pub(crate) use self::{admission::Demand, room::Room};
use crate::{blobs::Blobs, uses::Uses};

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
    /// Whether what the directory has stored goes first: for blobs that lie elsewhere
    /// ([`Imports::carry`](crate::Imports::carry)).
    pub anew: bool,
    /// How many files stay open for the next reader, in addition to those being read.
    pub max_open_files: usize,
}

/// The cache's size at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all stored blobs.
    pub bytes: u64,
    /// Bytes of those that bundles pin.
    pub pinned_bytes: u64,
    /// Running fills.
    pub fills: usize,
    /// Those who read what they bring, over all of them.
    pub followers: usize,
    /// Stored blobs.
    pub blobs: u64,
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
    /// Blobs evicted since the start, in the order of [`EvictionReason::ALL`].
    pub evictions: [u64; EvictionReason::ALL.len()],
    /// Bytes stored again within a day of their eviction.
    pub refetched_bytes: u64,
    /// Stored blobs and manifests that proved damaged since the start, and were discarded.
    pub damaged: u64,
    /// Bytes that the file system can still give; `None` if it does not tell.
    pub available: Option<u64>,
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
    counts: Counts,
    /// What running fills may grow to.
    claimed: Reservations,
    /// What they have taken: the room of their bytes.
    taken: Reservations,
    admission: Admission,
    /// One eviction at a time; a second one would only look at the same rows.
    evicting: Mutex<()>,
}

impl Storage {
    /// Takes the directory and opens its index. Blocks.
    pub(crate) fn open(options: &Options) -> Result<Self, CacheError> {
        let opened = SystemTime::now();
        let disk = Arc::new(Disk::open(&options.path)?);
        if options.anew {
            disk.clear()?;
        }
        let (index, _) = Index::open(&disk)?;
        Ok(Self {
            blobs: Blobs::new(Arc::clone(&disk), options.max_open_files),
            bytes: AtomicU64::new(index.rows.bytes()?),
            index,
            uses: Uses::default(),
            disk,
            options: options.clone(),
            opened,
            counts: Counts::default(),
            claimed: Reservations::default(),
            taken: Reservations::default(),
            admission: Admission::default(),
            evicting: Mutex::default(),
        })
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            pinned_bytes: answer_or_default(self.index.rows.pinned_bytes()),
            fills: self.blobs.running(),
            followers: self.blobs.followers(),
            blobs: answer_or_default(self.index.rows.count()),
            evicted_bytes: self.counts.bytes(),
            evictions: self.counts.blobs(),
            refetched_bytes: self.counts.refetched(),
            damaged: self.disk.damaged(),
            available: self.disk.free().ok(),
        }
    }

    /// The bound on the sum of all blobs and running fills.
    pub(crate) fn max_size(&self) -> u64 {
        self.options.max_size
    }

    /// Bytes of the file system that are left to others.
    pub(crate) fn min_free(&self) -> u64 {
        self.options.min_free
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
        self.index.rows.record_blobs(&[(*digest, size)])?;
        self.disk.publish(&staged, digest)?;
        drop(staged);
        self.counts.stored(digest, size);
        self.after_growth()
    }

    /// The same for many verified files.
    pub(crate) fn publish_all(&self, staged: &[(Staged, Digest, u64)]) -> Result<(), CacheError> {
        self.disk.sync_file_system()?;
        let rows: Vec<_> = staged
            .iter()
            .map(|(_, digest, size)| (*digest, *size))
            .collect();
        self.index.rows.record_blobs(&rows)?;
        self.disk
            .publish_all(staged.iter().map(|(staged, digest, _)| (staged, digest)))
    }
}
