//! Every inner error becomes a status and the spec's JSON here, and only here.
//!
//! Clients of an anonymous mirror must never see 401 or a challenge: some of them answer with a password. Trouble upstream is a
//! 5xx, so that clients turn to their next host; 404 is said only when the upstream said it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use cache::FillError;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use manifest_model::{Platform, Word};
use protocol::{
    error_body::{self, Code},
    error_chain::ErrorChain,
    host::Host,
    target::PathError,
};
use serde_json::{Value, json};
use upstream::{Cause, FetchError, Resource};

use super::explain;
use crate::{
    hints::HintError,
    pull::{BodyError, PullError},
};

/// Platforms listed to whom none fits.
const MOST_PLATFORMS: usize = 64;

/// When a client may come again after a failure that should pass.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: Code,
    message: String,
    detail: Option<Value>,
    retry_after: Option<Duration>,
    /// Beside those that follow from the rest.
    headers: HeaderMap,
    /// The whole chain of causes, for the access log alone.
    pub(super) log: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: None,
            retry_after: None,
            headers: HeaderMap::new(),
            log: None,
        }
    }

    pub(super) fn bad_path(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::NameInvalid, message)
    }

    pub(super) fn unsupported(status: StatusCode, message: String, detail: Option<Value>) -> Self {
        Self {
            detail,
            ..Self::new(status, Code::Unsupported, message)
        }
    }

    /// An upstream nobody configured: the operator learns which key to set.
    pub(super) fn not_configured(upstream: &Host) -> Self {
        let message = format!(
            "the upstream {upstream} is not configured; to allow it, add [upstream.\"{upstream}\"] to the configuration"
        );
        Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, message)
    }

    /// The same error with these headers too.
    pub(super) fn with(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// A stored body that cannot be read. It has been taken out: the next request fetches it anew.
    pub(super) fn unreadable(error: &BodyError) -> Self {
        let log = Some(ErrorChain(error).to_string());
        let answer = Self::unavailable(
            StatusCode::BAD_GATEWAY,
            "a stored blob could not be read; it will be fetched anew".to_owned(),
        );
        Self { log, ..answer }
    }

    fn unavailable(status: StatusCode, message: String) -> Self {
        Self {
            retry_after: Some(COME_AGAIN),
            ..Self::new(status, Code::Unavailable, message)
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = error_body::write(self.code, &self.message, self.detail.as_ref());
        let mut response = (
            self.status,
            [(header::CONTENT_TYPE, "application/json")],
            body,
        )
            .into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(
                header::RETRY_AFTER,
                // Rounded up: a client that comes too early is sent away again.
                HeaderValue::from((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)),
            );
        }
        response.headers_mut().extend(self.headers);
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        let message = ErrorChain(&error).to_string();
        match &error {
            PathError::Unknown => Self::unsupported(StatusCode::NOT_FOUND, message, None),
            PathError::Platform => Self::new(StatusCode::BAD_REQUEST, Code::Unsupported, message),
            PathError::Host(_) | PathError::Name(_) => {
                Self::new(StatusCode::BAD_REQUEST, Code::NameInvalid, message)
            }
            PathError::Reference(invalid) if invalid.word() != Word::Digest => {
                Self::new(StatusCode::BAD_REQUEST, Code::NameInvalid, message)
            }
            PathError::Reference(_) | PathError::Digest(_) => {
                Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message)
            }
        }
    }
}

impl From<HintError> for ApiError {
    fn from(error: HintError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Code::Unsupported,
            error.to_string(),
        )
    }
}

