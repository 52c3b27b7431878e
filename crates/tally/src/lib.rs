//! The counters of upstream answers, of what came and how long it took, and the gauges of endpoint
//! states. The label is the upstream's key in the configuration, which bounds the number of its
//! values. Counters are there from the start; histograms, which are many series each, once there is
//! something to count: the built-in upstreams are many, and most of them are never asked.
//!
//! Owns the counters and their names. Refuses to know calls, errors and endpoints: `upstream` says
//! which counter an event is for.

mod events;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use protocol::host::HostPattern;

pub use self::events::{Answer, Asked, Received};

/// From a registry nearby to the longest that one is waited for.
const REQUEST_BUCKETS: [f64; 5] = [0.05, 0.25, 1.0, 3.0, 8.0];

/// A call that goes at once, a pause that clients notice, one that they do not wait for.
const WAIT_BUCKETS: [f64; 3] = [0.1, 1.0, 8.0];

/// The label of the gauges.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

/// The labels of calls that registries limit apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeldLabels {
    upstream: String,
    /// `manifests`, `blobs` or `lists`; of a rate for all calls together, `all`.
    calls: &'static str,
}

/// What upstreams with one key told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Pulls left.
    pub pulls_left: Option<u64>,
    /// Pulls allowed.
    pub pulls_limit: Option<u64>,
    /// When the token that was got last runs out.
    pub token_expires: Option<SystemTime>,
}

/// The labels of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    upstream: String,
    /// The name of an [`Answer`].
    answer: &'static str,
}

/// The labels of requests and of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    upstream: String,
    /// The name of an [`Asked`] or a [`Received`].
    kind: &'static str,
}

/// The labels of a token's renewal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewalLabels {
    upstream: String,
    /// `ok` or `failed`.
    result: &'static str,
}

/// The metrics of all upstreams. A clone is a handle to the same metrics.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    answers: Family<AnswerLabels, Counter>,
    down: Family<UpstreamLabels, Gauge>,
    held: Family<UpstreamLabels, Gauge>,
    calls_held: Family<HeldLabels, Gauge>,
    waiting: Family<UpstreamLabels, Gauge>,
    budget_tokens: Family<HeldLabels, Gauge>,
    pulls_remaining: Family<UpstreamLabels, Gauge>,
    pulls_limit: Family<UpstreamLabels, Gauge>,
    received: Family<KindLabels, Counter>,
    requests: Family<KindLabels, Histogram, fn() -> Histogram>,
    waits: Family<UpstreamLabels, Histogram, fn() -> Histogram>,
    renewals: Family<RenewalLabels, Counter>,
    token_expiry: Family<UpstreamLabels, Gauge>,
    /// Contents whose bytes did not have the digest that was asked for.
    corrupt: Counter,
}

impl Default for UpstreamMetrics {
    fn default() -> Self {
        Self {
            answers: Family::default(),
            down: Family::default(),
            held: Family::default(),
            calls_held: Family::default(),
            waiting: Family::default(),
            budget_tokens: Family::default(),
            pulls_remaining: Family::default(),
            pulls_limit: Family::default(),
            received: Family::default(),
            requests: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            waits: Family::new_with_constructor(|| Histogram::new(WAIT_BUCKETS)),
            renewals: Family::default(),
            token_expiry: Family::default(),
            corrupt: Counter::default(),
        }
    }
}

