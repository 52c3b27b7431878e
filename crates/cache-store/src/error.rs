//! The error of the cache directory, one variant per decision that the caller can take.

use std::{fmt, io, path::PathBuf};

use manifest_model::Digest;
use rustix::io::Errno;
use tokio::task::JoinError;

/// A failure of the cache itself, of its directory or its index. Never a reason to answer "not
/// found".
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another process owns the directory.
    #[error(
        "the cache directory {path} is in use by another process; stop it or set another cache.path"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is another user's, who could read the cache and change what clients get.
    #[error(
        "the cache directory {path} belongs to user {owner}, who could read and change what is cached; give it to the user that runs archway, or set another cache.path"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The number of its user.
        owner: u32,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The operation, as a verb.
        action: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no room for a download, and no eviction could make it.
    #[error("{bound} has {free} bytes left and {needed} are needed")]
    Full {
        /// The bound that leaves no room.
        bound: Bound,
        /// The bytes left under the bound.
        free: u64,
        /// The bytes that the download needs; for the file system, with those that stay free.
        needed: u64,
    },
    /// The stored bytes of a blob are not those that its digest names.
    #[error("the stored bytes of {digest} are damaged")]
    Damaged {
        /// The blob.
        digest: Digest,
    },
    /// The index exists and cannot be opened, though nothing shows that it is damaged.
    #[error(
        "cannot open the cache index {path}, which is left as it is; fix the cause, or move the \
         file away to have it rebuilt with the tags and links of its last snapshot"
    )]
    IndexUnavailable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// The index could not be read or written.
    #[error("cannot read or write the cache index; check the disk and its free space")]
    Index(#[source] Box<redb::Error>),
    /// A shutdown, or a panic, ended the work before it was done.
    #[error("the work on the cache was interrupted")]
    Interrupted(#[source] JoinError),
}

/// A bound on the room for downloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `cache.max_size`, less the reservations of other fills.
    MaxSize,
    /// The file system of this directory.
    FileSystem(PathBuf),
    /// `cache.max_size`, less the blobs that were used again: a blob that would put them out is
    /// stored when it is asked for a second time.
    UsedAgain,
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxSize => formatter.write_str("cache.max_size, less the running downloads,"),
            Self::UsedAgain => formatter.write_str(
                "cache.max_size, less the blobs used again, which a first request puts not out,",
            ),
            Self::FileSystem(path) => {
                let path = path.display();
                write!(
                    formatter,
                    "the file system of {path}, where cache.min_free counts as needed,"
                )
            }
        }
    }
}

impl CacheError {
    /// `map_err(CacheError::io("open", path))`
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn index_unavailable(path: PathBuf, source: redb::Error) -> Self {
        Self::IndexUnavailable {
            path,
            source: Box::new(source),
        }
    }

    /// Whether the process, or the whole machine, may open no more files.
    pub fn is_out_of_files(&self) -> bool {
        let Self::Io { source, .. } = self else {
            return false;
        };
        let code = source.raw_os_error();
        [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|errno| code == Some(errno.raw_os_error()))
    }
}

impl From<redb::Error> for CacheError {
    fn from(error: redb::Error) -> Self {
        Self::Index(Box::new(error))
    }
}