impl From<PullError> for ApiError {
    fn from(error: PullError) -> Self {
        let log = Some(ErrorChain(&error).to_string());
        let answer = match &error {
            PullError::NothingFits { wanted, offered } => nothing_fits(wanted, offered),
            PullError::NoSource { tried } => Self {
                detail: Some(json!({ "tried": tried })),
                ..Self::new(
                    StatusCode::NOT_FOUND,
                    Code::ManifestUnknown,
                    error.to_string(),
                )
            },
            // Not 404: what was asked for is there, more than once. Asking again does not help, so no `Retry-After`.
            PullError::Ambiguous {
                platform,
                candidates,
            } => Self {
                detail: Some(json!({ "platform": platform.to_string(), "candidates": candidates })),
                ..Self::new(
                    StatusCode::BAD_GATEWAY,
                    Code::Unavailable,
                    error.to_string(),
                )
            },
            PullError::Unresolvable(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                Code::Unavailable,
                error.to_string(),
            ),
            PullError::Busy | PullError::Interrupted => {
                Self::unavailable(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            PullError::Cache(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unknown,
                "the cache failed",
            ),
            PullError::Fetch(_) | PullError::Fill(_) => match (error.fetch_error(), &error) {
                (Some(fetch), _) => Self::from(fetch),
                (None, PullError::Fill(fill)) => Self::from(&**fill),
                (None, _) => Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    Code::Unknown,
                    "the pull failed",
                ),
            },
        };
        Self { log, ..answer }
    }
}

impl From<&FetchError> for ApiError {
    fn from(error: &FetchError) -> Self {
        let message = error.to_string();
        match error {
            FetchError::NotFound { upstream, what, .. } => {
                let (code, what) = match what {
                    Resource::Repository => (Code::NameUnknown, "repository"),
                    Resource::Manifest => (Code::ManifestUnknown, "manifest"),
                    Resource::Blob => (Code::BlobUnknown, "blob"),
                    Resource::ReferrersApi => (Code::Unsupported, "referrers API"),
                };
                Self::new(
                    StatusCode::NOT_FOUND,
                    code,
                    format!("{upstream} has no such {what}"),
                )
            }
            FetchError::Refused { .. } => Self::new(StatusCode::FORBIDDEN, Code::Denied, message),
            FetchError::Throttled { retry_after, .. } => Self {
                // Not 429: containerd repeats that six times at once.
                retry_after: Some(retry_after.unwrap_or(COME_AGAIN)),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Code::TooManyRequests,
                    message,
                )
            },
            FetchError::Unreachable {
                source: Cause::Timeout(_),
                ..
            } => Self::unavailable(StatusCode::GATEWAY_TIMEOUT, message),
            FetchError::Unreachable {
                source: Cause::CircuitOpen(open),
                ..
            } => Self {
                retry_after: Some(open.retry_in),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
            },
            FetchError::Unreachable { .. } | FetchError::Broken { .. } => {
                Self::unavailable(StatusCode::BAD_GATEWAY, message)
            }
        }
    }
}

impl From<&FillError> for ApiError {
    fn from(error: &FillError) -> Self {
        match error {
            FillError::Storage { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unknown,
                "the cache failed",
            ),
            FillError::Source { .. } | FillError::Corrupt { .. } | FillError::Length { .. } => {
                Self::unavailable(StatusCode::BAD_GATEWAY, error.to_string())
            }
            FillError::Abandoned { .. } => {
                Self::unavailable(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

/// Lists what there is, as far as it is of use to read: an index may hold anything.
fn nothing_fits(wanted: &Platform, offered: &[Platform]) -> ApiError {
    let shown = offered.iter().take(MOST_PLATFORMS);
    let available: Vec<_> = shown.map(explain::shortened).collect();
    let there = match offered.len() - available.len() {
        _ if available.is_empty() => "none at all".to_owned(),
        0 => available.join(", "),
        more => format!("{} and {more} more", available.join(", ")),
    };
    let message = format!("no manifest for {wanted}; there is {there}");
    let detail = json!({ "platform": wanted.to_string(), "available": available });
    ApiError {
        detail: Some(detail),
        ..ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_thousands_makes_no_error_of_thousands() {
        let platform = |n: usize| Platform {
            os: format!("{n}{}", "o".repeat(1000)),
            ..Platform::default()
        };
        let offered: Vec<_> = (0..5000).map(platform).collect();
        let error = nothing_fits(&"linux/arm64".parse().unwrap(), &offered);
        let said = format!("{}{}", error.message, error.detail.unwrap());
        assert!(error.message.ends_with(" and 4936 more"), "{said}");
        assert!(said.len() < 16 * 1024, "{}", said.len());
    }
}
