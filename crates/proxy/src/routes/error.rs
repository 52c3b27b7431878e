//! Turns every inner error into a status and the spec's JSON; `of_pull` those of pulls. No other file
//! does.
//!
//! Clients of an anonymous mirror must never get a 401 or a challenge: some of them answer with a
//! password. An upstream failure is a 5xx, never a 404, so that clients try their next host: a 502
//! or 504 when the upstream fails, then a 503 at once while its circuit is open. Throttling is a
//! 503 with `Retry-After`, because containerd repeats a 429 at once.

mod of_pull;

use std::{net::SocketAddr, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use manifest_model::{Platform, RepoName, Word};
use protocol::{
    error_body::{self, Code},
    error_chain::ErrorChain,
    host::Host,
    target::PathError,
};
use pull::BodyError;
use serde_json::Value;
use upstream::{Resource, Upstream};

use crate::{guard::Refusal, hints::HintError};

/// When a client may retry after a failure that should pass.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: Code,
    pub(super) message: String,
    pub(super) detail: Option<Value>,
    retry_after: Option<Duration>,
    /// What is to be said about it, once it is known what was asked for.
    pub(super) about: Option<About>,
    /// Further headers, beside those that follow from the other fields.
    headers: HeaderMap,
    /// The error with all its causes, for the access log alone.
    pub(super) log: Option<String>,
}

/// What an error is about that an upstream is the reason of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// It does not have what was asked for.
    Absence(Resource),
    /// It gave no answer, or none of use.
    Trouble,
}

impl ApiError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: None,
            retry_after: None,
            about: None,
            headers: HeaderMap::new(),
            log: None,
        }
    }

    /// The status that the client gets.
    pub(super) fn status(&self) -> StatusCode {
        self.status
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

    /// An upstream that this listener does not serve; the message names the key that would allow it.
    pub(super) fn not_served_here(upstream: &Host, listener: SocketAddr) -> Self {
        let message = format!(
            "the upstream {upstream} is not served here; to allow it, add it to `upstreams` of the [[listener]] on {listener}"
        );
        Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, message)
    }

    /// A repository that clients may not ask for; the message names the key that would allow it.
    pub(super) fn not_allowed(upstream: &Upstream, repository: &RepoName) -> Self {
        let message = format!(
            "{repository} of {} is not served here; to allow it, add it to `allow_repositories` of [upstream.\"{}\"]",
            upstream.host(),
            upstream.config().pattern
        );
        Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, message)
    }

    /// A reserved name that this start of Archway did not make, or not lately.
    pub(super) fn no_probe() -> Self {
        let message = "this name is for probes, and this Archway did not make it within the last ten minutes; \
                       `archway doctor clients` gets one";
        Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, message)
    }

    /// A probe for a platform that it has no program for.
    pub(super) fn no_program(platform: &Platform) -> Self {
        let message =
            format!("the probe has no program for {platform}; it has linux/amd64 and linux/arm64");
        Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, message)
    }

    /// A request that the guard has refused on this listener.
    pub(super) fn refused(refusal: &Refusal, listener: SocketAddr) -> Self {
        let (status, code, message) = match refusal {
            Refusal::WebPage => (
                StatusCode::FORBIDDEN,
                Code::Denied,
                "this is a registry for container clients, not for web pages: requests with an \
                 Origin or Sec-Fetch header are refused"
                    .to_owned(),
            ),
            Refusal::Client(client) => (
                StatusCode::FORBIDDEN,
                Code::Denied,
                format!(
                    "{client} may not pull here; to allow it, add its network to `allow_from` of \
                     the [[listener]] on {listener}"
                ),
            ),
            Refusal::NotOneHost => (
                StatusCode::BAD_REQUEST,
                Code::NameInvalid,
                "a request must have exactly one Host header".to_owned(),
            ),
            Refusal::InvalidHost => (
                StatusCode::MISDIRECTED_REQUEST,
                Code::Denied,
                "the request's Host is no valid host name; call this proxy by its address, \
                 localhost or one of its `names`"
                    .to_owned(),
            ),
            Refusal::OtherName(name) => (
                StatusCode::MISDIRECTED_REQUEST,
                Code::Denied,
                format!(
                    "this proxy is not called {name}; to allow the name, add it to `names` of the \
                     [[listener]]"
                ),
            ),
        };
        Self::new(status, code, message)
    }

    /// What an upstream does not have.
    fn absent(upstream: &Host, what: Resource) -> Self {
        let (code, kind) = match what {
            Resource::Repository => (Code::NameUnknown, "repository"),
            Resource::Manifest => (Code::ManifestUnknown, "manifest"),
            Resource::Blob => (Code::BlobUnknown, "blob"),
            Resource::ReferrersApi => (Code::Unsupported, "referrers API"),
        };
        let message = format!("{upstream} has no such {kind}");
        Self {
            about: Some(About::Absence(what)),
            ..Self::new(StatusCode::NOT_FOUND, code, message)
        }
    }

    /// An upstream gave no answer, or none of use.
    fn in_trouble(status: StatusCode, message: String) -> Self {
        Self {
            about: Some(About::Trouble),
            ..Self::unavailable(status, message)
        }
    }

    /// What an offline upstream's store does not have, with what it has.
    pub(super) fn not_here(code: Code, message: String, detail: Value) -> Self {
        Self {
            log: Some(message.clone()),
            detail: Some(detail),
            ..Self::new(StatusCode::NOT_FOUND, code, message)
        }
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

    /// One request too many on a connection while memory is short.
    pub(super) fn short_of_memory() -> Self {
        Self::unavailable(
            StatusCode::SERVICE_UNAVAILABLE,
            "the proxy is short of memory: one request at a time on this connection; retry"
                .to_owned(),
        )
    }

    /// A cache that cannot be read or written. Its paths are nothing for clients.
    fn cache_failed() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            "the proxy's cache failed; the proxy's log has the cause under this x-request-id",
        )
    }

    /// A fault in this program.
    pub(super) fn panicked(reason: &str) -> Self {
        Self {
            log: Some(format!("panicked: {reason}")),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unknown,
                "the proxy has a fault; its log has the reason under this x-request-id",
            )
        }
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