impl UpstreamMetrics {
    /// Registers all metrics, below the registry's own prefix.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("upstream");
        registry.register("answers", "What upstreams answered", self.answers.clone());
        let down = "Endpoints that are not asked because they failed";
        registry.register("endpoints_down", down, self.down.clone());
        let held = "Endpoints left alone because they throttled us";
        registry.register("endpoints_held", held, self.held.clone());
        let calls = "Endpoints that throttled calls of this kind";
        registry.register("calls_held", calls, self.calls_held.clone());
        let waiting = "Calls that wait for their turn";
        registry.register("calls_waiting", waiting, self.waiting.clone());
        let tokens = "Calls that the configured rate would let go at once";
        registry.register("budget_tokens", tokens, self.budget_tokens.clone());
        let remaining = "Pulls left, as last announced by the upstream (ratelimit-remaining)";
        registry.register("pulls_remaining", remaining, self.pulls_remaining.clone());
        let limit = "Pulls allowed, as last announced by the upstream (ratelimit-limit)";
        registry.register("pulls_limit", limit, self.pulls_limit.clone());
        self.register_flow(registry);
    }

    /// What came, how long that took, and the tokens it took.
    fn register_flow(&self, registry: &mut Registry) {
        let help = "Body bytes received, as they came over the line";
        registry.register_with_unit("received", help, Unit::Bytes, self.received.clone());
        let help = "From a request to the head of its answer, redirects apart";
        let requests = self.requests.clone();
        registry.register_with_unit("request_duration", help, Unit::Seconds, requests);
        let help = "How long calls waited for the configured rates, and for the end of a 429";
        registry.register_with_unit("wait", help, Unit::Seconds, self.waits.clone());
        let help = "Tokens asked for, by whether one came";
        registry.register("token_renewals", help, self.renewals.clone());
        let help = "When the token that was got last runs out, in Unix time";
        let expiry = self.token_expiry.clone();
        registry.register_with_unit("token_expiry_timestamp", help, Unit::Seconds, expiry);
    }

    /// The counters of the upstreams with this key, which are there from now on.
    pub fn tally(&self, pattern: &HostPattern) -> UpstreamTally {
        let upstream = || pattern.as_str().to_owned();
        let labels = UpstreamLabels {
            upstream: upstream(),
        };
        let kind = |kind| KindLabels {
            upstream: upstream(),
            kind,
        };
        UpstreamTally(Arc::new(Counters {
            answers: Answer::NAMES.map(|answer| {
                let upstream = upstream();
                let labels = AnswerLabels { upstream, answer };
                self.answers.get_or_create_owned(&labels)
            }),
            received: Received::NAMES.map(|name| self.received.get_or_create_owned(&kind(name))),
            requests: Default::default(),
            waits: OnceLock::new(),
            renewals: ["ok", "failed"].map(|result| {
                let upstream = upstream();
                let labels = RenewalLabels { upstream, result };
                self.renewals.get_or_create_owned(&labels)
            }),
            metrics: self.clone(),
            labels,
        }))
    }

    /// How often content did not have the digest that was asked for, blobs that were stored apart.
    pub fn corrupt(&self) -> u64 {
        self.corrupt.get()
    }

    /// What upstreams with this key told last.
    pub fn announced(&self, pattern: &HostPattern) -> Announced {
        let labels = UpstreamLabels {
            upstream: pattern.as_str().to_owned(),
        };
        let told = |gauges: &Family<UpstreamLabels, Gauge>| {
            let gauge = gauges.get(&labels)?;
            u64::try_from(gauge.get()).ok()
        };
        let expiry = told(&self.token_expiry).map(Duration::from_secs);
        Announced {
            pulls_left: told(&self.pulls_remaining),
            pulls_limit: told(&self.pulls_limit),
            token_expires: expiry.and_then(|since| UNIX_EPOCH.checked_add(since)),
        }
    }

    /// Sets the gauges to the state of the endpoints; those of `patterns` without any are zero.
    /// `calls` are the kinds of calls that are limited apart.
    pub fn observe<'a>(
        &self,
        patterns: impl Iterator<Item = &'a HostPattern>,
        calls: &[&'static str],
        states: impl Iterator<Item = EndpointState<'a>>,
    ) {
        self.calls_held.clear();
        self.budget_tokens.clear();
        for gauges in [&self.down, &self.held, &self.waiting] {
            gauges.clear();
        }
        for pattern in patterns {
            let upstream = pattern.as_str().to_owned();
            for calls in calls.iter().copied() {
                let upstream = upstream.clone();
                self.calls_held
                    .get_or_create_owned(&HeldLabels { upstream, calls });
            }
            let labels = UpstreamLabels { upstream };
            for gauges in [&self.down, &self.held, &self.waiting] {
                gauges.get_or_create_owned(&labels);
            }
        }
        for state in states {
            self.add(&state);
        }
    }

    fn add(&self, state: &EndpointState<'_>) {
        let labels = UpstreamLabels {
            upstream: state.pattern.as_str().to_owned(),
        };
        let add = |gauges: &Family<UpstreamLabels, Gauge>, value: usize| {
            let gauge = gauges.get_or_create(&labels);
            gauge.inc_by(i64::try_from(value).unwrap_or(i64::MAX));
        };
        add(&self.down, usize::from(state.is_down));
        add(&self.held, usize::from(!state.held.is_empty()));
        add(&self.waiting, state.waiting);
        let of_calls = |calls| HeldLabels {
            upstream: labels.upstream.clone(),
            calls,
        };
        for calls in &state.held {
            self.calls_held.get_or_create(&of_calls(*calls)).inc();
        }
        for (calls, permits) in state.permits {
            let gauge = self.budget_tokens.get_or_create_owned(&of_calls(*calls));
            gauge.set((*permits).into());
        }
    }
}

