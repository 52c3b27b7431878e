//! The access log and the counters of requests: one line each, written when the body has ended.
//!
//! Only then are the bytes and the duration known, and whether the client stayed. Owns the
//! middleware that watches a request; routes leave what they find out in [`RequestFacts`].

mod answered;
mod asker;
mod endpoint;
mod family;
mod line;
mod metrics;
mod platforms;
mod trace_id;

use std::{
    net::IpAddr,
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
use http::{HeaderValue, Method, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use protocol::headers;
use pull::Outcome;
use server::exchange::{AccessRecord, Arrival, REQUEST_ID, Replayable, RequestId};

use self::{
    answered::Answered,
    asker::RequestAsker,
    line::{AccessLine, AuditLine, Timing, beginning, error_beginning, write_line},
    metrics::Took,
};
pub use self::{endpoint::Endpoint, metrics::AccessMetrics, platforms::PlatformFate};
use crate::log_writer::LogWriter;

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
    /// What became of that platform.
    pub platform_fate: PlatformFate,
    /// The client's address, behind trusted proxies; none if the request could not be read.
    pub client: Option<IpAddr>,
    /// The error with all its causes: for the log, never for the client.
    pub error: Option<String>,
}

impl RequestFacts {
    /// The platform of who asks for a manifest, and its source.
    fn told_platform(&self) -> Option<(&str, pull::Source)> {
        let is_manifest = self.endpoint == Endpoint::Manifest;
        let platform = self.platform.as_deref().filter(|_| is_manifest)?;
        Some((platform, self.platform_source?))
    }
}

/// Where requests are counted and logged. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer {
    /// The counters.
    pub metrics: Arc<AccessMetrics>,
    /// The log, where access lines are JSON. In any other format they are ordinary log events.
    pub log: Option<LogWriter>,
    /// Where each manifest that is answered has a line of its own.
    pub audit: Option<LogWriter>,
}

/// The middleware: times the request and wraps the body.
pub async fn observe(
    State(observer): State<Observer>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let arrival = request.extensions().get::<Arrival>();
    let is_replaying = arrival.is_some_and(|arrival| arrival.is_replaying);
    let asker = RequestAsker::of(&request, arrival);
    let method = request.method().clone();
    let path = beginning(request.uri().path()).to_owned();
    let id = RequestId::next();
    // An error body names it.
    request.extensions_mut().insert(id);
    let mut request_log = RequestLog {
        id,
        started,
        to_first_byte: None,
        method,
        path,
        asker,
        digest: None,
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
    let digest = response.headers().get(headers::DOCKER_CONTENT_DIGEST);
    request_log.digest = digest.cloned();
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
    asker: RequestAsker,
    /// The digest of what is answered.
    digest: Option<HeaderValue>,
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
        if let Some(audit) = self.audit() {
            let (timing, rest) = (self.timing(elapsed), self.audit_line());
            audit.add(|buffer| write_line(buffer, &timing, &rest));
        }
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
        let took = Took {
            first_byte: self.to_first_byte.unwrap_or(elapsed),
            all: elapsed,
        };
        metrics.count(self.asked(), self.status, self.bytes, took);
        if !self.ended {
            metrics.count_aborted();
        }
    }

    /// What was asked, and what the program that asked calls itself.
    fn asked(&self) -> (&RequestFacts, &str) {
        (&self.facts, &self.asker.user_agent)
    }

    /// A record that logs and counts each repetition of this answer, complete. `None` where its
    /// line is a log event, which cannot be prepared.
    fn record(&self) -> Option<AccessRecord> {
        let log = match &self.observer.log {
            None if is_logged() => return None,
            log => log.clone().filter(|_| is_logged()),
        };
        let counters = self.observer.metrics.of(self.asked(), self.status);
        let mut line = self.line(Duration::ZERO);
        line.bytes = self.expected.unwrap_or(0);
        line.complete = true;
        let bytes = line.bytes;
        let rest = serde_json::to_vec(&line).unwrap_or_default();
        let audit = self.audit().map(|audit| (audit.clone(), self.audit_line()));
        let weight = rest.len() + audit.as_ref().map_or(0, |(_, rest)| rest.len());
        Some(AccessRecord::new(weight, move |id, at, elapsed| {
            counters.count(bytes, elapsed);
            let timing = Timing {
                at,
                id,
                first_byte: elapsed,
                duration: elapsed,
            };
            if let Some(log) = &log {
                log.add(|buffer| write_line(buffer, &timing, &rest));
            }
            if let Some((audit, rest)) = &audit {
                audit.add(|buffer| write_line(buffer, &timing, rest));
            }
        }))
    }

    /// Where this request has a line of the audit log, if it has one.
    fn audit(&self) -> Option<&LogWriter> {
        let is_answered = self.status.is_success() || self.status == StatusCode::NOT_MODIFIED;
        let is_manifest = self.facts.endpoint == Endpoint::Manifest;
        let audit = self.observer.audit.as_ref();
        audit.filter(|_| is_manifest && is_answered)
    }

    fn audit_line(&self) -> Vec<u8> {
        let line = AuditLine::of(&self.line(Duration::ZERO));
        serde_json::to_vec(&line).unwrap_or_default()
    }

    fn timing(&self, elapsed: Duration) -> Timing {
        Timing {
            at: SystemTime::now(),
            id: self.id,
            first_byte: self.to_first_byte.unwrap_or(elapsed),
            duration: elapsed,
        }
    }

    fn line(&self, elapsed: Duration) -> AccessLine<'_> {
        let facts = &self.facts;
        AccessLine {
            timing: self.timing(elapsed),
            level: "INFO",
            message: "request",
            method: self.method.as_str(),
            path: &self.path,
            status: self.status.as_u16(),
            client: facts.client.or(self.asker.peer),
            listener: self.asker.listener,
            protocol: self.asker.protocol,
            upstream: facts.upstream.as_deref().map(beginning),
            repository: facts.repository.as_deref().map(beginning),
            reference: facts.reference.as_deref().map(beginning),
            digest: self.digest.as_ref().and_then(|digest| digest.to_str().ok()),
            range: self
                .asker
                .range
                .as_ref()
                .and_then(|range| range.to_str().ok())
                .map(beginning),
            outcome: Answered::of(facts.outcome, self.status).as_str(),
            platform: facts.platform.as_deref().map(beginning),
            platform_source: facts.platform_source.map(pull::Source::as_str),
            bytes: self.bytes,
            complete: self.ended,
            user_agent: &self.asker.user_agent,
            trace_id: self.asker.trace_id(),
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
