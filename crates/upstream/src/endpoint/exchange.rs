//! A request with its credentials, renewed once if refused, and its redirects followed by hand.

use http::{HeaderValue, header};
use reqwest::Response;
use tokio::time::Instant;
use url::Url;

use super::{Endpoint, request::Request, sender::SHORTEST_PROOF};
use crate::{
    auth::Refusal,
    error::{Cause, FetchError, Resource},
    policy::{Call, Deadline},
    redirect::{self, RedirectError, same_origin},
    response::is_redirect,
};

/// A response and the credential it was given for.
pub(crate) struct Exchange {
    pub(crate) response: Response,
    pub(crate) credential: Option<HeaderValue>,
}

impl Endpoint {
    /// The first response to a request without credentials.
    pub(crate) async fn exchange_anonymously(
        &self,
        request: &Request<'_>,
        deadline: &Deadline,
    ) -> Result<Response, FetchError> {
        let url = self.url(request);
        let sent = self.sender.send(request, &url, None, deadline).await;
        sent.map_err(|cause| self.unreachable(cause))
    }

    /// The response to a request with our credentials. A refusal leads to one renewal; a second one
    /// is an error. No redirect is followed.
    pub(crate) async fn exchange(
        &self,
        request: &Request<'_>,
        call: &Call,
    ) -> Result<Exchange, FetchError> {
        let url = self.url(request);
        let no_token = |error| FetchError::no_token(self.host().clone(), error);
        let credential = Box::pin(self.auth.credential(request.repository));
        let credential = self.in_time(call, credential).await?.map_err(no_token)?;
        let response = self.send(request, &url, credential.as_ref(), call).await?;
        let Some(refusal) = Refusal::of(response.status(), response.headers()) else {
            return Ok(Exchange {
                response,
                credential,
            });
        };
        let body = self.error_body(response, call.deadline()).await;
        let renewed = self
            .auth
            .renew(request.repository, &refusal, &body, credential.as_ref());
        let renewed = self
            .in_time(call, Box::pin(renewed))
            .await?
            .map_err(no_token)?;
        let Some(renewed) = renewed else {
            let (status, resource) = (refusal.status, request.resource);
            return Err(self.refused(status, &body, resource, credential.as_ref()));
        };
        let response = self.send(request, &url, Some(&renewed), call).await?;
        if Refusal::of(response.status(), response.headers()).is_some() {
            return Err(self
                .refusal(response, request.resource, Some(&renewed), call.deadline())
                .await);
        }
        Ok(Exchange {
            response,
            credential: Some(renewed),
        })
    }

    /// [`Self::exchange`], and the redirects after it.
    pub(super) async fn follow_redirects(
        &self,
        request: &Request<'_>,
        call: &Call,
    ) -> Result<Response, FetchError> {
        let Exchange {
            mut response,
            credential,
        } = self.exchange(request, call).await?;
        let first = self.url(request);
        let mut current = first.clone();
        for _ in 0..redirect::MAX_HOPS {
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            current = self
                .target(&current, &response)
                .map_err(|error| self.broken(Cause::Redirect(error)))?;
            // The credential stays with the registry: a store behind it must not see it, and S3
            // refuses two signatures.
            let credential = credential
                .as_ref()
                .filter(|_| same_origin(&first, &current));
            response = self.send(request, &current, credential, call).await?;
        }
        if is_redirect(response.status()) {
            return Err(self.broken(Cause::Redirect(RedirectError::TooMany)));
        }
        Ok(response)
    }

    /// Sends one request, after its permit if it goes to the endpoint itself.
    async fn send(
        &self,
        request: &Request<'_>,
        url: &Url,
        credential: Option<&HeaderValue>,
        call: &Call,
    ) -> Result<Response, FetchError> {
        let deadline = call.deadline();
        if !self.sender.is_own(url) {
            return self.send_to_store(request, url, credential, deadline).await;
        }
        self.acquire(call).await?;
        let sent = self.sender.send(request, url, credential, deadline).await;
        let response = sent.map_err(|cause| self.unreachable(cause))?;
        let status = response.status();
        if let Some(heard) = &request.heard
            && (status.is_success() || is_redirect(status))
        {
            heard.notify_one();
        }
        Ok(response)
    }

    /// Sends one request to where the endpoint has redirected to. A store that says nothing is the
    /// same to clients as a body that stalls.
    pub(super) async fn send_to_store(
        &self,
        request: &Request<'_>,
        url: &Url,
        credential: Option<&HeaderValue>,
        deadline: &Deadline,
    ) -> Result<Response, FetchError> {
        let asked = Instant::now();
        let sent = self.sender.send(request, url, credential, deadline).await;
        sent.map_err(|cause| {
            if request.resource == Resource::Blob && is_silence(&cause) {
                self.bodies.stalled(asked, Instant::now());
            }
            self.unreachable(cause.of_store())
        })
    }

    /// A token must come while the client waits.
    async fn in_time<F: Future>(&self, call: &Call, token: F) -> Result<F::Output, FetchError> {
        let token = call.deadline().bound(token).await;
        token.ok_or_else(|| self.unreachable(Cause::NoTokenInTime))
    }

    fn target(&self, current: &Url, response: &Response) -> Result<Url, RedirectError> {
        let location = response.headers().get(header::LOCATION);
        let location = location
            .and_then(|value| value.to_str().ok())
            .ok_or(RedirectError::NoTarget)?;
        let private = &self.shared.private_hosts;
        redirect::target(current, location, self.sender.base(), private)
    }
}

/// Whether somebody was waited for who said nothing.
fn is_silence(cause: &Cause) -> bool {
    match cause {
        Cause::Timeout(time) => *time >= SHORTEST_PROOF,
        Cause::Http(error) => error.is_timeout(),
        _ => false,
    }
}
