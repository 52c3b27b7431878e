//! What an upstream can answer other than what was asked for: one variant per decision.

use std::time::Duration;

use manifest_model::{Digest, ManifestError};
use protocol::{error_chain::ErrorChain, host::Host};

/// What the upstream said it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The repository.
    Repository,
    /// The manifest, by tag or digest.
    Manifest,
    /// The blob.
    Blob,
    /// The endpoint: it does not know the referrers API.
    Endpoint,
}

/// Why an upstream did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It said that there is no such thing. The only error that means "not found".
    #[error("{upstream} does not have it")]
    Absent {
        /// Who said so.
        upstream: Host,
        /// What is missing.
        what: Absent,
        /// Only an endpoint said so that stands in for the first, and it may know less (a replica that lags, a mirror that
        /// filters): enough for a client, nothing to forget for.
        by_stand_in: bool,
    },
    /// It refuses us: credentials, permissions, a policy. Not the client's fault, and no proof of absence.
    #[error("{upstream} refused us with {status}: {reason}")]
    Refused {
        /// Who refused.
        upstream: Host,
        /// 401 or 403, or another client error.
        status: u16,
        /// In its words, shortened, or in ours.
        reason: String,
    },
    /// It is limiting our requests.
    #[error("{upstream} is limiting our requests")]
    Throttled {
        /// Who is.
        upstream: Host,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// It could not be reached, or did not answer in time.
    #[error("{upstream} could not be reached")]
    Unreachable {
        /// Who.
        upstream: Host,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// It answered with something that cannot be right.
    #[error("{upstream} answered wrongly")]
    Broken {
        /// Who.
        upstream: Host,
        /// What was wrong.
        #[source]
        source: Trouble,
    },
}

/// The detail of an outage or of a wrong answer, for logs.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The transport failed.
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    /// No header arrived in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A body that began, and of which no byte arrived for so long.
    #[error("its body stood still for {0:?}")]
    Stalled(Duration),
    /// A server error.
    #[error("status {0}")]
    Status(u16),
    /// The body is not the manifest that was asked for.
    #[error("asked for {expected}, got {actual}")]
    WrongDigest {
        /// Asked for.
        expected: Digest,
        /// Got.
        actual: Digest,
    },
    /// The body is no manifest.
    #[error("its body is no manifest")]
    Manifest(#[source] ManifestError),
    /// A body above its bound.
    #[error("its body is larger than {0} bytes")]
    TooLarge(usize),
    /// A redirect we do not follow.
    #[error("it redirects to where we do not go: {0}")]
    Redirect(&'static str),
    /// A range that is not the one asked for.
    #[error("it answered another range than the one asked for")]
    Range,
    /// A body that ends in good order before the bytes it is to bring.
    #[error("its body ended too early")]
    Short,
    /// An answer in the middle of a download that is about another blob.
    #[error("it said {before} bytes first and {now} later")]
    Resized {
        /// The size said first.
        before: u64,
        /// The size said now.
        now: u64,
    },
    /// Something under the name of a blob that is not what is stored under it.
    #[error("it has {there} bytes where the blob has {here}")]
    OtherSize {
        /// The size of the blob.
        here: u64,
        /// The size said.
        there: u64,
    },
    /// A list whose next page is the page that was asked for.
    #[error("the next page it names is this page")]
    SamePage,
    /// The token endpoint or the credentials.
    #[error("no token could be had: {0}")]
    Token(String),
    /// It has failed before, and is not asked until a probe is answered.
    #[error("it is not asked for now, after {reason}")]
    Resting {
        /// What happened last.
        reason: std::sync::Arc<str>,
        /// When it is worth coming again.
        retry_in: Duration,
    },
    /// The credentials' file, a certificate or another local matter.
    #[error("{0}")]
    Local(String),
}

impl FetchError {
    /// Whether another endpoint may do better. "Not found" is an answer, not trouble.
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Self::Absent { .. })
    }

    /// Whether what we have from before beats reporting this.
    pub fn allows_stale(&self) -> bool {
        !matches!(
            self,
            Self::Absent {
                by_stand_in: false,
                ..
            }
        )
    }

    /// Whether asking again from the byte reached may help: the connection or the server failed, not the request.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Broken { source, .. } => matches!(source, Trouble::Http(_) | Trouble::Status(_)),
            Self::Absent { .. } | Self::Refused { .. } | Self::Throttled { .. } => false,
        }
    }

    /// Whether nothing came for as long as may be waited for it.
    pub fn is_stall(&self) -> bool {
        let Self::Unreachable { source, .. } = self else {
            return false;
        };
        match source {
            Trouble::Timeout(_) | Trouble::Stalled(_) => true,
            Trouble::Http(error) => error.is_timeout(),
            _ => false,
        }
    }

    /// The error with all its causes, on one line and without URLs.
    pub fn chain(&self) -> ErrorChain<'_> {
        ErrorChain(self)
    }
}