/// The state of an endpoint, as far as gauges show it.
#[derive(Clone, Debug)]
pub struct EndpointState<'a> {
    /// The upstream's key in the configuration.
    pub pattern: &'a HostPattern,
    /// Whether it is not asked because it failed.
    pub is_down: bool,
    /// The kinds of calls that it has throttled.
    pub held: Vec<&'static str>,
    /// Calls that wait.
    pub waiting: usize,
    /// How many calls each rate would let go now, with what it is for.
    pub permits: &'a [(&'static str, u32)],
}

/// The counters of one upstream. A clone is a handle to the same counters.
#[derive(Clone, Debug)]
pub struct UpstreamTally(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    answers: [Counter; Answer::NAMES.len()],
    received: [Counter; Received::NAMES.len()],
    requests: [OnceLock<Histogram>; Asked::NAMES.len()],
    waits: OnceLock<Histogram>,
    renewals: [Counter; 2],
    /// For what is there only once an upstream has told it.
    metrics: UpstreamMetrics,
    labels: UpstreamLabels,
}

impl UpstreamTally {
    /// Counts an answer or a failure.
    pub fn answer(&self, answer: Answer) {
        self.0.answers[answer as usize].inc();
    }

    /// Counts content whose bytes did not have the digest that was asked for.
    pub fn corrupt(&self) {
        self.0.metrics.corrupt.inc();
    }

    /// Notes the number of pulls left that the upstream announced, and of how many.
    pub fn pulls(&self, remaining: Option<u32>, limit: Option<u32>) {
        let gauges = [
            (&self.0.metrics.pulls_remaining, remaining),
            (&self.0.metrics.pulls_limit, limit),
        ];
        for (gauge, count) in gauges {
            if let Some(count) = count {
                gauge.get_or_create(&self.0.labels).set(count.into());
            }
        }
    }

    /// The counter of the bytes of such bodies.
    pub fn received(&self, of: Received) -> &Counter {
        &self.0.received[of as usize]
    }

    /// Counts a request whose head came, or did not, after `time`.
    pub fn asked(&self, what: Asked, time: Duration) {
        let Counters {
            requests, metrics, ..
        } = &*self.0;
        let requests = requests[what as usize].get_or_init(|| {
            let upstream = self.0.labels.upstream.clone();
            let kind = Asked::NAMES[what as usize];
            let labels = KindLabels { upstream, kind };
            metrics.requests.get_or_create_owned(&labels)
        });
        requests.observe(time.as_secs_f64());
    }

    /// Counts the wait of a call for its turn.
    pub fn waited(&self, time: Duration) {
        let Counters {
            waits,
            metrics,
            labels,
            ..
        } = &*self.0;
        let waits = waits.get_or_init(|| metrics.waits.get_or_create_owned(labels));
        waits.observe(time.as_secs_f64());
    }

    /// Counts a token that came, and holds until then, or one that did not.
    pub fn token(&self, expires: Option<SystemTime>) {
        self.0.renewals[usize::from(expires.is_none())].inc();
        if let Some(expires) = expires {
            let since = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let gauge = self
                .0
                .metrics
                .token_expiry
                .get_or_create_owned(&self.0.labels);
            gauge.set(seconds);
        }
    }
}
