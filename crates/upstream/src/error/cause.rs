//! The detail of an outage or of a wrong answer.

use std::{io, path::PathBuf, time::Duration};

use manifest_model::{Digest, ManifestError};

use super::{circuit::CircuitOpen, token::TokenError};
use crate::redirect::RedirectError;

/// The detail of an outage or of a wrong answer, for logs.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The transport failed.
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    /// No header arrived in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A body began, and then no byte of it arrived for this long.
    #[error("the body stalled for {0:?}")]
    Stalled(Duration),
    /// A status that is no answer to the request.
    #[error("status {0}")]
    Status(u16),
    /// The body is not the manifest that was asked for.
    #[error("asked for {expected}, got {actual}")]
    WrongDigest {
        /// The digest asked for.
        expected: Digest,
        /// The digest of the body.
        actual: Digest,
    },
    /// The body is not a manifest.
    #[error("the body is not a manifest")]
    Manifest(#[source] ManifestError),
    /// A body above its limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// A redirect that is not followed.
    #[error("a redirect is not followed")]
    Redirect(#[source] RedirectError),
    /// A range that is not the one asked for.
    #[error("the answer has another range than the one asked for")]
    WrongRange,
    /// A body that ends in good order before its last byte.
    #[error("the body ended too early")]
    Truncated,
    /// An answer in the middle of a download that is about another blob.
    #[error("the blob had {before} bytes at first and has {now} now")]
    Resized {
        /// The size in the first answer.
        before: u64,
        /// The size in this answer.
        now: u64,
    },
    /// Something under the name of a blob that is not the blob stored here under that name.
    #[error("the upstream has {there} bytes where the blob has {here}")]
    OtherSize {
        /// The size of the blob here.
        here: u64,
        /// The size at the upstream.
        there: u64,
    },
    /// A list whose next page is the page that was asked for.
    #[error("the list names the same page as its next one")]
    SamePage,
    /// The token realm, the login, or AWS.
    #[error("no token could be obtained")]
    Token(#[source] TokenError),
    /// An earlier failure: nothing was asked this time.
    #[error(transparent)]
    CircuitOpen(CircuitOpen),
    /// A file that the configuration names.
    #[error(transparent)]
    Local(LocalFileError),
    /// This machine has no capacity for another download.
    #[error("no capacity for another download: {advice}")]
    AtCapacity {
        /// The change that the operator can make.
        advice: &'static str,
    },
}

/// A certificate or key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A `ca_file` without certificates.
    #[error("{} holds no certificates", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        source: reqwest::Error,
    },
    /// A client certificate that is invalid, or that does not fit its key.
    #[error("{} and {} are not a certificate and its key", chain.display(), key.display())]
    ClientCertificate {
        /// The file with the certificates.
        chain: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// The fault in them.
        source: reqwest::Error,
    },
}
