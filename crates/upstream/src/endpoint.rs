//! One endpoint of an upstream: the way from a request to a good answer or a named error.
//!
//! [`Sender`] sends one HTTP request and keeps the circuit; `exchange` adds credentials and
//! redirects; `verdict` turns answers into errors. This file puts them together, within the rate
//! limits and the time a call may wait.

mod bodies;
mod exchange;
mod flow;
mod notices;
mod pulse;
mod request;
mod sender;
mod turn;
mod verdict;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use config::{EndpointConfig, UpstreamConfig};
use futures_util::FutureExt;
use http::{StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use protocol::host::{Host, HostPattern};
use reqwest::{Client, Response};
use tally::{Received, UpstreamTally};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use url::Url;

use self::{bodies::Bodies, flow::Flow, pulse::Pulse, sender::Sender};
pub(crate) use self::{exchange::Exchange, request::Request, turn::Turn};
use crate::{
    auth::{Authenticator, EcrKey, EcrTokens},
    error::{Cause, FetchError, Resource},
    gather::{Gathered, Room, Ungathered},
    policy::{
        Answered, Budget, Call, Deadline, EndpointStatus, Pause, RangeMemory, Repeats, Step,
        Urgency, WaitTooLong,
    },
    response::{Unread, is_signature_refusal, retry_after},
};

/// The state that the endpoints of one upstream share.
#[derive(Debug)]
pub(crate) struct Shared {
    host: Host,
    client: Client,
    budget: Budget,
    header_timeout: Duration,
    idle_timeout: Duration,
    private_hosts: Vec<Host>,
    ranges: RangeMemory,
    tally: UpstreamTally,
    tasks: TaskTracker,
    flow: Arc<Flow>,
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
            ranges: RangeMemory::default(),
            tally,
            tasks,
            flow: Arc::new(Flow::new()),
        }
    }
}

/// One place that serves an upstream.
#[derive(Debug)]
pub(crate) struct Endpoint {
    shared: Arc<Shared>,
    sender: Sender,
    auth: Authenticator,
    bodies: Arc<Bodies>,
    names_upstream: bool,
    refusals: notices::Refusals,
    /// The last endpoint waits out its 429s; for the others there is a next one to ask.
    is_last: bool,
}

impl Endpoint {
    pub(crate) fn new(
        shared: Arc<Shared>,
        config: &EndpointConfig,
        auth: Authenticator,
        is_last: bool,
    ) -> Self {
        Self {
            sender: Sender::new(Arc::clone(&shared), config.url.clone()),
            shared,
            auth,
            bodies: Arc::new(Bodies::new()),
            names_upstream: config.names_upstream,
            refusals: notices::Refusals::default(),
            is_last,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.sender.base().as_str()
    }

    pub(crate) fn host(&self) -> &Host {
        &self.shared.host
    }

    /// From now on the rates of the upstream are divided among so many processes.
    pub(crate) fn divide_rates(&self, among: u32) {
        self.shared.budget.divide(among);
    }

    /// Whether this is another Archway, which serves many registries and is told which.
    pub(crate) fn is_parent(&self) -> bool {
        self.names_upstream
    }

    /// Where a request goes here.
    fn url(&self, request: &Request<'_>) -> Url {
        let upstream = self.names_upstream.then_some(&self.shared.host);
        request.url(self.sender.base(), upstream)
    }

    /// The wait for the pieces of a large body, whose headers are `response`.
    pub(crate) fn pulse(&self, response: &Response, deadline: &Deadline) -> Pulse {
        let health = self.sender.health_of(response.url());
        let (flow, idle) = (Arc::clone(&self.shared.flow), self.shared.idle_timeout);
        let bodies = Arc::clone(&self.bodies);
        Pulse::new(flow, health, bodies, idle, deadline.left())
    }

    /// The counter of the bytes of blobs.
    pub(crate) fn received_blobs(&self) -> Counter {
        self.shared.tally.received(Received::Blob).clone()
    }

    /// Whether bodies of blobs come from here.
    pub(crate) fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// Runs `work` on a task of its own.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(work.in_current_span());
    }

