//! Turns every inner error into a status and the spec's JSON. No other file does.
//!
//! Clients of an anonymous mirror must never get a 401 or a challenge: some of them answer with a
//! password. An upstream failure is a 5xx, never a 404, so that clients try their next host: a 502
//! or 504 when the upstream fails, then a 503 at once while its circuit is open. Throttling is a
//! 503 with `Retry-After`, because containerd repeats a 429 at once.

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

use super::platform_text;
use crate::{
    hints::HintError,
    pull::{BodyError, PullError},
};

/// The most platforms an error lists as available.
const MAX_PLATFORMS: usize = 64;

/// When a client may retry after a failure that should pass.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: Code,
    message: String,
    detail: Option<Value>,
    retry_after: Option<Duration>,
    /// Further headers, beside those that follow from the other fields.
    headers: HeaderMap,
    /// The error with all its causes, for the access log alone.
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

    /// An upstream that is not configured; the message names the key that would allow it.
    pub(super) fn not_configured(upstream: &Host) -> Self {
        let message = format!(
            "the upstream {upstream} is not configured; to allow it, add [upstream.\"{upstream}\"] to the proxy's configuration"
        );
        Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, message)
    }

    /// The same error with these headers as well.
    pub(super) fn with(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// A stored blob that cannot be read. If its file is damaged it was removed, and the next request
    /// downloads it again.
    pub(super) fn unreadable(error: &BodyError) -> Self {
        let log = Some(ErrorChain(error).to_string());
        let answer = Self::unavailable(
            StatusCode::BAD_GATEWAY,
            "the cached copy of this blob could not be read; retry, and if that fails too, the proxy's log has the cause under this x-request-id"
                .to_owned(),
        );
        Self { log, ..answer }
    }

    /// A cache that cannot be read or written. Its paths are nothing for clients.
    fn cache_failed() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            "the proxy's cache failed; the proxy's log has the cause under this x-request-id",
        )
    }

    fn unavailable(status: StatusCode, message: String) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
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
                // Rounded up: a client that retries too early is refused again.
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
            // Not 404: the image exists, more than once. A retry does not help, so no
            // `Retry-After`.
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
            PullError::Cache(_) => Self::cache_failed(),
            PullError::Fetch(fetch) => Self::from(&**fetch),
            PullError::Fill(fill) => match error.fetch_error() {
                Some(fetch) => Self::from(fetch),
                None => Self::from(&**fill),
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
                // Not 429: containerd retries that six times at once.
                retry_after: Some(retry_after.unwrap_or(RETRY_AFTER)),
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
            FillError::Storage { .. } => Self::cache_failed(),
            FillError::Source { .. } | FillError::Corrupt { .. } | FillError::Length { .. } => {
                Self::unavailable(StatusCode::BAD_GATEWAY, error.to_string())
            }
            FillError::NoPermit { .. } | FillError::Abandoned { .. } => {
                Self::unavailable(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

/// Lists the available platforms, up to a length people read: an index may hold thousands.
fn nothing_fits(wanted: &Platform, offered: &[Platform]) -> ApiError {
    let shown = offered.iter().take(MAX_PLATFORMS);
    let available: Vec<_> = shown.map(platform_text::shortened).collect();
    let listed = match offered.len() - available.len() {
        _ if available.is_empty() => "no platform".to_owned(),
        0 => available.join(", "),
        more => format!("{} and {more} more", available.join(", ")),
    };
    let message = format!("no manifest for {wanted}; the image has {listed}");
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
