//! What can go wrong, one variant per decision the caller can take.

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc};

use manifest_model::Digest;
use rustix::io::Errno;

/// The cache itself is in trouble: its directory or its index. Never a reason to say "not found".
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
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no room for a download, and nothing that could be evicted would change that.
    #[error("{bound} has {free} bytes left and {needed} are needed")]
    Full {
        /// What leaves no room.
        bound: Bound,
        /// What is left.
        free: u64,
        /// What the download needs; of the file system, with the part that is to stay free.
        needed: u64,
    },
    /// The index is there and could not be opened, though nothing says that it is damaged.
    #[error(
        "the cache index {path} cannot be opened and is left as it is; put right what hinders it, or move the file away to \
         have it built anew, with the tags and links of their last copy"
    )]
    IndexShut {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// The index could not be read or written.
    #[error("the cache index failed")]
    Index(#[source] Box<redb::Error>),
}

/// What bounds the room for downloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`Options::max_size`](crate::Options::max_size), of which other running fills have their part.
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
}

impl CacheError {
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

/// The error of whoever feeds a fill, carried to its followers as it is. Followers find it again by downcasting.
pub type SourceError = Arc<dyn Error + Send + Sync>;

/// Why a fill did not become a blob.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The one who fed the fill gave up and said why.
    #[error("the source of {digest} failed")]
    Source {
        /// The blob.
        digest: Digest,
        /// What the source said.
        source: SourceError,
    },
    /// The bytes that came are not the ones the digest names.
    #[error("the source of {expected} sent something else: {actual}")]
    Corrupt {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// More or fewer bytes came than were announced.
    #[error("the source of {digest} announced {announced} bytes and sent {received}")]
    Length {
        /// The blob.
        digest: Digest,
        /// Bytes announced.
        announced: u64,
        /// Bytes received, up to where it was noticed.
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
    /// The writer was dropped: shutdown, or a panic in the task that fed it.
    #[error("the download of {digest} was abandoned")]
    Abandoned {
        /// The blob.
        digest: Digest,
    },
}

/// Why a body could not be read to its end. Whoever sends it on must break the connection, not end it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The fill it followed failed.
    #[error("the download being followed failed")]
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
