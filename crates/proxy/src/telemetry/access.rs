//! One event per request, written when its body has ended: only then are bytes and duration known, and whether the client
//! stayed.

mod line;
mod metrics;

use std::{
    pin::Pin,
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
use server::exchange::{AccessRecord, REQUEST_ID, Replayable, RequestId};

pub use self::metrics::AccessMetrics;
use self::{
    line::{Line, Timing, write_line},
    metrics::outcome_label,
};
use super::lines::Lines;
use crate::pull::Outcome;

/// What a route found out about its request. It travels in the response's extensions.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The kind of thing asked for.
    pub endpoint: &'static str,
    /// The upstream meant.
    pub upstream: Option<String>,
    /// The repository there.
    pub repository: Option<String>,
    /// The tag or digest.
    pub reference: Option<String>,
    /// Where the answer came from.
    pub outcome: Option<Outcome>,
    /// The client's platform, as far as anything told it.
    pub platform: Option<String>,
    /// What told it.
    pub platform_source: Option<&'static str>,
    /// Why it failed, in full: for the log, not for the client.
    pub error: Option<String>,
}

/// Who is told of requests.
#[derive(Clone, Debug)]
pub struct Observer {
    /// The counters.
    pub metrics: AccessMetrics,
    /// Where lines in JSON go. In any other format they are log events like all others.
    pub lines: Option<Lines>,
}

/// The middleware: times the request, wraps the body.
pub async fn observe(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut event = Event {
        id: RequestId::next(),
        started,
        to_first_byte: None,
        method,
        path,
        user_agent,
        status: client_left(),
        account: Account::default(),
        observer,
        bytes: 0,
        expected: None,
        ended: false,
    };
    // Where the client leaves before there is an answer, this is where the event is dropped.
    let mut response = next.run(request).await;
    event.to_first_byte = Some(started.elapsed());
    event.status = response.status();
    event.account = response.extensions_mut().remove().unwrap_or_default();
    event.expected = match event.method {
        Method::HEAD => Some(0),
        _ => response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .or_else(|| response.body().size_hint().exact()),
    };
    event.ended = event.expected == Some(0) || response.body().is_end_stream();
    let named = HeaderValue::try_from(event.id.text()).expect("digits are header text");
    response.headers_mut().insert(REQUEST_ID, named);
    if response.extensions().get::<Replayable>().is_some()
        && let Some(record) = event.record()
    {
        response.extensions_mut().insert(record);
    }
    response.map(|body| Body::new(Observed { body, event }))
}

/// What no client is ever told: it left before the answer. nginx's number for it.
fn client_left() -> StatusCode {
    StatusCode::from_u16(499).expect("three digits")
}

struct Event {
    id: RequestId,
    started: Instant,
    /// None while there is no answer.
    to_first_byte: Option<Duration>,
    method: Method,
    path: String,
    user_agent: String,
    status: StatusCode,
    account: Account,
    observer: Observer,
    bytes: u64,
    expected: Option<u64>,
    ended: bool,
}

impl Drop for Event {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        self.count(elapsed);
        if !is_logged() {
            return;
        }
        let line = self.line(elapsed);
        match &self.observer.lines {
            Some(lines) => lines.add(|buffer| {
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

impl Event {
    fn count(&self, elapsed: Duration) {
        let metrics = &self.observer.metrics;
        metrics
            .of(&self.account, self.status)
            .count(self.bytes, elapsed);
        if !self.ended {
            metrics.count_aborted();
        }
    }

    /// Logs and counts the same answer when it is given again, whole. `None` where its line would be a log event.
    fn record(&self) -> Option<AccessRecord> {
        let lines = match &self.observer.lines {
            None if is_logged() => return None,
            lines => lines.clone().filter(|_| is_logged()),
        };
        let counters = self.observer.metrics.of(&self.account, self.status);
        let mut line = self.line(Duration::ZERO);
        line.bytes = self.expected.unwrap_or(0);
        line.complete = true;
        let bytes = line.bytes;
        let rest = serde_json::to_vec(&line).unwrap_or_default();
        Some(AccessRecord::new(move |id, at, elapsed| {
            counters.count(bytes, elapsed);
            if let Some(lines) = &lines {
                let timing = Timing {
                    at,
                    id,
                    first_byte: elapsed,
                    duration: elapsed,
                };
                lines.add(|buffer| write_line(buffer, &timing, &rest));
            }
        }))
    }

    fn line(&self, elapsed: Duration) -> Line<'_> {
        let account = &self.account;
        Line {
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
            upstream: account.upstream.as_deref(),
            repository: account.repository.as_deref(),
            reference: account.reference.as_deref(),
            outcome: outcome_label(account.outcome),
            platform: account.platform.as_deref(),
            platform_source: account.platform_source,
            bytes: self.bytes,
            complete: self.ended,
            user_agent: &self.user_agent,
            error: account.error.as_deref(),
            target: "access",
        }
    }
}

/// Whether requests are logged at all.
fn is_logged() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

struct Observed {
    body: Body,
    event: Event,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.event.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // hyper does not ask for the end of a body whose length it has seen pass.
                self.event.ended |= self.event.expected == Some(self.event.bytes);
            }
            Poll::Ready(None) => self.event.ended = true,
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
