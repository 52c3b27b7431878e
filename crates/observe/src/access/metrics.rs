//! The counters of requests.
//!
//! Each request finds its counters in a table, by endpoint and outcome: no label is hashed for it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{
    Endpoint, RequestFacts,
    answered::Answered,
    family::FamilyCounters,
    platforms::{PlatformCounters, PlatformMetrics},
};

/// A hit takes microseconds, a large cold blob minutes.
const DURATION_BUCKETS: [f64; 10] = [
    0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0,
];

/// A hit takes less than a millisecond, and no client waits longer than the last.
const FIRST_BYTE_BUCKETS: [f64; 7] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0];

const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The kinds of endpoints whose times are told apart, and the outcomes that they can have.
const KINDS: [(&str, &[Answered]); 4] = [
    (
        "manifest",
        &[
            Answered::Hit,
            Answered::Stale,
            Answered::Miss,
            Answered::Refused,
            Answered::None,
        ],
    ),
    (
        "blob",
        &[
            Answered::Hit,
            Answered::Follow,
            Answered::Fill,
            Answered::Miss,
            Answered::Refused,
            Answered::None,
        ],
    ),
    ("list", &[Answered::Hit, Answered::Stale, Answered::None]),
    ("other", &[Answered::None]),
];

/// The counters of requests. Clones are handles to the same counters.
#[derive(Clone, Debug)]
pub struct AccessMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<KindLabels, Histogram, fn() -> Histogram>,
    first_bytes: Family<KindLabels, Histogram, fn() -> Histogram>,
    sent: Family<OutcomeLabels, Counter>,
    aborted: Counter,
    platforms: Arc<PlatformMetrics>,
    families: FamilyCounters,
    table: Arc<Table>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    outcome: &'static str,
    /// The first digit, as in `2xx`.
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    /// `manifest`, `blob`, `list` or `other`.
    endpoint: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The counters of all requests, each made when it is needed first; those that are sure to be, at
/// the start.
#[derive(Debug, Default)]
struct Table {
    requests: [[[OnceLock<Counter>; STATUSES.len()]; Answered::COUNT]; Endpoint::ALL.len()],
    times: [[OnceLock<Times>; Answered::COUNT]; KINDS.len()],
    sent: [OnceLock<Counter>; Answered::COUNT],
}

#[derive(Debug)]
struct Times {
    first_byte: Histogram,
    duration: Histogram,
}

/// The counters of requests that were answered alike.
#[derive(Clone, Debug)]
pub(super) struct RequestCounters {
    requests: Counter,
    sent: Counter,
    durations: Histogram,
    first_bytes: Histogram,
    platforms: PlatformCounters,
    family: Counter,
}

/// How long a request took: to the head of its answer, and to the end of its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) first_byte: Duration,
    pub(super) all: Duration,
}

impl Default for AccessMetrics {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            first_bytes: Family::new_with_constructor(|| Histogram::new(FIRST_BYTE_BUCKETS)),
            sent: Family::default(),
            aborted: Counter::default(),
            platforms: Arc::default(),
            families: FamilyCounters::default(),
            table: Arc::default(),
        };
        metrics.count_from_now();
        metrics
    }
}

