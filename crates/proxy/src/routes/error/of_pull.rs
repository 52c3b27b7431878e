//! The answers to errors of pulls: of upstreams, of downloads and of the cache.

use std::time::Duration;

use cache::{FillError, ReadError};
use http::StatusCode;
use manifest_model::Platform;
use protocol::{error_body::Code, error_chain::ErrorChain};
use pull::{BodyError, PullError};
use serde_json::json;
use upstream::{Cause, FetchError};

use super::{About, ApiError, RETRY_AFTER};
use crate::routes::{platform_text, stale_marks};

/// The most platforms an error lists as available.
const MAX_PLATFORMS: usize = 64;

/// The warning of an absence that the upstream could not confirm.
const AS_LAST_SAID: &str = "299 - \"the upstream could not be asked; absent when it last was\"";

impl From<PullError> for ApiError {
    fn from(error: PullError) -> Self {
        let log = Some(ErrorChain(&error).to_string());
        let answer = match &error {
            PullError::NothingFits { wanted, offered } => nothing_fits(wanted, offered),
            PullError::WasAbsent {
                upstream,
                what,
                age,
            } => Self::absent(upstream, *what).with(stale_marks(Some(*age), AS_LAST_SAID)),
            PullError::NotHere { upstream, what } => {
                let code = Self::absent(upstream, *what).code;
                Self::not_here(code, error.to_string(), json!({ "offline": true }))
            }
            PullError::NoSource { tried } => Self {
                detail: Some(json!({ "tried": tried })),
                ..Self::new(
                    StatusCode::NOT_FOUND,
                    Code::ManifestUnknown,
                    error.to_string(),
                )
            },
            PullError::Ambiguous {
                platform,
                candidates,
            } => ambiguous(error.to_string(), platform, candidates),
            PullError::Unresolvable(_) | PullError::TwoWays(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                Code::Unavailable,
                error.to_string(),
            ),
            PullError::Busy | PullError::Interrupted => {
                Self::unavailable(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            PullError::Unconfirmed(source) => Self::in_trouble(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{error}: {}", source.summary()),
            ),
            PullError::GaveUp { retry_in, .. } => gave_up(&error, *retry_in),
            PullError::TooStale { source, .. } => {
                let of_source = Self::from((**source).clone());
                Self {
                    message: format!("{error}; {}", of_source.message),
                    ..of_source
                }
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

/// A body that failed before anything of it was sent.
impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Read(ReadError::Fill(fill)) => Self::from(PullError::Fill(fill)),
            BodyError::Fetch(fetch) => Self::from(PullError::from(fetch)),
            error @ BodyError::Read(ReadError::Io { .. }) => Self::unreadable(&error),
        }
    }
}

impl From<&FetchError> for ApiError {
    fn from(error: &FetchError) -> Self {
        let message = error.summary();
        match error {
            FetchError::NotFound { upstream, what, .. } => Self::absent(upstream, *what),
            FetchError::Offline { .. } => {
                Self::not_here(Code::ManifestUnknown, message, json!({ "offline": true }))
            }
            FetchError::Refused { .. } => Self {
                about: Some(About::Trouble),
                ..Self::new(StatusCode::FORBIDDEN, Code::Denied, refused(error, message))
            },
            FetchError::Throttled { retry_after, .. } => Self {
                // Not 429: containerd retries that six times at once.
                retry_after: Some(retry_after.unwrap_or(RETRY_AFTER)),
                about: Some(About::Trouble),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Code::TooManyRequests,
                    message,
                )
            },
            FetchError::Unreachable { source, .. }
                if matches!(source.innermost(), Cause::Timeout(_)) =>
            {
                Self::in_trouble(StatusCode::GATEWAY_TIMEOUT, message)
            }
            FetchError::Unreachable {
                source: Cause::CircuitOpen(open) | Cause::NoFirstByte(open),
                ..
            } => Self {
                retry_after: Some(open.retry_in),
                ..Self::in_trouble(StatusCode::SERVICE_UNAVAILABLE, message)
            },
            FetchError::NoRoom { .. } => {
                Self::unavailable(StatusCode::SERVICE_UNAVAILABLE, message)
            }
            FetchError::Unreachable { .. } | FetchError::Broken { .. } => {
                Self::in_trouble(StatusCode::BAD_GATEWAY, message)
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
            FillError::Abandoned { .. } => {
                Self::unavailable(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

/// Not 404: the image exists, more than once. A retry does not help, so no `Retry-After`.
fn ambiguous(message: String, platform: &Platform, candidates: &[String]) -> ApiError {
    ApiError {
        detail: Some(json!({ "platform": platform.to_string(), "candidates": candidates })),
        ..ApiError::new(StatusCode::BAD_GATEWAY, Code::Unavailable, message)
    }
}

/// What failed a moment ago, after a wait.
fn gave_up(error: &PullError, retry_in: Duration) -> ApiError {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let gave_up = match error.fetch_error() {
        Some(fetch) => ApiError::in_trouble(status, fetch.summary()),
        None => ApiError::unavailable(status, error.to_string()),
    };
    ApiError {
        retry_after: Some(retry_in),
        ..gave_up
    }
}

/// A refusal. Clients take any 401 for one of theirs and suggest to log in, which cannot help here.
fn refused(error: &FetchError, message: String) -> String {
    match error {
        FetchError::Refused {
            upstream,
            status: status @ (401 | 407),
            reason,
        } => format!(
            "Archway has no login that {upstream} accepts: its operator sets `auth` of \
             [upstream.\"{upstream}\"], a login of the client does not count; {upstream} said {status}: \
             {reason}"
        ),
        _ => message,
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
