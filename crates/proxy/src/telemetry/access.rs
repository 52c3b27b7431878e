//! The access log and the counters of requests: one line each, written when the body has ended.
//!
//! Only then are the bytes and the duration known, and whether the client stayed. Owns the
//! middleware that watches a request; routes leave what they find out in [`RequestFacts`].

mod endpoint;
mod line;
mod metrics;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pull::Outcome;
use server::exchange::{AccessRecord, Arrival, REQUEST_ID, Replayable, RequestId};

pub use self::{endpoint::Endpoint, metrics::AccessMetrics};
use self::{
    line::{AccessLine, Timing, beginning, error_beginning, write_line},
    metrics::outcome_label,
};
use super::log_writer::LogWriter;

/// What the routes find out about a request, for its line and its counters. Routes put it into the
/// response's extensions; the middleware takes it out again.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// The kind of endpoint.
    pub endpoint: Endpoint,
    /// The upstream the request is for.
    pub upstream: Option<String>,
    /// The repository at that upstream.
    pub repository: Option<String>,
    /// The tag or digest.
    pub reference: Option<String>,
    /// Where the answer came from.
    pub outcome: Option<Outcome>,
    /// The client's platform, if any source named one.
    pub platform: Option<String>,
    /// The source that named it.
    pub platform_source: Option<pull::Source>,
    /// The error with all its causes: for the log, never for the client.
    pub error: Option<String>,
}

/// Where requests are counted and logged. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer {
    /// The counters.
    pub metrics: Arc<AccessMetrics>,
    /// The log, where access lines are JSON. In any other format they are ordinary log events.
    pub log: Option<LogWriter>,
}

/// The middleware: times the request and wraps the body.
pub async fn observe(
    State(observer): State<Observer>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let is_replaying = request
        .extensions()
        .get::<Arrival>()
        .is_some_and(|arrival| arrival.is_replaying);
    let method = request.method().clone();
    let path = beginning(request.uri().path()).to_owned();
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let user_agent = beginning(user_agent).to_owned();
    let id = RequestId::next();
    // An error body names it.
    request.extensions_mut().insert(id);
    let mut request_log = RequestLog {
        id,
        started,
        to_first_byte: None,
        method,
        path,
        user_agent,
        status: client_left(),
        facts: RequestFacts::default(),
        observer,
        bytes: 0,
        expected: None,
        ended: false,
    };
    // A client that leaves before the answer drops this future, and with it `request_log`.
    let mut response = next.run(request).await;
    request_log.to_first_byte = Some(started.elapsed());
    request_log.status = response.status();
    request_log.facts = response.extensions_mut().remove().unwrap_or_default();
    request_log.expected = match request_log.method {
        Method::HEAD => Some(0),
        _ => response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .or_else(|| response.body().size_hint().exact()),
    };
    request_log.ended = request_log.expected == Some(0) || response.body().is_end_stream();
    let id = request_log.id.header();
    response.headers_mut().insert(REQUEST_ID, id);
    if is_replaying
        && response.extensions().get::<Replayable>().is_some()
        && let Some(record) = request_log.record()
    {
        response.extensions_mut().insert(record);
    }
    response.map(|body| Body::new(ObservedBody { body, request_log }))
}

/// The status of a request whose client left before the answer: nginx's number for it, never sent.
fn client_left() -> StatusCode {
    StatusCode::from_u16(499).expect("three digits")
}

/// A request that is being answered. Dropping it, when its body has ended or its client has left,
/// counts and logs the request.
struct RequestLog {
    id: RequestId,
    started: Instant,
    /// None until there is an answer.
    to_first_byte: Option<Duration>,
    method: Method,
    path: String,
    user_agent: String,
    status: StatusCode,
    facts: RequestFacts,
    observer: Observer,
    bytes: u64,
    expected: Option<u64>,
    ended: bool,
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        self.count(elapsed);
        if !is_logged() {
            return;
        }
        let line = self.line(elapsed);
        match &self.observer.log {
            Some(log) => log.add(|buffer| {
                write_line(
                    buffer,
                    &line.timing,
                    &serde_json::to_vec(&line).unwrap_or_default(),
                );
            }),
            None => line.log(),
        }
    }
}

impl RequestLog {
    fn count(&self, elapsed: Duration) {
        let metrics = &self.observer.metrics;
        metrics.count(&self.facts, self.status, self.bytes, elapsed);
        if !self.ended {
            metrics.count_aborted();
        }
    }

    /// A record that logs and counts each repetition of this answer, complete. `None` where its
    /// line is a log event, which cannot be prepared.
    fn record(&self) -> Option<AccessRecord> {
        let log = match &self.observer.log {
            None if is_logged() => return None,
            log => log.clone().filter(|_| is_logged()),
        };
        let counters = self.observer.metrics.of(&self.facts, self.status);
        let mut line = self.line(Duration::ZERO);
        line.bytes = self.expected.unwrap_or(0);
        line.complete = true;
        let bytes = line.bytes;
        let rest = serde_json::to_vec(&line).unwrap_or_default();
        Some(AccessRecord::new(rest.len(), move |id, at, elapsed| {
            counters.count(bytes, elapsed);
            if let Some(log) = &log {
                let timing = Timing {
                    at,
                    id,
                    first_byte: elapsed,
                    duration: elapsed,
                };
                log.add(|buffer| write_line(buffer, &timing, &rest));
            }
        }))
    }

    fn line(&self, elapsed: Duration) -> AccessLine<'_> {
        let facts = &self.facts;
        AccessLine {
            timing: Timing {
                at: SystemTime::now(),
                id: self.id,
                first_byte: self.to_first_byte.unwrap_or(elapsed),
                duration: elapsed,
            },
            level: "INFO",
            message: "request",
            method: self.method.as_str(),
            path: &self.path,
            status: self.status.as_u16(),
            upstream: facts.upstream.as_deref().map(beginning),
            repository: facts.repository.as_deref().map(beginning),
            reference: facts.reference.as_deref().map(beginning),
            outcome: outcome_label(facts.outcome),
            platform: facts.platform.as_deref().map(beginning),
            platform_source: facts.platform_source.map(pull::Source::as_str),
            bytes: self.bytes,
            complete: self.ended,
            user_agent: &self.user_agent,
            error: facts.error.as_deref().map(error_beginning),
            target: "access",
        }
    }
}

/// Whether the access log is on.
fn is_logged() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

/// A body that notes in `request_log` how much of it was sent.
struct ObservedBody {
    body: Body,
    request_log: RequestLog,
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.request_log.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // hyper does not poll for the end of a body whose whole length has passed.
                self.request_log.ended |= self.request_log.expected == Some(self.request_log.bytes);
            }
            Poll::Ready(None) => self.request_log.ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
