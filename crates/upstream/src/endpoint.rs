//! One endpoint of an upstream: the way from a request to a good answer or a named error.
//!
//! [`Sender`] sends one HTTP request and keeps the circuit; `exchange` adds credentials and
//! redirects; `verdict` turns answers into errors. This file puts them together, within the rate
//! limits and the time a call may wait.

mod exchange;
mod request;
mod sender;
mod verdict;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use config::UpstreamConfig;
use http::StatusCode;
use protocol::host::{Host, HostPattern};
use reqwest::{Client, Response};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use self::sender::Sender;
pub(crate) use self::{exchange::Exchange, request::Request};
use crate::{
    auth::{Authenticator, EcrKey, EcrTokens},
    error::{Cause, FetchError, Resource},
    metrics::UpstreamTally,
    policy::{Budget, Call, EndpointStatus, Urgency, WaitTooLong},
    response::{is_signature_refusal, retry_after},
};

/// The pause after a store's 429 without `Retry-After`, and the shortest with one.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The state that the endpoints of one upstream share.
#[derive(Debug)]
pub(crate) struct Shared {
    host: Host,
    client: Client,
    budget: Budget,
    header_timeout: Duration,
    idle_timeout: Duration,
    private_hosts: Vec<Host>,
    tally: UpstreamTally,
    tasks: TaskTracker,
}

impl Shared {
    /// `tasks` runs the probes of the endpoints.
    pub(crate) fn new(
        host: Host,
        config: &UpstreamConfig,
        client: Client,
        budget: Budget,
        tally: UpstreamTally,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            host,
            client,
            budget,
            header_timeout: config.header_timeout,
            idle_timeout: config.idle_timeout,
            private_hosts: config.private_hosts.clone(),
            tally,
            tasks,
        }
    }
}

/// One place that serves an upstream.
#[derive(Debug)]
pub(crate) struct Endpoint {
    shared: Arc<Shared>,
    sender: Sender,
    auth: Authenticator,
    /// The last endpoint waits out its 429s; for the others there is a next one to ask.
    is_last: bool,
}

impl Endpoint {
    pub(crate) fn new(shared: Arc<Shared>, base: Url, auth: Authenticator, is_last: bool) -> Self {
        Self {
            sender: Sender::new(Arc::clone(&shared), base),
            shared,
            auth,
            is_last,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.sender.base().as_str()
    }

    pub(crate) fn host(&self) -> &Host {
        &self.shared.host
    }

    /// The longest time between two pieces of a body.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.shared.idle_timeout
    }

    /// The ECR tokens of this endpoint, and the key of its own.
    pub(crate) fn ecr(&self) -> Option<(&EcrTokens, &EcrKey)> {
        self.auth.ecr()
    }

    /// The state of the endpoint; `pattern` is the upstream's key in the configuration.
    pub(crate) fn status(&self, pattern: &HostPattern) -> EndpointStatus {
        EndpointStatus {
            pattern: pattern.clone(),
            upstream: self.shared.host.clone(),
            endpoint: self.name().trim_end_matches('/').to_owned(),
            outage: self.sender.outage(),
            held: self.sender.throttle().remaining(),
            waiting: self.shared.budget.waiting(),
        }
    }

    /// Whether requests are sent, as far as is known now.
    pub(crate) fn is_up(&self) -> bool {
        self.sender.outage().is_none()
    }

    /// Returns at once while requests are sent; within a moment, and perhaps with an error, while
    /// the endpoint is down.
    pub(crate) async fn ready(&self) -> Result<(), FetchError> {
        let closed = self.sender.closed().await;
        closed.map_err(|open| self.unreachable(Cause::CircuitOpen(open)))
    }

    /// Starts a probe if one is due, and does not wait for it.
    pub(crate) fn probe_if_due(&self) {
        self.sender.probe_if_due();
    }

    /// Whether an answer comes from elsewhere: a store that the endpoint has redirected to.
    pub(crate) fn is_redirected(&self, response: &Response) -> bool {
        !self.sender.is_own(response.url())
    }

    /// [`Self::ask_as`] for a client that has nothing.
    pub(crate) async fn ask(&self, request: Request<'_>) -> Result<Response, FetchError> {
        self.ask_as(Urgency::Pull, request).await
    }

    /// The answer, if it is a good one: 2xx or 304.
    ///
    /// A 429 is waited out while that is shorter than the upstream's `patience`.
    pub(crate) async fn ask_as(
        &self,
        urgency: Urgency,
        request: Request<'_>,
    ) -> Result<Response, FetchError> {
        let call = self.call(urgency, request.resource);
        loop {
            let asked = Instant::now();
            // Boxed: the futures of the callers are deep already, and a call upstream is no hot
            // path.
            let response = Box::pin(self.ask_twice(&request, &call)).await?;
            if response.status() != StatusCode::TOO_MANY_REQUESTS {
                return self.judge(response, request.resource).await;
            }
            let wait = self.throttled(asked, &response);
            if !call.may_wait(wait) {
                return Err(self.too_many(WaitTooLong(wait)));
            }
            // The pause of a registry holds for all calls, and each waits for it before its
            // request.
            if self.is_redirected(&response) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// A part from a store that an earlier answer of this endpoint has redirected to. After any
    /// error the registry is to be asked again: a signed URL may have expired since.
    ///
    /// The request takes no permit of the registry's budget and tells nothing about its health.
    pub(crate) async fn ask_store(
        &self,
        url: &Url,
        request: &Request<'_>,
    ) -> Result<Response, FetchError> {
        let sent = self.sender.send(request, url, None).await;
        let response = sent.map_err(|cause| self.unreachable(cause))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.broken(Cause::Status(response.status().as_u16())))
        }
    }

    /// A small body, whole.
    pub(crate) async fn read_body(
        &self,
        response: Response,
        limit: usize,
    ) -> Result<Bytes, FetchError> {
        let body = self.sender.read_body(response, limit).await;
        body.map_err(|cause| match cause {
            Cause::TooLarge(_) => self.broken(cause),
            cause => self.unreachable(cause),
        })
    }

    /// The time and the rates of a call that begins now.
    pub(crate) fn call(&self, urgency: Urgency, resource: Resource) -> Call {
        Call::new(resource, urgency, &self.shared.budget, self.is_last)
    }

    /// A store that refuses a signed URL gets a fresh one, once: the first may have expired on the
    /// way.
    async fn ask_twice(&self, request: &Request<'_>, call: &Call) -> Result<Response, FetchError> {
        let response = self.follow_redirects(request, call).await?;
        if self.is_redirected(&response) && is_signature_refusal(response.status()) {
            return self.follow_redirects(request, call).await;
        }
        Ok(response)
    }

    /// Backs off after a 429. Returns the pause.
    fn throttled(&self, asked: Instant, response: &Response) -> Duration {
        let retry_after = retry_after(response.headers());
        if self.is_redirected(response) {
            retry_after.unwrap_or(STORE_PAUSE).max(STORE_PAUSE)
        } else {
            self.sender.throttle().throttled(asked, retry_after)
        }
    }

    /// Waits for the permit of one request.
    async fn acquire(&self, call: &Call) -> Result<(), FetchError> {
        let acquired = call.acquire(self.sender.throttle(), &self.shared.budget);
        acquired.await.map_err(|wait| self.too_many(wait))
    }
}
