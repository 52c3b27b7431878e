//! A cache directory seen from outside, for an operator's commands.
//!
//! [`Directory`] reads. It needs no lock for the files, so it works beside a serving process; it
//! reads the index only while no process owns the directory. [`Owned`] makes changes, and holds the
//! lock for them.
//!
//! One change needs no lock: [`Verifier`] may remove a damaged file beside a serving process,
//! which sees the blob as if it had been evicted.

mod contents;
mod files;
mod index_copy;
mod kept;
mod owned;
mod removal;
mod verify;

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use cache_store::{
    CacheError,
    disk::{home, lock},
    index::{Index, ListedBundle, Outcome},
};
use manifest_model::Digest;

pub(crate) use self::{contents::IndexRows, removal::Holdings};
pub use self::{
    contents::{Content, Contents, Kind, TaggedManifest, Unread},
    files::{Listing, StoredFile},
    index_copy::IndexCopy,
    owned::Owned,
    removal::{Removal, Removed},
    verify::{Checked, Fault, Finding, Repair, Verifier},
};

/// A directory that holds a cache.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

/// Why a directory cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum NotACache {
    /// It lacks `blobs/`, which every cache has from its first start on.
    #[error("{path} holds no cache: there is no folder `blobs` in it")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// It does not exist, or may not be read.
    #[error("cannot open the cache directory {path}")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Bytes of the directory's file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its size.
    pub total: u64,
    /// The bytes that an ordinary user may still write.
    pub free: u64,
}

impl FileSystem {
    /// The file system that a path is on, or will be on once it exists.
    pub fn of(path: &Path) -> Result<Self, CacheError> {
        let there = path.ancestors().find(|ancestor| ancestor.exists());
        // The first part of a relative path has the working directory above it.
        let there = there
            .filter(|ancestor| *ancestor != Path::new(""))
            .unwrap_or(Path::new("."));
        let stat = rustix::fs::statvfs(there)
            .map_err(|error| CacheError::io("measure", there)(error.into()))?;
        Ok(Self {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

impl Directory {
    /// Opens an existing directory, or the folder that a cache has in one of root's; creates
    /// nothing.
    pub fn at(root: &Path) -> Result<Self, NotACache> {
        let root = &*home::existing_home(root);
        let unreadable = |source| NotACache::Unreadable {
            path: root.into(),
            source,
        };
        fs::read_dir(root).map_err(unreadable)?;
        match fs::metadata(root.join("blobs")) {
            Ok(metadata) if metadata.is_dir() => Ok(Self { root: root.into() }),
            Ok(_) => Err(NotACache::Foreign { path: root.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(NotACache::Foreign { path: root.into() })
            }
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The path of a digest's file, whether or not it is stored.
    pub fn file(&self, digest: &Digest) -> PathBuf {
        let folder = self.root.join("blobs").join(digest.algorithm().to_string());
        folder.join(digest.hex())
    }

    /// Takes the directory's lock until the answer is dropped. As at every start, leftovers that no
    /// download can resume from are swept and a damaged index is rebuilt.
    pub fn own(&self) -> Result<Owned, CacheError> {
        Owned::open(self)
    }

    /// Lists everything, described by what the server that runs on the directory said of its index.
    pub fn contents_by(&self, copy: IndexCopy) -> Result<Contents, CacheError> {
        Contents::gather(self, copy.rows(), None)
    }

    /// The size that the index has for each digest.
    pub fn recorded_sizes(&self) -> Result<HashMap<Digest, u64>, Unread> {
        self.with_index(|index| {
            let rows = index.rows.all()?;
            Ok(rows.iter().map(|row| (row.digest, row.size)).collect())
        })
    }

    /// The bundles that are here or on their way, by id.
    pub fn bundles(&self) -> Result<Vec<ListedBundle>, Unread> {
        self.with_index(|index| index.bundles.list())
    }

    /// The size of the index's file.
    pub fn index_size(&self) -> u64 {
        fs::metadata(self.index_path()).map_or(0, |metadata| metadata.len())
    }

    /// Bytes of the disk that running and interrupted downloads take.
    pub fn staged_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.root.join("ingest"));
        let entries = entries.into_iter().flatten().flatten();
        // Files come and go meanwhile, and those of downloads in several ranges have holes.
        entries
            .filter_map(|entry| entry.metadata().ok())
            .map(|metadata| metadata.blocks() * 512)
            .sum()
    }

    /// The size and the free bytes of its file system.
    pub fn file_system(&self) -> Result<FileSystem, CacheError> {
        FileSystem::of(&self.root)
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    /// Reads from the index while no process owns the directory. A process that wants to own it
    /// waits meanwhile, so the lock is held no longer than the reading takes. Builds and repairs
    /// nothing.
    fn with_index<T>(&self, read: impl FnOnce(&Index) -> Outcome<T>) -> Result<T, Unread> {
        let _lock = match File::open(self.root.join("lock")) {
            Ok(lock) => match lock.try_lock_shared() {
                Ok(()) => Some(lock),
                Err(TryLockError::WouldBlock) => return Err(Unread::InUse),
                Err(TryLockError::Error(error)) => return Err(self.unreadable(error)),
            },
            // Never locked; the store has a lock of its own. A lock created here might belong to
            // another user than the server's.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.unreadable(error)),
        };
        let path = self.index_path();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() > 0 => {}
            Ok(_) => return Err(Unread::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
            Err(error) => return Err(self.unreadable(error)),
        }
        // The store admits one process at a time. As the lock is shared, the other one is a reader
        // too.
        let opened = lock::retry(|| Index::open_as_it_is(&path).transpose());
        opened
            .ok_or(Unread::InUse)?
            .and_then(|index| read(&index))
            .map_err(|error| Unread::Damaged(error.into()))
    }

    fn unreadable(&self, source: io::Error) -> Unread {
        Unread::Damaged(CacheError::io("read", self.index_path())(source))
    }
}
