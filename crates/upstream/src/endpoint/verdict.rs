//! Judging an answer: good, not found, refused, or broken.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use protocol::{error_body, headers::DOCKER_DISTRIBUTION_API_VERSION};
use reqwest::Response;
use tally::Received;

use super::Endpoint;
use crate::{
    error::{AT_STORE, CallKind, Cause, FetchError, Resource},
    policy::{Deadline, WaitTooLong},
};

/// The largest error body read for its code and message.
const MAX_ERROR_BODY: usize = 64 * 1024;

impl Endpoint {
    /// The response, if it is a good one.
    pub(super) async fn judge(
        &self,
        response: Response,
        resource: Resource,
        deadline: &Deadline,
    ) -> Result<Response, FetchError> {
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(response);
        }
        // Manifests and lists are redirected to other registries, whose 404 counts; a store of
        // blobs that lacks one is broken. That a range lies beyond the end, only the store can
        // know.
        let is_absence = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
        let is_believed = status == StatusCode::RANGE_NOT_SATISFIABLE
            || (is_absence && resource != Resource::Blob)
            || lacks_referrers(status, resource);
        if self.is_redirected(&response) && !is_believed {
            // The registry has just redirected us to it, so the store's refusal is a fault.
            return Err(self.broken(Cause::Status(status.as_u16()).of_store()));
        }
        Err(match status {
            _ if lacks_referrers(status, resource) => self.no_referrers(),
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                self.not_found(response, resource, deadline).await
            }
            _ if status.is_client_error() => {
                let body = self.error_body(response, deadline).await;
                let reason = body.reason().to_owned();
                self.client_error(status, reason)
            }
            _ => self.broken(Cause::Status(status.as_u16())),
        })
    }

    fn no_referrers(&self) -> FetchError {
        FetchError::NotFound {
            upstream: self.host().clone(),
            what: Resource::ReferrersApi,
            from_fallback: false,
        }
    }

    /// The error for a 4xx by its status. Only some of them say that we may not; the others find
    /// fault with a request that all other registries take.
    fn client_error(&self, status: StatusCode, reason: String) -> FetchError {
        let (upstream, status) = (self.host().clone(), status.as_u16());
        match status {
            // 416 is caught by who asked for the range.
            401..=403 | 407 | 416 | 451 => {
                if status != 416 {
                    self.refusals.note(&upstream, self.name(), status, &reason);
                }
                FetchError::Refused {
                    upstream,
                    status,
                    reason,
                }
            }
            408 | 421 | 425 => self.broken(Cause::Status(status)),
            _ => self.broken(Cause::Rejected { status, reason }),
        }
    }

    async fn not_found(
        &self,
        response: Response,
        resource: Resource,
        deadline: &Deadline,
    ) -> FetchError {
        let status = response.status();
        // Registries need not have the referrers API; those that lack it answer as any web server.
        let is_registry = resource == Resource::ReferrersApi
            || response
                .headers()
                .contains_key(DOCKER_DISTRIBUTION_API_VERSION);
        let code = self.error_body(response, deadline).await.code;
        if code.is_empty() && !is_registry {
            // A load balancer in front of a registry answers 404 too while it has no way to it.
            return self.broken(Cause::Status(status.as_u16()));
        }
        let what = match code.as_str() {
            "NAME_UNKNOWN" if resource != Resource::ReferrersApi => Resource::Repository,
            _ => resource,
        };
        FetchError::NotFound {
            upstream: self.host().clone(),
            what,
            from_fallback: false,
        }
    }

    /// The error for a refusal of our credentials, by its body.
    pub(crate) async fn refusal(
        &self,
        response: Response,
        resource: Resource,
        credential: Option<&HeaderValue>,
        deadline: &Deadline,
    ) -> FetchError {
        let status = response.status();
        let body = self.error_body(response, deadline).await;
        self.refused(status, &body, resource, credential)
    }

    pub(super) fn refused(
        &self,
        status: StatusCode,
        body: &error_body::Read,
        resource: Resource,
        credential: Option<&HeaderValue>,
    ) -> FetchError {
        if lacks_referrers(status, resource) {
            return self.no_referrers();
        }
        let reason = self.auth.reason(status, body, resource, credential);
        self.client_error(status, reason)
    }

    /// The code and message of an error; empty if its body cannot be read.
    pub(super) async fn error_body(
        &self,
        response: Response,
        deadline: &Deadline,
    ) -> error_body::Read {
        self.read_body(response, MAX_ERROR_BODY, deadline, Received::Error)
            .await
            .map(|body| error_body::Read::parse(&body))
            .unwrap_or_default()
    }

    pub(super) fn too_many(&self, kind: CallKind, wait: WaitTooLong) -> FetchError {
        FetchError::Throttled {
            upstream: self.host().clone(),
            calls: kind.as_str(),
            retry_after: Some(wait.0),
        }
    }

    /// The error where the store limits our requests, and not the registry.
    pub(super) fn store_limits(&self, wait: Duration) -> FetchError {
        FetchError::Throttled {
            upstream: self.host().clone(),
            calls: AT_STORE,
            retry_after: Some(wait),
        }
    }

    pub(super) fn unreachable(&self, source: Cause) -> FetchError {
        FetchError::Unreachable {
            upstream: self.host().clone(),
            source,
        }
    }

    /// The error for an answer that cannot be right.
    pub(crate) fn broken(&self, source: Cause) -> FetchError {
        FetchError::Broken {
            upstream: self.host().clone(),
            source,
        }
    }
}

/// Whether the status says that there is no referrers API. Clients then use its fallback, the tag.
fn lacks_referrers(status: StatusCode, resource: Resource) -> bool {
    resource == Resource::ReferrersApi && matches!(status.as_u16(), 400 | 405 | 406 | 501)
}
