//! What the log says of an endpoint: one line when it goes down, limits us or refuses us, and one
//! when that is over. What one request met is in the access log.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::host::Host;
use tracing::{info, warn};
use url::Url;

use crate::{error::CallKind, policy::Announce};

/// How often refusals of one endpoint are told. They are about a repository each, or about all of
/// them, so none of them is the end of another.
const REFUSALS_EVERY: Duration = Duration::from_mins(1);

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

/// The refusals of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    /// Refusals since then.
    untold: u64,
}

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

impl Told {
    /// The refusals that were not told, if one is to be told now.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + REFUSALS_EVERY) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

fn place(base: &Url) -> &str {
    base.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_once_a_minute_with_the_number_of_the_others() {
        let (mut told, now) = (Told::default(), Instant::now());
        assert_eq!(told.due(now), Some(0));
        assert_eq!(told.due(now), None);
        assert_eq!(told.due(now + REFUSALS_EVERY / 2), None);
        assert_eq!(told.due(now + REFUSALS_EVERY), Some(2));
    }
}
