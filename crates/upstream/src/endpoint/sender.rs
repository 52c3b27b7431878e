//! One HTTP request out, one response in, and the effect of each response on the endpoint's health.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use protocol::error_chain::ErrorChain;
use reqwest::Response;
use tokio::time::Instant;
use url::Url;

use super::{Shared, request::Request};
use crate::{
    error::{Cause, CircuitOpen},
    policy::{Admission, Failure, Health, Outage, ProbeGuard, Throttle, probe},
    redirect::same_origin,
    response::{read, remaining_pulls},
    transport::closed_before_answer,
};

/// How long a small body may take as a whole; the idle timeout alone would let it trickle for ever.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// The way to one endpoint: its client, its circuit and its throttle.
#[derive(Debug)]
pub(super) struct Sender {
    shared: Arc<Shared>,
    base: Url,
    health: Arc<Health>,
    throttle: Throttle,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, base: Url) -> Self {
        Self {
            shared,
            base,
            health: Health::new(),
            throttle: Throttle::default(),
        }
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    pub(super) fn outage(&self) -> Option<Outage> {
        self.health.outage()
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

    /// Sends `request` to `url`. Only requests to the endpoint itself count for its health.
    pub(super) async fn send(
        &self,
        request: &Request<'_>,
        url: &Url,
        credential: Option<&HeaderValue>,
    ) -> Result<Response, Cause> {
        let shared = &self.shared;
        let once = || {
            let mut request = shared
                .client
                .request(request.method.clone(), url.clone())
                .headers(request.headers.clone())
                .header(header::ACCEPT_ENCODING, "identity");
            if let Some(credential) = credential {
                request = request.header(header::AUTHORIZATION, credential);
            }
            request.send()
        };
        let asked = Instant::now();
        let twice = async {
            match once().await {
                // Most likely a pooled connection that the server was about to close.
                Err(error) if closed_before_answer(&error) => once().await,
                answer => answer,
            }
        };
        let answer = match tokio::time::timeout(shared.header_timeout, twice).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Cause::Http(error.without_url())),
            Err(_) => Err(Cause::Timeout(shared.header_timeout)),
        };
        if self.is_own(url) {
            match &answer {
                Ok(response) => self.note_response(asked, response),
                Err(cause) => self.note_failure(asked, cause),
            }
        }
        answer
    }

    /// A small body, whole. A body that fails at the endpoint itself counts for its health.
    pub(super) async fn read_body(&self, response: Response, limit: usize) -> Result<Bytes, Cause> {
        let (asked, is_own) = (Instant::now(), self.is_own(response.url()));
        let body = tokio::time::timeout(BODY_TIMEOUT, read(response, limit)).await;
        let body = body.unwrap_or(Err(Cause::Timeout(BODY_TIMEOUT)));
        match &body {
            Ok(_) | Err(Cause::TooLarge(_)) => {}
            Err(cause) if is_own => self.note_failure(asked, cause),
            Err(_) => {}
        }
        body
    }

    fn note_response(&self, asked: Instant, response: &Response) {
        if response.status().is_server_error() {
            let status = Cause::Status(response.status().as_u16());
            let now = Instant::now();
            self.health
                .failed(asked, now, Failure::Error, || status.to_string());
            return;
        }
        self.health.answered(Instant::now());
        if response.status() != StatusCode::TOO_MANY_REQUESTS {
            self.throttle.answered();
        }
        if let Some(left) = remaining_pulls(response.headers()) {
            self.shared.tally.pulls_remaining(left);
        }
    }

    fn note_failure(&self, asked: Instant, cause: &Cause) {
        let failure = match cause {
            Cause::Http(error) if !error.is_connect() && !error.is_timeout() => Failure::Error,
            _ => Failure::Outage,
        };
        let now = Instant::now();
        self.health
            .failed(asked, now, failure, || ErrorChain(cause).to_string());
    }
}
