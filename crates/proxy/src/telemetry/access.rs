//! One event per request, written when its body has ended: only then are bytes and duration known, and whether the client
//! stayed.

use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::info;

use super::metrics::{Metrics, OutcomeLabels, RequestLabels};
use crate::pull::Outcome;

/// Names a request in its answer and in the log, so that a client's report finds its line.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Unlikely to repeat between processes, never within one.
fn request_id() -> String {
    static PROCESS: LazyLock<u32> =
        LazyLock::new(|| u32::try_from(RandomState::new().hash_one("process") >> 32).unwrap_or(0));
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    format!(
        "{:08x}-{:x}",
        *PROCESS,
        SERIAL.fetch_add(1, Ordering::Relaxed)
    )
}

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

/// The middleware: times the request, wraps the body.
pub async fn observe(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut response = next.run(request).await;
    let account = response
        .extensions_mut()
        .remove::<Account>()
        .unwrap_or_default();
    let status = response.status();
    let to_first_byte = started.elapsed();
    let expected = match method {
        Method::HEAD => Some(0),
        _ => response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .or_else(|| response.body().size_hint().exact()),
    };
    let id = request_id();
    let named = HeaderValue::try_from(&id).expect("digits are header text");
    response.headers_mut().insert(REQUEST_ID, named);
    let ended = expected == Some(0) || response.body().is_end_stream();
    let event = Event {
        id,
        started,
        to_first_byte,
        method,
        path,
        user_agent,
        status,
        account,
        metrics,
        bytes: 0,
        expected,
        ended,
    };
    response.map(|body| Body::new(Observed { body, event }))
}

struct Event {
    id: String,
    started: Instant,
    to_first_byte: Duration,
    method: Method,
    path: String,
    user_agent: String,
    status: StatusCode,
    account: Account,
    metrics: Arc<Metrics>,
    bytes: u64,
    expected: Option<u64>,
    ended: bool,
}

impl Drop for Event {
    fn drop(&mut self) {
        let Self {
            account, metrics, ..
        } = &*self;
        let elapsed = self.started.elapsed();
        let outcome = Metrics::outcome(account.outcome);
        let labels = RequestLabels {
            endpoint: account.endpoint,
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
        info!(
            target: "access",
            id = self.id,
            method = %self.method,
            path = self.path,
            status = self.status.as_u16(),
            upstream = account.upstream,
            repository = account.repository,
            reference = account.reference,
            outcome,
            platform = account.platform,
            platform_source = account.platform_source,
            bytes = self.bytes,
            complete = self.ended,
            first_byte_ms = milliseconds(self.to_first_byte),
            duration_ms = milliseconds(elapsed),
            user_agent = self.user_agent,
            error = account.error,
            "request"
        );
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
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
