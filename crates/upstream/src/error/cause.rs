//! The detail of an outage or of a wrong answer.

use std::{io, time::Duration};

use manifest_model::{Digest, ManifestError};
use trust::LocalFileError;

use super::{circuit::CircuitOpen, http::HttpError, token::TokenError};
use crate::redirect::RedirectError;

/// The detail of an outage or of a wrong answer, for logs.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The transport failed.
    #[error(transparent)]
    Http(HttpError),
    /// No header arrived in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The client's wait was over before an answer came.
    #[error("the upstream had not answered when the client's wait was over")]
    OutOfTime,
    /// The client's wait was over before a token came.
    #[error(
        "no token came while the client waited; check the token realm, the credential helper or AWS"
    )]
    NoTokenInTime,
    /// A body began, and then no byte of it arrived for this long.
    #[error("the body stalled for {0:?}")]
    Stalled(Duration),
    /// A status that is no answer to the request.
    #[error("status {0}")]
    Status(u16),
    /// A request that other registries take, and this one does not; its own words.
    #[error("it does not take the request ({status}): {reason}")]
    Rejected {
        /// 400, 405, 406 or another client error that is about the request.
        status: u16,
        /// The upstream's own words, shortened.
        reason: String,
    },
    /// The registry answered, and the store that it redirected to failed.
    #[error("the store that it redirects to failed")]
    Store(#[source] Box<Cause>),
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
    /// A list above the bound that the configuration sets.
    #[error("the list is larger than `list_max`, {0} bytes; raise that key of the upstream")]
    ListTooLarge(usize),
    /// A body that says it is compressed, and does not unpack.
    #[error("the body is not the gzip that it says it is")]
    NotGzip(#[source] io::Error),
    /// A body that is no list of what was asked for.
    #[error("the body is not {expected}")]
    List {
        /// The list asked for.
        expected: &'static str,
        /// The first fault in the body.
        source: serde_json::Error,
    },
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
    /// No byte of a body came in time, where bodies were in doubt since one had stalled.
    #[error("no byte of the body came at once: {}", .0.reason)]
    NoFirstByte(CircuitOpen),
    /// A place nearer than the upstream, which was asked before it.
    #[error("a place nearby failed")]
    Nearby(#[source] Box<dyn std::error::Error + Send + Sync>),
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

impl Cause {
    /// The same, of the store behind the registry.
    pub(crate) fn of_store(self) -> Self {
        Self::Store(Box::new(self))
    }

    /// Whether no token came because there is no AWS identity here at all.
    pub(super) fn is_lack_of_aws_credentials(&self) -> bool {
        match self {
            Self::Token(TokenError::Ecr(error)) => {
                matches!(**error, super::token::EcrError::NoCredentials { .. })
            }
            _ => false,
        }
    }

    /// The cause itself, wherever it arose.
    pub fn innermost(&self) -> &Self {
        match self {
            Self::Store(cause) => cause.innermost(),
            cause => cause,
        }
    }
}
