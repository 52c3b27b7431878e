//! Why an upstream did not give the manifest, blob or list: one variant per decision a caller can
//! take.
//!
//! Every type here displays its own level only; [`FetchError::chain`] prints all levels at once.
//! The module lies at the bottom of the crate, so that every part can name its errors.

mod call_kind;
mod cause;
mod circuit;
mod http;
mod token;

use std::time::Duration;

use protocol::{error_chain::ErrorChain, host::Host};

pub use self::{
    call_kind::CallKind,
    cause::Cause,
    circuit::CircuitOpen,
    http::HttpError,
    token::{EcrError, RealmError, RejectedRealm, SdkFailure, TokenError},
};

/// What is limited where the store behind a registry says so.
pub(crate) const AT_STORE: &str = "blobs at its store";

/// The subject of a request, which decides what a 404 to it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A repository: the request is for its tags, or a 404 means that no repository has this name.
    Repository,
    /// A manifest, by tag or digest.
    Manifest,
    /// A blob.
    Blob,
    /// The referrers API, which not every registry has.
    ReferrersApi,
}

/// Why an upstream did not give the manifest, blob or list.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The upstream answered that there is no such thing. The only error that means "not found".
    #[error("{upstream} does not have it")]
    NotFound {
        /// The upstream that answered.
        upstream: Host,
        /// The missing resource.
        what: Resource,
        /// The answer comes from a fallback endpoint alone, which may know less than the first: a
        /// replica that lags, a mirror that filters. That is enough to answer a client, but nothing
        /// is removed from the cache for it.
        from_fallback: bool,
    },
    /// The upstream refuses us: credentials, permissions, a policy. This is not the client's fault,
    /// and no proof of absence.
    #[error("{upstream} refused us with {status}: {reason}")]
    Refused {
        /// The upstream that refused.
        upstream: Host,
        /// 401 or 403, or another client error.
        status: u16,
        /// The upstream's own words, shortened, or ours.
        reason: String,
    },
    /// The upstream limits the rate of our requests.
    #[error("{upstream} is limiting our requests for {calls}")]
    Throttled {
        /// The upstream with the limit.
        upstream: Host,
        /// The calls it limits: a kind's name, that of the tokens they need, or `blobs at its store`.
        calls: &'static str,
        /// How long to wait before the next request.
        retry_after: Option<Duration>,
    },
    /// The upstream could not be reached, or did not answer in time.
    #[error("{upstream} {}", words_of_silence(source))]
    Unreachable {
        /// The upstream that was asked.
        upstream: Host,
        /// Why it could not be reached.
        #[source]
        source: Cause,
    },
    /// The configuration says that the upstream is never asked.
    #[error("{upstream} is offline by configuration, so it is not asked")]
    Offline {
        /// The upstream that was not asked.
        upstream: Host,
    },
    /// The upstream answered with a list, and as many lists are held as fit.
    #[error(
        "no room to read the list of {upstream}: as many are being sent to clients as may be held at once; retry later"
    )]
    NoRoom {
        /// The upstream that answered.
        upstream: Host,
    },
    /// The upstream gave an answer that cannot be right.
    #[error("{upstream} answered wrongly")]
    Broken {
        /// The upstream that answered.
        upstream: Host,
        /// The fault in the answer.
        #[source]
        source: Cause,
    },
}

/// How surely a `Range` is the reason of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRefusal {
    /// Such requests are refused, or the answer is no usable range.
    Clear,
    /// The request was refused, perhaps for want of rights or of the blob: it says nothing about
    /// other repositories.
    OfRepository,
    /// A server error, which may have any reason.
    Doubtful,
}

impl FetchError {
    /// The error of a request that could not be sent for lack of a token.
    pub(crate) fn no_token(upstream: Host, error: TokenError) -> Self {
        match error {
            TokenError::Refused(status) => Self::Refused {
                upstream,
                status,
                reason: error.to_string(),
            },
            TokenError::Throttled(wait) => Self::Throttled {
                upstream,
                calls: "tokens",
                retry_after: Some(wait),
            },
            TokenError::CircuitOpen(open) => Self::Unreachable {
                upstream,
                source: Cause::CircuitOpen(open),
            },
            error => Self::Unreachable {
                upstream,
                source: Cause::Token(error),
            },
        }
    }

    /// Whether another endpoint may do better. "Not found" is an answer, not a failure; a lack of
    /// room here is the same for all of them.
    pub fn allows_failover(&self) -> bool {
        !matches!(
            self,
            Self::NotFound { .. } | Self::NoRoom { .. } | Self::Offline { .. }
        )
    }

    /// Whether a stale copy beats reporting this error.
    pub fn allows_stale(&self) -> bool {
        !matches!(
            self,
            Self::NotFound {
                from_fallback: false,
                ..
            }
        )
    }

