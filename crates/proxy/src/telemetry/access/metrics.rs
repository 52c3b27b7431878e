//! The counters of requests.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use pull::Outcome;

use super::RequestFacts;

/// A hit takes microseconds, a large cold blob minutes.
const DURATION_BUCKETS: [f64; 10] = [
    0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0,
];

/// The counters of requests. Clones are handles to the same counters.
#[derive(Clone, Debug)]
pub struct AccessMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    sent: Family<OutcomeLabels, Counter>,
    aborted: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    outcome: &'static str,
    /// The first digit, as in `2xx`.
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The counters of requests that were answered alike.
#[derive(Clone, Debug)]
pub(super) struct RequestCounters {
    requests: Counter,
    sent: Counter,
    durations: Histogram,
}

impl Default for AccessMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Histogram::new(DURATION_BUCKETS),
            sent: Family::default(),
            aborted: Counter::default(),
        }
    }
}

impl AccessMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests answered", self.requests.clone());
        let help = "From a request's arrival to the end of its body";
        let durations = self.durations.clone();
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations);
        registry.register_with_unit("sent", "Body bytes sent", Unit::Bytes, self.sent.clone());
        let help = "Bodies that ended early";
        registry.register("bodies_aborted", help, self.aborted.clone());
    }

    /// Counts one request, with the bytes of its body that were sent.
    pub(super) fn count(
        &self,
        facts: &RequestFacts,
        status: StatusCode,
        bytes: u64,
        elapsed: Duration,
    ) {
        let (requests, sent) = labels(facts, status);
        self.requests.get_or_create(&requests).inc();
        self.sent.get_or_create(&sent).inc_by(bytes);
        self.durations.observe(elapsed.as_secs_f64());
    }

    /// The counters of requests with these facts and this status, for an answer that is repeated.
    pub(super) fn of(&self, facts: &RequestFacts, status: StatusCode) -> RequestCounters {
        let (requests, sent) = labels(facts, status);
        RequestCounters {
            requests: self.requests.get_or_create(&requests).clone(),
            sent: self.sent.get_or_create(&sent).clone(),
            durations: self.durations.clone(),
        }
    }

    /// Counts a body that ended before its length: the client left, or the download behind it
    /// failed.
    pub(super) fn count_aborted(&self) {
        self.aborted.inc();
    }
}

impl RequestCounters {
    /// Counts one repetition, whose body has this length.
    pub(super) fn count(&self, bytes: u64, elapsed: Duration) {
        self.requests.inc();
        self.sent.inc_by(bytes);
        self.durations.observe(elapsed.as_secs_f64());
    }
}

fn labels(facts: &RequestFacts, status: StatusCode) -> (RequestLabels, OutcomeLabels) {
    let outcome = outcome_label(facts.outcome);
    let requests = RequestLabels {
        endpoint: facts.endpoint.as_str(),
        outcome,
        status: status_class(status),
    };
    (requests, OutcomeLabels { outcome })
}

/// The label of an outcome; `none` where nothing was looked up.
pub(super) fn outcome_label(outcome: Option<Outcome>) -> &'static str {
    outcome.map_or("none", Outcome::as_str)
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
