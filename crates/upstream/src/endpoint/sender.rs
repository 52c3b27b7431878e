//! One HTTP request out, one response in, and the effect of each response on the endpoint's health.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, header};
use protocol::error_chain::ErrorChain;
use reqwest::Response;
use tally::Received;
use tokio::time::Instant;
use url::Url;

use super::{Shared, notices, request::Request};
use crate::{
    error::{CallKind, Cause, CircuitOpen, HttpError},
    gather::{Gathered, Room},
    policy::{Admission, Deadline, Failure, Health, Outage, ProbeGuard, Throttles, probe},
    redirect::same_origin,
    response::{Unread, allowed_pulls, read, remaining_pulls},
    transport,
};

/// A call that was given less time proves nothing about the endpoint when it runs out.
pub(super) const SHORTEST_PROOF: Duration = Duration::from_secs(1);

/// The way to one endpoint: its client, its circuit and its throttles.
#[derive(Debug)]
pub(super) struct Sender {
    shared: Arc<Shared>,
    base: Url,
    health: Arc<Health>,
    throttles: Throttles,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, base: Url) -> Self {
        Self {
            health: Health::announced(notices::OutageNotice::new(&shared.host, &base)),
            throttles: Throttles::default(),
            shared,
            base,
        }
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn throttles(&self) -> &Throttles {
        &self.throttles
    }

    /// The circuit of where `url` is; one that nobody asks for another place than the endpoint.
    pub(super) fn health_of(&self, url: &Url) -> Arc<Health> {
        if self.is_own(url) {
            Arc::clone(&self.health)
        } else {
            Health::new()
        }
    }

    pub(super) fn outage(&self) -> Option<Outage> {
        self.health.outage()
    }

    /// Backs off from calls of a kind, after a 429 to one that went out at `asked`. Returns the rest
    /// of the pause.
    pub(super) fn throttled(
        &self,
        kind: CallKind,
        asked: Instant,
        retry_after: Option<Duration>,
    ) -> Duration {
        let throttle = self.throttles.of(kind);
        let is_new = !throttle.is_limited();
        let wait = throttle.throttled(asked, retry_after);
        if is_new {
            notices::limited(&self.shared.host, &self.base, kind, wait);
        }
        wait
    }

    /// Whether `url` is at the endpoint itself.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        same_origin(url, &self.base)
    }

    /// Returns once the circuit is closed, or an error within a moment.
    pub(super) async fn closed(&self) -> Result<(), CircuitOpen> {
        self.health.closed(|probe| self.start(probe)).await
    }

    /// Starts a probe if one is due, and does not wait for it.
    pub(super) fn probe_if_due(&self) {
        if let Admission::Probe(probe, _) = self.health.admit(Instant::now()) {
            self.start(probe);
        }
    }

    /// The probe outlives the client whose request started it.
    fn start(&self, probe: ProbeGuard) {
        let mut url = self.base.clone();
        url.set_path("/v2/");
        // As long as any call: a shorter timeout would keep a slow upstream out for ever.
        let timeout = self.shared.header_timeout;
        let client = self.shared.client.clone();
        let run = probe::run(probe, client, url, timeout);
        self.shared.tasks.spawn(run);
    }

    /// Sends `request` to `url`, for as long as the client waits. Only requests to the endpoint
    /// itself count for its health.
    pub(super) async fn send(
        &self,
        request: &Request<'_>,
        url: &Url,
        credential: Option<&HeaderValue>,
        deadline: &Deadline,
    ) -> Result<Response, Cause> {
        if deadline.is_over() {
            return Err(Cause::OutOfTime);
        }
        let shared = &self.shared;
        let mut built = shared
            .client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone())
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(credential) = credential {
            built = built.header(header::AUTHORIZATION, credential);
        }
        let asked = Instant::now();
        let time = shared.header_timeout.min(deadline.left());
        let sent = tokio::time::timeout(time, transport::send(built));
        let answer = match sent.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Cause::Http(HttpError::new(error))),
            Err(_) => Err(Cause::Timeout(time)),
        };
        shared.tally.asked(request.asked(), asked.elapsed());
        if self.is_own(url) {
            match &answer {
                Ok(response) => self.note_response(asked, request, response),
                Err(cause) => self.note_failure(asked, cause),
            }
        }
        answer
    }

    /// A small body, whole, for as long as the client waits. A body that fails at the endpoint
    /// itself counts for its health.
    pub(super) async fn read_body(
        &self,
        response: Response,
        limit: usize,
        room: Option<&Room>,
        deadline: &Deadline,
        of: Received,
    ) -> Result<Gathered, Unread> {
        let received = self.shared.tally.received(of);
        let idle = self.shared.idle_timeout;
        let (asked, is_own) = (Instant::now(), self.is_own(response.url()));
        let body = read(response, limit, room, idle, deadline, received).await;
        if let Err(Unread::Failed(cause)) = &body
            && is_own
        {
            self.note_failure(asked, cause);
        }
        body
    }

    fn note_response(&self, asked: Instant, request: &Request<'_>, response: &Response) {
        // 501 is an answer of a registry in good health: it lacks what it was asked for.
        let status = response.status();
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            let status = Cause::Status(response.status().as_u16());
            let now = Instant::now();
            self.health
                .failed(asked, now, Failure::Error, || status.to_string());
            return;
        }
        self.health.answered(Instant::now());
        if response.status() != StatusCode::TOO_MANY_REQUESTS {
            let kind = CallKind::of(request.resource);
            if let Some(lasted) = self.throttles.of(kind).answered() {
                notices::no_longer_limited(&self.shared.host, &self.base, kind, lasted);
            }
        }
        let headers = response.headers();
        let tally = &self.shared.tally;
        tally.pulls(remaining_pulls(headers), allowed_pulls(headers));
    }

    fn note_failure(&self, asked: Instant, cause: &Cause) {
        let failure = match cause {
            Cause::Http(error) if !error.is_connect() && !error.is_timeout() => Failure::Error,
            Cause::Timeout(time) if *time < SHORTEST_PROOF.min(self.shared.header_timeout) => {
                return;
            }
            Cause::Stalled(time) if *time < SHORTEST_PROOF.min(self.shared.idle_timeout) => return,
            _ => Failure::Outage,
        };
        let now = Instant::now();
        self.health
            .failed(asked, now, failure, || ErrorChain(cause).to_string());
    }
}
