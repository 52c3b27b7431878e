//! Counters and gauges, in the Prometheus text format. Labels come from closed sets: never a name a client chose.

mod upstream;

use std::fmt::Write;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::pull::{Outcome, Pull};

pub use self::upstream::{UpstreamMetrics, UpstreamTally};

/// What is counted per request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `manifest`, `blob`, ...
    pub endpoint: &'static str,
    /// `hit`, `follow`, `fill`, `stale`, `miss`, or `none`.
    pub outcome: &'static str,
    /// The status' first digit.
    pub status: &'static str,
}

/// What is counted per outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// As in [`RequestLabels`].
    pub outcome: &'static str,
}

/// Everything that is counted. One per process, handed down; a test may have its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests answered.
    pub requests: Family<RequestLabels, Counter>,
    /// Seconds from a request's arrival to the end of its body.
    pub durations: Histogram,
    /// Body bytes sent to clients.
    pub bytes: Family<OutcomeLabels, Counter>,
    /// Bodies that ended before their length: the client left, or a fill failed.
    pub aborted: Counter,
    /// Connections open now.
    pub connections: Gauge,
    /// Fills that became blobs.
    pub fills_completed: Counter,
    /// Fills that failed.
    pub fills_failed: Counter,
    /// What upstreams answer.
    pub upstream: UpstreamMetrics,
    fills_running: Gauge,
    cache_bytes: Gauge,
    evicted: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        // A hit takes microseconds, a large cold blob minutes.
        let seconds = [
            0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0,
        ];
        let mut metrics = Self {
            registry: Registry::with_prefix("archway"),
            requests: Family::default(),
            durations: Histogram::new(seconds),
            bytes: Family::default(),
            aborted: Counter::default(),
            connections: Gauge::default(),
            fills_completed: Counter::default(),
            fills_failed: Counter::default(),
            upstream: UpstreamMetrics::default(),
            fills_running: Gauge::default(),
            cache_bytes: Gauge::default(),
            evicted: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        self.upstream.register(registry);
        registry.register("requests", "Requests answered", self.requests.clone());
        let duration = "From a request's arrival to the end of its body";
        registry.register_with_unit(
            "request_duration",
            duration,
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit("sent", "Body bytes sent", Unit::Bytes, self.bytes.clone());
        registry.register(
            "bodies_aborted",
            "Bodies that ended early",
            self.aborted.clone(),
        );
        registry.register("connections", "Connections open", self.connections.clone());
        registry.register(
            "fills_completed",
            "Downloads stored",
            self.fills_completed.clone(),
        );
        registry.register(
            "fills_failed",
            "Downloads that failed",
            self.fills_failed.clone(),
        );
        registry.register(
            "fills_running",
            "Downloads under way",
            self.fills_running.clone(),
        );
        registry.register_with_unit(
            "cache",
            "Bytes of stored blobs",
            Unit::Bytes,
            self.cache_bytes.clone(),
        );
        registry.register_with_unit(
            "evicted",
            "Bytes evicted",
            Unit::Bytes,
            self.evicted.clone(),
        );
    }

    /// The labels' word for an outcome.
    pub fn outcome(outcome: Option<Outcome>) -> &'static str {
        outcome.map_or("none", Outcome::as_str)
    }

    /// All metrics as text, with the cache's gauges read now.
    pub fn render(&self, pull: &Pull) -> String {
        let usage = pull.cache().usage();
        self.fills_running
            .set(i64::try_from(usage.fills).unwrap_or(i64::MAX));
        self.cache_bytes
            .set(i64::try_from(usage.bytes).unwrap_or(i64::MAX));
        self.evicted
            .inc_by(usage.evicted_bytes.saturating_sub(self.evicted.get()));
        self.upstream.observe(&pull.upstreams().standings());
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            let _ = writeln!(text, "# the metrics could not be written");
        }
        text
    }
}
