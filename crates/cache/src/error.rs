//! The errors of this crate, one variant per decision that the caller can take.

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc, time::Duration};

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
    /// [`Options::max_size`](crate::Options::max_size), less the reservations of other fills.
    MaxSize,
    /// The file system of this directory.
    FileSystem(PathBuf),
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxSize => formatter.write_str("cache.max_size, less the running downloads,"),
            Self::FileSystem(path) => write!(formatter, "the file system of {}", path.display()),
        }
    }
}

impl CacheError {
    /// `map_err(CacheError::io("open", path))`
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
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
    pub(crate) fn is_out_of_files(&self) -> bool {
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

/// The error of a fill's source, handed to its followers as it is. This crate takes no decision by
/// it; its own failures are variants of [`FillError`].
pub type SourceError = Arc<dyn Error + Send + Sync>;

/// Why a fill did not become a blob.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The source gave up.
    #[error("the source of {digest} failed")]
    Source {
        /// The blob.
        digest: Digest,
        /// Its error.
        source: SourceError,
    },
    /// The received bytes do not have the digest.
    #[error("the source of {expected} sent other bytes, of digest {actual}")]
    Corrupt {
        /// The digest of the blob.
        expected: Digest,
        /// The digest of the received bytes.
        actual: Digest,
    },
    /// The source sent more or fewer bytes than it announced.
    #[error("the source of {digest} announced {announced} bytes and sent {received}")]
    Length {
        /// The blob.
        digest: Digest,
        /// Bytes announced.
        announced: u64,
        /// Bytes received until this was noticed.
        received: u64,
    },
    /// The bytes could not be written.
    #[error("cannot store {digest}")]
    Storage {
        /// The blob.
        digest: Digest,
        /// Why.
        source: CacheError,
    },
    /// All fill permits were taken, and none came free in time.
    #[error(
        "no permit for the download of {digest} came free within {waited:?}; raise cache.max_fills, or look for a slow upstream"
    )]
    NoPermit {
        /// The blob.
        digest: Digest,
        /// How long the fill waited.
        waited: Duration,
    },
    /// The fill was dropped, by a shutdown or by a panic in the task that fed it.
    #[error("the download of {digest} was abandoned")]
    Abandoned {
        /// The blob.
        digest: Digest,
    },
}

/// Why a body could not be read to its end. Its sender must break the connection, not end the body.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The fill that the reader followed failed.
    #[error("the download of the blob failed")]
    Fill(#[source] Arc<FillError>),
    /// A stored file could not be read.
    #[error("cannot read {digest}")]
    Io {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
}
