//! Who sent a request, how it came, and what it says of itself beside its path.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use http::{HeaderName, HeaderValue, Version, header};
use server::exchange::Arrival;

use super::{line::beginning, trace_id::TraceId};

/// Where a client says to which trace its request belongs (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The sender of a request, for its line in the log.
#[derive(Debug)]
pub(super) struct RequestAsker {
    /// The other end of the connection, or who a PROXY header names.
    pub(super) peer: Option<IpAddr>,
    /// The address of the listener as it is configured.
    pub(super) listener: Option<SocketAddr>,
    pub(super) protocol: &'static str,
    pub(super) range: Option<HeaderValue>,
    pub(super) user_agent: String,
    trace: Option<TraceId>,
}

impl RequestAsker {
    pub(super) fn of(request: &Request, arrival: Option<&Arrival>) -> Self {
        let headers = request.headers();
        let user_agent = headers.get(header::USER_AGENT);
        let user_agent = user_agent
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let has_tls = arrival.is_some_and(|arrival| arrival.listener.tls.is_some());
        Self {
            peer: arrival.map(|arrival| arrival.peer),
            listener: arrival.map(|arrival| arrival.listener.address),
            protocol: protocol(request.version(), has_tls),
            range: headers.get(header::RANGE).cloned(),
            user_agent: beginning(user_agent).to_owned(),
            trace: headers.get(TRACEPARENT).and_then(TraceId::of),
        }
    }

    pub(super) fn trace_id(&self) -> Option<&str> {
        self.trace.as_ref().map(TraceId::as_str)
    }
}

fn protocol(version: Version, has_tls: bool) -> &'static str {
    match (version > Version::HTTP_11, has_tls) {
        (false, false) => "http/1",
        (false, true) => "https/1",
        (true, false) => "http/2",
        (true, true) => "https/2",
    }
}