    /// Whether resuming from the last byte received may help: the connection or the server failed,
    /// not the request.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Broken { source, .. } => {
                matches!(source.innermost(), Cause::Http(_) | Cause::Status(_))
            }
            Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Throttled { .. }
            | Self::Offline { .. }
            | Self::NoRoom { .. } => false,
        }
    }

    /// Whether the same request without its `Range` may be answered. Even a 401, a 403 and a 404
    /// may be about the range alone; waits, outages and wrong credentials are not.
    pub fn range_refusal(&self) -> Option<RangeRefusal> {
        match self {
            Self::Throttled { .. }
            | Self::NoRoom { .. }
            | Self::Offline { .. }
            | Self::Unreachable { .. } => None,
            Self::Refused { status: 416, .. } => Some(RangeRefusal::Clear),
            Self::NotFound { .. } | Self::Refused { .. } => Some(RangeRefusal::OfRepository),
            Self::Broken { source, .. } => match source.innermost() {
                Cause::Status(408 | 421 | 425) => None,
                Cause::Status(401 | 403 | 404 | 410) => Some(RangeRefusal::OfRepository),
                Cause::Status(500 | 502..=504 | 506..) => Some(RangeRefusal::Doubtful),
                Cause::Status(_) | Cause::Rejected { .. } | Cause::WrongRange => {
                    Some(RangeRefusal::Clear)
                }
                _ => None,
            },
        }
    }

    /// Whether the registry answered and the store that it redirected to failed, which a fresh
    /// address may mend. A store that refuses has seen a fresh one already.
    pub fn is_store_failure(&self) -> bool {
        let (Self::Unreachable { source, .. } | Self::Broken { source, .. }) = self else {
            return false;
        };
        match source {
            Cause::Store(cause) => !matches!(**cause, Cause::Status(400..=499)),
            _ => false,
        }
    }

    /// Whether it ends a question that somebody has waited for, so that nobody is to wait for the
    /// same again.
    pub fn came_after_a_wait(&self) -> bool {
        let is_of_store = self.is_store_limit() || self.is_store_failure();
        is_of_store || self.is_stall() || self.is_for_want_of_bytes()
    }

    /// The same of an error in the middle of a body, which was resumed as often as that may help.
    pub fn came_after_resumes(&self) -> bool {
        let is_truncation = match self {
            Self::Broken { source, .. } => matches!(source.innermost(), Cause::Truncated),
            _ => false,
        };
        is_truncation || self.is_transient() || self.is_store_limit()
    }

    /// Whether the store behind the registry limits our requests, which no throttle remembers.
    fn is_store_limit(&self) -> bool {
        matches!(self, Self::Throttled { calls, .. } if *calls == AT_STORE)
    }

    /// Whether the download was given up for want of a first byte, where bodies were in doubt.
    pub fn is_for_want_of_bytes(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                source: Cause::NoFirstByte(_),
                ..
            }
        )
    }

    /// Whether the answer to a HEAD may be about the HEAD alone, so that a GET has to decide. Server
    /// errors that come from between us and the registry are not.
    pub fn leaves_open_what_a_get_says(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Refused { .. } => true,
            Self::Broken { source, .. } => match source.innermost() {
                Cause::Rejected { .. } => true,
                Cause::Status(status) => !matches!(status, 502..=504),
                _ => false,
            },
            Self::Throttled { .. }
            | Self::Unreachable { .. }
            | Self::Offline { .. }
            | Self::NoRoom { .. } => false,
        }
    }

    /// Whether a timeout ended the request or its body.
    pub fn is_stall(&self) -> bool {
        let Self::Unreachable { source, .. } = self else {
            return false;
        };
        match source.innermost() {
            Cause::Timeout(_) | Cause::Stalled(_) | Cause::OutOfTime | Cause::NoTokenInTime => true,
            Cause::Http(error) => error.is_timeout(),
            _ => false,
        }
    }

    /// The error with all its causes, on one line and without URLs.
    pub fn chain(&self) -> ErrorChain<'_> {
        ErrorChain(self)
    }

    /// What happened and why, short enough for people: what a library has to say about it is left to
    /// [`Self::chain`].
    pub fn summary(&self) -> String {
        let text = match self {
            Self::Unreachable { source, .. } if source.is_lack_of_aws_credentials() => {
                self.to_string()
            }
            _ => self.chain().to_string(),
        };
        match text.char_indices().nth(MAX_SUMMARY_CHARS) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    }
}

/// The most characters of a summary.
const MAX_SUMMARY_CHARS: usize = 400;

/// What an upstream has not done, by the reason. It is more than "not reached": an upstream whose
/// circuit is open may answer all the time, if with errors.
fn words_of_silence(source: &Cause) -> &'static str {
    match source.innermost() {
        cause if cause.is_lack_of_aws_credentials() => {
            "cannot be asked: there are no AWS credentials here"
        }
        Cause::CircuitOpen(_) => "is not asked at the moment",
        Cause::Token(_) | Cause::NoTokenInTime | Cause::Local(_) | Cause::AtCapacity { .. } => {
            "cannot be asked"
        }
        Cause::Timeout(_) | Cause::OutOfTime | Cause::Stalled(_) => "did not answer in time",
        Cause::Truncated => "broke off its answer",
        _ => "could not be reached",
    }
}
