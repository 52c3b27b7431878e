//! What the log says of an endpoint: one line when it goes down, limits us or refuses us, and one
//! when that is over. What one request met is in the access log.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::{host::Host, told::Told};
use tracing::{info, warn};
use url::Url;

use crate::{error::CallKind, policy::Announce};

/// Tells the changes of an endpoint's circuit.
#[derive(Debug)]
pub(super) struct OutageNotice {
    upstream: Host,
    endpoint: String,
}

impl OutageNotice {
    pub(super) fn new(upstream: &Host, base: &Url) -> Self {
        Self {
            upstream: upstream.clone(),
            endpoint: place(base).to_owned(),
        }
    }
}

impl Announce for OutageNotice {
    fn opened(&self, reason: &str) {
        warn!(
            upstream = %self.upstream,
            endpoint = self.endpoint,
            error = reason,
            "an endpoint is down: what is stored is served, tags as last seen; pulls of the rest fail unless another endpoint has it"
        );
    }

    fn closed(&self, lasted: Duration) {
        info!(
            upstream = %self.upstream,
            endpoint = self.endpoint,
            seconds = lasted.as_secs(),
            "an endpoint answers again"
        );
    }
}

/// A kind of call is limited from now on.
pub(super) fn limited(upstream: &Host, base: &Url, calls: CallKind, wait: Duration) {
    warn!(
        %upstream,
        endpoint = place(base),
        %calls,
        seconds = wait.as_secs(),
        "an endpoint limits our requests: they wait, and fail where a client cannot; what is stored is served"
    );
}

/// A kind of call is no longer limited.
pub(super) fn no_longer_limited(upstream: &Host, base: &Url, calls: CallKind, lasted: Duration) {
    info!(
        %upstream,
        endpoint = place(base),
        %calls,
        seconds = lasted.as_secs(),
        "an endpoint no longer limits our requests"
    );
}

/// The refusals of one endpoint. They are about a repository each, or about all of them, so none of them is
/// the end of another.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Told>);

impl Refusals {
    /// Tells a refusal, unless another was told lately.
    pub(super) fn note(&self, upstream: &Host, endpoint: &str, status: u16, reason: &str) {
        let Some(untold) = self.0.lock().due(Instant::now()) else {
            return;
        };
        warn!(
            %upstream,
            endpoint = endpoint.trim_end_matches('/'),
            status,
            error = reason,
            others = untold,
            "an endpoint refuses us: clients get that as a 403; what is stored is served"
        );
    }
}

fn place(base: &Url) -> &str {
    base.as_str().trim_end_matches('/')
}
