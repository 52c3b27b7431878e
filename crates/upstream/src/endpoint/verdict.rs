//! Judging an answer: good, not found, refused, or broken.

use http::{HeaderValue, StatusCode};
use protocol::{error_body, headers::DOCKER_DISTRIBUTION_API_VERSION};
use reqwest::Response;

use super::Endpoint;
use crate::{
    error::{Cause, FetchError, Resource},
    policy::WaitTooLong,
};

/// The largest error body read for its code and message.
const MAX_ERROR_BODY: usize = 64 * 1024;

impl Endpoint {
    /// The response, if it is a good one.
    pub(super) async fn judge(
        &self,
        response: Response,
        resource: Resource,
    ) -> Result<Response, FetchError> {
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(response);
        }
        // Manifests and lists are redirected to other registries, whose 404 counts; a store of
        // blobs that lacks one is broken. That a range lies beyond the end, only the store can
        // know.
        let is_believed = status == StatusCode::RANGE_NOT_SATISFIABLE
            || (status == StatusCode::NOT_FOUND && resource != Resource::Blob);
        if self.is_redirected(&response) && !is_believed {
            // The registry has just redirected us to it, so the store's refusal is a fault.
            return Err(self.broken(Cause::Status(status.as_u16())));
        }
        Err(match status {
            StatusCode::NOT_FOUND => self.not_found(response, resource).await,
            _ if status.is_client_error() => {
                let reason = self.error_body(response).await.reason().to_owned();
                FetchError::Refused {
                    upstream: self.host().clone(),
                    status: status.as_u16(),
                    reason,
                }
            }
            _ => self.broken(Cause::Status(status.as_u16())),
        })
    }

    async fn not_found(&self, response: Response, resource: Resource) -> FetchError {
        // Registries need not have the referrers API; those that lack it answer as any web server.
        let is_registry = resource == Resource::ReferrersApi
            || response
                .headers()
                .contains_key(DOCKER_DISTRIBUTION_API_VERSION);
        let code = self.error_body(response).await.code;
        if code.is_empty() && !is_registry {
            // A load balancer in front of a registry answers 404 too while it has no way to it.
            return self.broken(Cause::Status(StatusCode::NOT_FOUND.as_u16()));
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
    ) -> FetchError {
        let status = response.status();
        let body = self.error_body(response).await;
        self.refused(status, &body, resource, credential)
    }

    pub(super) fn refused(
        &self,
        status: StatusCode,
        body: &error_body::Read,
        resource: Resource,
        credential: Option<&HeaderValue>,
    ) -> FetchError {
        FetchError::Refused {
            upstream: self.host().clone(),
            status: status.as_u16(),
            reason: self.auth.reason(status, body, resource, credential),
        }
    }

    /// The code and message of an error; empty if its body cannot be read.
    pub(super) async fn error_body(&self, response: Response) -> error_body::Read {
        self.read_body(response, MAX_ERROR_BODY)
            .await
            .map(|body| error_body::Read::parse(&body))
            .unwrap_or_default()
    }

    pub(super) fn too_many(&self, WaitTooLong(wait): WaitTooLong) -> FetchError {
        FetchError::Throttled {
            upstream: self.host().clone(),
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
