//! A cache directory seen from outside: what an operator's commands need.
//!
//! [`Directory`] reads. It needs no lock for the files, so it works beside a serving process; it reads the index only while
//! nobody else owns the directory. [`Owned`] changes, and holds the lock for it.

mod contents;
mod files;
mod owned;
mod verify;

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use manifest_model::Digest;

use crate::{disk::lock::patiently, error::CacheError, index::Index};

pub use self::{
    contents::{Content, Contents, Kind, TaggedManifest, Unread},
    files::{Listing, StoredFile},
    owned::{Owned, Removal, Removed},
    verify::{Checked, Fault, Finding, Repair, Verifier},
};

/// A directory that holds a cache.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

/// Why a directory cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum NotACache {
    /// It does not hold `blobs/`, which every cache has from its first start on.
    #[error("{path} holds no cache: there is no folder `blobs` in it")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// It is not there, or may not be read.
    #[error("cannot open the cache directory {path}")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Bytes of the file system the directory lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// What there is.
    pub total: u64,
    /// What an ordinary user may still write.
    pub free: u64,
}

impl Directory {
    /// Takes a directory that is there; makes nothing.
    pub fn at(root: &Path) -> Result<Self, NotACache> {
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The file of a digest, whether or not it is there.
    pub fn file(&self, digest: &Digest) -> PathBuf {
        let folder = self.root.join("blobs").join(digest.algorithm().to_string());
        folder.join(digest.hex())
    }

    /// Takes the directory over; nobody else may use it until the answer is dropped. Downloads that were cut off are swept as at
    /// every start, and a damaged index is built anew.
    pub fn own(&self) -> Result<Owned, CacheError> {
        Owned::open(self)
    }

    /// The size the index has for each digest.
    pub fn recorded_sizes(&self) -> Result<HashMap<Digest, u64>, Unread> {
        self.with_index(|index| {
            let rows = index.rows()?;
            Ok(rows.iter().map(|row| (row.digest, row.size)).collect())
        })
    }

    /// The size of the index's file.
    pub fn index_size(&self) -> u64 {
        fs::metadata(self.index_path()).map_or(0, |metadata| metadata.len())
    }

    /// Bytes of the disk that downloads under way take, and those that were cut off.
    pub fn staged_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.root.join("ingest"));
        let entries = entries.into_iter().flatten().flatten();
        // Files come and go here while it is read, and those of downloads in several ranges have holes.
        entries
            .filter_map(|entry| entry.metadata().ok())
            .map(|metadata| metadata.blocks() * 512)
            .sum()
    }

    /// The file system it lies on.
    pub fn file_system(&self) -> Result<FileSystem, CacheError> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|error| CacheError::io("measure", &self.root)(error.into()))?;
        Ok(FileSystem {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    /// Reads from the index while nobody owns the directory. A process that would own it waits meanwhile, so this is held no longer
    /// than the reading takes. Nothing is built or repaired.
    fn with_index<T>(
        &self,
        read: impl FnOnce(&Index) -> Result<T, redb::Error>,
    ) -> Result<T, Unread> {
        let _lock = match File::open(self.root.join("lock")) {
            Ok(lock) => match lock.try_lock_shared() {
                Ok(()) => Some(lock),
                Err(TryLockError::WouldBlock) => return Err(Unread::InUse),
                Err(TryLockError::Error(error)) => return Err(self.unreadable(error)),
            },
            // Never locked; the store has a lock of its own. Making one here might make it another user's.
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
        // The store is one process's at a time. As the lock is shared, that is somebody who looks as well.
        let opened = patiently(|| match Index::open_as_it_is(&path) {
            Err(redb::Error::DatabaseAlreadyOpen) => None,
            opened => Some(opened),
        });
        opened
            .ok_or(Unread::InUse)?
            .and_then(|index| read(&index))
            .map_err(|error| Unread::Damaged(error.into()))
    }

    fn unreadable(&self, source: io::Error) -> Unread {
        Unread::Damaged(CacheError::io("read", self.index_path())(source))
    }
}
