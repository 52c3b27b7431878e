//! The errors of fills and readers, one variant per decision that the caller can take. Those of the
//! cache itself are [`CacheError`]s.

use std::{error::Error, io, sync::Arc};

use cache_store::{Bound, CacheError};
use manifest_model::Digest;

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
    /// The fill was dropped, by a shutdown or by a panic in the task that fed it.
    #[error("the download of {digest} was abandoned")]
    Abandoned {
        /// The blob.
        digest: Digest,
    },
}

impl FillError {
    /// Whether the cache sent it past itself, since it would have put out what is used again.
    pub fn is_sent_past(&self) -> bool {
        let Self::Storage { source, .. } = self else {
            return false;
        };
        matches!(
            source,
            CacheError::Full {
                bound: Bound::UsedAgain,
                ..
            }
        )
    }
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