    /// Whether the upstream, with the stores behind it, answers ranges.
    pub(crate) fn ranges(&self) -> &RangeMemory {
        &self.shared.ranges
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
            outage: self.sender.outage().or_else(|| self.bodies.outage()),
            held: self.sender.throttles().pauses(),
            waiting: self.shared.budget.waiting(),
            permits: self.shared.budget.permits(),
        }
    }

    /// Holds back the calls that a pause is for.
    pub(crate) fn pause(&self, pause: Pause) {
        self.sender.throttles().pause(pause);
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

    /// The answer, if it is a good one: 2xx or 304.
    ///
    /// A 429 is waited out while that is shorter than the upstream's `patience`; a store's 503, with
    /// which S3 throttles, is the same. Some other answers get one more chance ([`Repeats`]).
    async fn ask_as(
        &self,
        urgency: Urgency,
        request: Request<'_>,
        deadline: &Deadline,
    ) -> Result<Response, FetchError> {
        let call = self.call(urgency, request.resource, deadline);
        let mut repeats = Repeats::new(request.is_cold && call.is_needed());
        if request.headers.contains_key(header::RANGE) {
            repeats = repeats.of_range();
        }
        let mut has_waited = false;
        loop {
            let asked = Instant::now();
            // Boxed, and its type with it: the futures of the callers are deep already, deeper than
            // the compiler looks, and a call upstream is no hot path.
            let response = self.ask_twice(&request, &call).boxed().await?;
            let answered = Answered {
                status: response.status(),
                retry_after: retry_after(response.headers()),
                is_of_store: self.is_redirected(&response),
            };
            if !answered.is_of_store && answered.status == StatusCode::TOO_MANY_REQUESTS {
                // This pause holds for all calls of the kind, and each waits for it before its
                // request.
                let throttle = self.sender.throttles().of(call.kind());
                let wait = self
                    .sender
                    .throttled(call.kind(), asked, answered.retry_after);
                if !call.may_wait(wait) || throttle.is_in_vain() {
                    if has_waited {
                        throttle.gave_up();
                    }
                    return Err(self.too_many(call.kind(), WaitTooLong(wait)));
                }
                has_waited = true;
                continue;
            }
            let step = repeats.after(answered);
            let (pause, is_throttled) = match step {
                Step::Judge => return self.judge(response, request.resource, deadline).await,
                // Perhaps it is the range that is refused; the plain question tells.
                Step::Throttled(wait)
                    if !call.may_wait(wait)
                        && answered.status == StatusCode::SERVICE_UNAVAILABLE
                        && request.headers.contains_key(header::RANGE) =>
                {
                    return self.judge(response, request.resource, deadline).await;
                }
                Step::Throttled(wait) if !call.may_wait(wait) => {
                    return Err(self.store_limits(wait));
                }
                Step::Throttled(pause) => (pause, true),
                Step::Repeat(pause) => (pause, false),
            };
            // The answer's connection is of no use while its body is unread.
            drop(response);
            let sleep = tokio::time::sleep(pause);
            if is_throttled {
                deadline.hold(sleep).await;
            } else {
                sleep.await;
            }
        }
    }

    /// A part from a store that an earlier answer of this endpoint has redirected to. After any
    /// error the registry is to be asked again: a signed URL may have expired since.
    ///
    /// The request takes no permit of the registry's budget and tells nothing about its health.
    async fn ask_store(
        &self,
        url: &Url,
        request: &Request<'_>,
        deadline: &Deadline,
    ) -> Result<Response, FetchError> {
        let response = self.send_to_store(request, url, None, deadline).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            let status = Cause::Status(response.status().as_u16());
            Err(self.broken(status.of_store()))
        }
    }

    /// A small body, whole.
    async fn read_body(
        &self,
        response: Response,
        limit: usize,
        deadline: &Deadline,
        of: Received,
    ) -> Result<Bytes, FetchError> {
        let body = self.gather(response, limit, None, deadline, of).await?;
        Ok(Bytes::from_owner(body))
    }

    /// A body, whole, which takes from the room that such bodies share.
    async fn gather(
        &self,
        response: Response,
        limit: usize,
        room: Option<&Room>,
        deadline: &Deadline,
        of: Received,
    ) -> Result<Gathered, FetchError> {
        let sender = &self.sender;
        let body = sender.read_body(response, limit, room, deadline, of).await;
        body.map_err(|unread| match unread {
            Unread::Failed(cause) => self.unreachable(cause),
            Unread::Ungathered(Ungathered::TooLarge) => self.broken(Cause::TooLarge(limit)),
            Unread::Ungathered(Ungathered::NotGzip(error)) => self.broken(Cause::NotGzip(error)),
            Unread::Ungathered(Ungathered::NoRoom) => FetchError::NoRoom {
                upstream: self.host().clone(),
            },
        })
    }

    /// The time and the rates of a call that begins now.
    pub(crate) fn call(&self, urgency: Urgency, resource: Resource, deadline: &Deadline) -> Call {
        let budget = &self.shared.budget;
        Call::new(resource, urgency, budget, self.is_last, deadline)
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

    /// Waits for the permit of one request.
    async fn acquire(&self, call: &Call) -> Result<(), FetchError> {
        let began = Instant::now();
        let acquired = call.acquire(self.sender.throttles(), &self.shared.budget);
        let acquired = acquired.await;
        self.shared.tally.waited(began.elapsed());
        acquired.map_err(|wait| self.too_many(call.kind(), wait))
    }
}
