//! One event per request, written when its body has ended: only then are bytes and duration known, and whether the client
//! stayed.

mod line;
mod request_id;
mod template;

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
use http::{HeaderValue, Method, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use self::line::{Line, Timing, write_line};
pub(crate) use self::{
    request_id::{REQUEST_ID, RequestId},
    template::Template,
};
use super::{
    lines::Lines,
    metrics::{Metrics, OutcomeLabels, RequestLabels},
};
use crate::{pull::Outcome, routes::Keep};

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
    pub metrics: Arc<Metrics>,
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
    if let Some(mut keep) = response.extensions_mut().remove::<Keep>() {
        keep.template = event.template();
        response.extensions_mut().insert(keep);
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
        let outcome = Metrics::outcome(self.account.outcome);
        self.count(outcome, elapsed);
        if !is_logged() {
            return;
        }
        let line = self.line(outcome, elapsed);
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
    fn count(&self, outcome: &'static str, elapsed: Duration) {
        let metrics = &self.observer.metrics;
        let labels = RequestLabels {
            endpoint: self.account.endpoint,
            outcome,
            status: status_class(self.status),
        };
        metrics.requests.get_or_create(&labels).inc();
        metrics.durations.observe(elapsed.as_secs_f64());
        metrics
            .bytes
            .get_or_create(&OutcomeLabels { outcome })
            .inc_by(self.bytes);
        if !self.ended {
            metrics.aborted.inc();
        }
    }

    /// What is logged and counted when the same answer is given again, whole. None where its line would be a log event.
    fn template(&self) -> Option<Template> {
        let lines = match &self.observer.lines {
            None if is_logged() => return None,
            lines => lines.clone().filter(|_| is_logged()),
        };
        let outcome = Metrics::outcome(self.account.outcome);
        let metrics = &self.observer.metrics;
        let labels = RequestLabels {
            endpoint: self.account.endpoint,
            outcome,
            status: status_class(self.status),
        };
        let mut line = self.line(outcome, Duration::ZERO);
        line.bytes = self.expected.unwrap_or(0);
        line.complete = true;
        Some(Template {
            lines,
            line: serde_json::to_vec(&line).unwrap_or_default(),
            requests: metrics.requests.get_or_create(&labels).clone(),
            sent: metrics
                .bytes
                .get_or_create(&OutcomeLabels { outcome })
                .clone(),
            durations: metrics.durations.clone(),
            bytes: line.bytes,
        })
    }

    fn line(&self, outcome: &'static str, elapsed: Duration) -> Line<'_> {
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
            outcome,
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

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
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