impl AccessMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests answered", self.requests.clone());
        let help = "From a request's arrival to the end of its body";
        let durations = self.durations.clone();
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations);
        let help = "From a request's arrival to the head of its answer";
        let first_bytes = self.first_bytes.clone();
        registry.register_with_unit("first_byte", help, Unit::Seconds, first_bytes);
        registry.register_with_unit("sent", "Body bytes sent", Unit::Bytes, self.sent.clone());
        let help = "Bodies that ended early";
        registry.register("bodies_aborted", help, self.aborted.clone());
        self.platforms.register(registry);
        self.families.register(registry);
    }

    /// Counts one request, with the bytes of its body that were sent.
    pub(super) fn count(
        &self,
        (facts, user_agent): (&RequestFacts, &str),
        status: StatusCode,
        bytes: u64,
        took: Took,
    ) {
        self.families.of(user_agent).inc();
        let (endpoint, answered) = (facts.endpoint, Answered::of(facts.outcome, status));
        self.requests(endpoint, answered, class(status)).inc();
        self.sent(answered).inc_by(bytes);
        let times = self.times(kind(endpoint), answered);
        times.duration.observe(took.all.as_secs_f64());
        times.first_byte.observe(took.first_byte.as_secs_f64());
        if let Some((platform, source)) = facts.told_platform() {
            let fate = facts.platform_fate;
            self.platforms.count(platform, source, fate);
        }
    }

    /// The counters of requests with these facts, from this program and with this status, for an
    /// answer that is repeated.
    pub(super) fn of(
        &self,
        (facts, user_agent): (&RequestFacts, &str),
        status: StatusCode,
    ) -> RequestCounters {
        let (endpoint, answered) = (facts.endpoint, Answered::of(facts.outcome, status));
        let times = self.times(kind(endpoint), answered);
        let platforms = facts.told_platform().map(|(platform, source)| {
            let fate = facts.platform_fate;
            self.platforms.of(platform, source, fate)
        });
        RequestCounters {
            requests: self.requests(endpoint, answered, class(status)).clone(),
            sent: self.sent(answered).clone(),
            durations: times.duration.clone(),
            first_bytes: times.first_byte.clone(),
            platforms: platforms.unwrap_or_default(),
            family: self.families.of(user_agent).clone(),
        }
    }

    /// Counts a body that ended before its length: the client left, or the download behind it
    /// failed.
    pub(super) fn count_aborted(&self) {
        self.aborted.inc();
    }

    /// Has what is counted sooner or later at zero now: of a counter that appears with its first
    /// event, that event is not seen to happen.
    fn count_from_now(&self) {
        for (at, (_, outcomes)) in KINDS.iter().enumerate() {
            for answered in *outcomes {
                self.times(at, *answered);
                self.sent(*answered);
                for endpoint in Endpoint::ALL {
                    if kind(endpoint) == at {
                        self.requests_from_now(endpoint, *answered);
                    }
                }
            }
        }
    }

    fn requests_from_now(&self, endpoint: Endpoint, answered: Answered) {
        let statuses: &[usize] = match answered {
            Answered::Refused => &[3],
            Answered::None => &[1, 3, 4],
            _ => &[1],
        };
        for status in statuses {
            self.requests(endpoint, answered, *status);
        }
    }

    fn requests(&self, endpoint: Endpoint, answered: Answered, class: usize) -> &Counter {
        let place = &self.table.requests[endpoint as usize][answered as usize][class];
        place.get_or_init(|| {
            self.requests.get_or_create_owned(&RequestLabels {
                endpoint: endpoint.as_str(),
                outcome: answered.as_str(),
                status: STATUSES[class],
            })
        })
    }

    fn sent(&self, answered: Answered) -> &Counter {
        let outcome = answered.as_str();
        let make = || self.sent.get_or_create_owned(&OutcomeLabels { outcome });
        self.table.sent[answered as usize].get_or_init(make)
    }

    fn times(&self, kind: usize, answered: Answered) -> &Times {
        self.table.times[kind][answered as usize].get_or_init(|| {
            let labels = KindLabels {
                endpoint: KINDS[kind].0,
                outcome: answered.as_str(),
            };
            Times {
                first_byte: self.first_bytes.get_or_create_owned(&labels),
                duration: self.durations.get_or_create_owned(&labels),
            }
        })
    }
}

impl RequestCounters {
    /// Counts one repetition, whose body has this length and went out with its head.
    pub(super) fn count(&self, bytes: u64, elapsed: Duration) {
        self.requests.inc();
        self.sent.inc_by(bytes);
        let seconds = elapsed.as_secs_f64();
        self.durations.observe(seconds);
        self.first_bytes.observe(seconds);
        self.platforms.count();
        self.family.inc();
    }
}

/// The place of an endpoint's kind among [`KINDS`].
fn kind(endpoint: Endpoint) -> usize {
    match endpoint {
        Endpoint::Manifest => 0,
        Endpoint::Blob => 1,
        Endpoint::Tags | Endpoint::Referrers => 2,
        Endpoint::None | Endpoint::Ping | Endpoint::Push => 3,
    }
}

/// The place of a status among [`STATUSES`].
fn class(status: StatusCode) -> usize {
    match status.as_u16() / 100 {
        1 => 0,
        2 => 1,
        3 => 2,
        4 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use pull::Outcome;

    use super::*;

    #[test]
    fn a_repetition_counts_where_its_first_answer_did() {
        let metrics = AccessMetrics::default();
        let facts = RequestFacts {
            endpoint: Endpoint::Manifest,
            outcome: Some(Outcome::Hit),
            platform: Some("linux/arm64".to_owned()),
            platform_source: Some(pull::Source::Header),
            ..RequestFacts::default()
        };
        let took = Took {
            first_byte: Duration::ZERO,
            all: Duration::ZERO,
        };
        let asked = (&facts, "containerd/v2.2.0");
        metrics.count(asked, StatusCode::OK, 10, took);
        let again = metrics.of(asked, StatusCode::OK);
        again.count(10, Duration::ZERO);
        let requests = metrics.requests(Endpoint::Manifest, Answered::Hit, 1);
        assert_eq!(requests.get(), 2);
        assert_eq!(metrics.sent(Answered::Hit).get(), 20);
        assert_eq!(metrics.families.of("containerd/v1").get(), 2);
    }
}
