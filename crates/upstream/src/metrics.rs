//! What upstreams answer and how they stand. The label is the key of the upstream's table, of which there are as many as the
//! configuration has.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use protocol::host::HostPattern;

use crate::{FetchError, Standing, Trouble};

/// What is said of an upstream as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

/// What is counted per answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    upstream: String,
    /// `ok`, `absent`, `refused`, `throttled`, `unreachable`, `broken`, or `resting` for what was not even asked.
    answer: &'static str,
}

/// The families. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct UpstreamMetrics {
    answers: Family<AnswerLabels, Counter>,
    down: Family<UpstreamLabels, Gauge>,
    held: Family<UpstreamLabels, Gauge>,
    waiting: Family<UpstreamLabels, Gauge>,
    pulls_remaining: Family<UpstreamLabels, Gauge>,
}

impl UpstreamMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("upstream");
        registry.register("answers", "What upstreams answered", self.answers.clone());
        let down = "Endpoints that are not asked because they failed";
        registry.register("endpoints_down", down, self.down.clone());
        let held = "Endpoints left alone because they throttled us";
        registry.register("endpoints_held", held, self.held.clone());
        let waiting = "Calls that wait for their turn";
        registry.register("calls_waiting", waiting, self.waiting.clone());
        let remaining = "Pulls left as the upstream last said (ratelimit-remaining)";
        registry.register("pulls_remaining", remaining, self.pulls_remaining.clone());
    }

    /// The part of one upstream.
    pub fn tally(&self, pattern: &HostPattern) -> UpstreamTally {
        UpstreamTally {
            metrics: self.clone(),
            labels: UpstreamLabels {
                upstream: pattern.as_str().to_owned(),
            },
        }
    }

    /// Sets the gauges to how the endpoints stand now.
    pub(super) fn observe(&self, standings: &[Standing]) {
        for gauges in [&self.down, &self.held, &self.waiting] {
            gauges.clear();
        }
        for standing in standings {
            let labels = UpstreamLabels {
                upstream: standing.pattern.as_str().to_owned(),
            };
            let add = |gauges: &Family<UpstreamLabels, Gauge>, value: usize| {
                let gauge = gauges.get_or_create(&labels);
                gauge.inc_by(i64::try_from(value).unwrap_or(i64::MAX));
            };
            add(&self.down, usize::from(standing.outage.is_some()));
            add(&self.held, usize::from(standing.held.is_some()));
            add(&self.waiting, standing.waiting);
        }
    }
}

/// Counts for one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamTally {
    metrics: UpstreamMetrics,
    labels: UpstreamLabels,
}

impl UpstreamTally {
    /// An endpoint answered, or failed so.
    pub fn answer(&self, error: Option<&FetchError>) {
        let answer = match error {
            None => "ok",
            Some(FetchError::Absent { .. }) => "absent",
            Some(FetchError::Refused { .. }) => "refused",
            Some(FetchError::Throttled { .. }) => "throttled",
            Some(FetchError::Unreachable {
                source: Trouble::Resting { .. },
                ..
            }) => "resting",
            Some(FetchError::Unreachable { .. }) => "unreachable",
            Some(FetchError::Broken { .. }) => "broken",
        };
        let upstream = self.labels.upstream.clone();
        let labels = AnswerLabels { upstream, answer };
        self.metrics.answers.get_or_create(&labels).inc();
    }

    /// The upstream said how many pulls are left.
    pub fn pulls_remaining(&self, count: u32) {
        let gauge = self.metrics.pulls_remaining.get_or_create(&self.labels);
        gauge.set(count.into());
    }
}
