//! The counters of upstream answers and the gauges of endpoint states. The label is the upstream's
//! key in the configuration, which bounds the number of its values.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use protocol::host::HostPattern;

use crate::{
    error::{Cause, FetchError},
    policy::EndpointStatus,
};

/// The label of the gauges.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

/// The labels of held calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeldLabels {
    upstream: String,
    /// `manifests`, `blobs` or `lists`.
    calls: &'static str,
}

/// The labels of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    upstream: String,
    /// `ok`, `absent`, `refused`, `throttled`, `unreachable`, `broken`, or `resting` for a request
    /// not sent because the circuit is open.
    answer: &'static str,
}

/// The metrics of all upstreams. A clone is a handle to the same metrics.
#[derive(Clone, Debug, Default)]
pub struct UpstreamMetrics {
    answers: Family<AnswerLabels, Counter>,
    down: Family<UpstreamLabels, Gauge>,
    held: Family<UpstreamLabels, Gauge>,
    calls_held: Family<HeldLabels, Gauge>,
    waiting: Family<UpstreamLabels, Gauge>,
    pulls_remaining: Family<UpstreamLabels, Gauge>,
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
        let remaining = "Pulls left, as last announced by the upstream (ratelimit-remaining)";
        registry.register("pulls_remaining", remaining, self.pulls_remaining.clone());
    }

    /// The counters of the upstreams with this key.
    pub fn tally(&self, pattern: &HostPattern) -> UpstreamTally {
        UpstreamTally {
            metrics: self.clone(),
            labels: UpstreamLabels {
                upstream: pattern.as_str().to_owned(),
            },
        }
    }

    /// Sets the gauges to the state of the endpoints.
    pub(crate) fn observe(&self, statuses: &[EndpointStatus]) {
        self.calls_held.clear();
        for gauges in [&self.down, &self.held, &self.waiting] {
            gauges.clear();
        }
        for status in statuses {
            let labels = UpstreamLabels {
                upstream: status.pattern.as_str().to_owned(),
            };
            let add = |gauges: &Family<UpstreamLabels, Gauge>, value: usize| {
                let gauge = gauges.get_or_create(&labels);
                gauge.inc_by(i64::try_from(value).unwrap_or(i64::MAX));
            };
            add(&self.down, usize::from(status.outage.is_some()));
            add(&self.held, usize::from(!status.held.is_empty()));
            add(&self.waiting, status.waiting);
            for pause in &status.held {
                let labels = HeldLabels {
                    upstream: labels.upstream.clone(),
                    calls: pause.kind.as_str(),
                };
                self.calls_held.get_or_create(&labels).inc();
            }
        }
    }
}

/// The counters of one upstream. A clone is a handle to the same counters.
#[derive(Clone, Debug)]
pub struct UpstreamTally {
    metrics: UpstreamMetrics,
    labels: UpstreamLabels,
}

impl UpstreamTally {
    /// Counts an answer or a failure.
    pub fn answer(&self, error: Option<&FetchError>) {
        let answer = match error {
            // The room is ours; the upstream has answered. An offline one is never asked.
            None | Some(FetchError::NoRoom { .. } | FetchError::Offline { .. }) => "ok",
            Some(FetchError::NotFound { .. }) => "absent",
            Some(FetchError::Refused { .. }) => "refused",
            Some(FetchError::Throttled { .. }) => "throttled",
            Some(FetchError::Unreachable {
                source: Cause::CircuitOpen(_) | Cause::NoFirstByte(_),
                ..
            }) => "resting",
            Some(FetchError::Unreachable { .. }) => "unreachable",
            Some(FetchError::Broken { .. }) => "broken",
        };
        let upstream = self.labels.upstream.clone();
        let labels = AnswerLabels { upstream, answer };
        self.metrics.answers.get_or_create(&labels).inc();
    }

    /// Notes the number of pulls left that the upstream announced.
    pub fn pulls_remaining(&self, count: u32) {
        let gauge = self.metrics.pulls_remaining.get_or_create(&self.labels);
        gauge.set(count.into());
    }
}
