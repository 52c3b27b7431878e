//! Counters and gauges, in the Prometheus text format. Labels come from closed sets: never a name a client chose.

mod upstream;

use std::fmt::Write;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    inventory::Totals,
    pull::{Outcome, Pull},
    telemetry::lines::Lines,
};

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

/// What is counted per TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HandshakeLabels {
    /// `accepted`, `failed`, `timed_out`, `plain_http`, or `closed` before the first byte.
    pub result: &'static str,
    /// `1.2` or `1.3`, or `none` where it was not accepted.
    pub version: &'static str,
}

/// What is counted per change of a certificate's files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabels {
    /// `loaded` or `refused`.
    pub result: &'static str,
}

/// What is counted per platform: a bounded set of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PlatformLabels {
    /// A platform, or `other`.
    pub platform: String,
    /// `cached`, `partial` or `absent`.
    pub state: &'static str,
}

/// What is counted of downloads ahead of clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PrefetchLabels {
    /// `warmed`: downloaded; `used`: a client has asked for it since; `wasted`: none has for a day.
    pub result: &'static str,
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
    /// TLS handshakes, good and bad.
    pub tls_handshakes: Family<HandshakeLabels, Counter>,
    /// Certificates that were read again.
    pub tls_reloads: Family<ReloadLabels, Counter>,
    /// Fills that became blobs.
    pub fills_completed: Counter,
    /// Fills that failed.
    pub fills_failed: Counter,
    /// Fills that failed because the disk would not take them.
    pub fills_unstored: Counter,
    /// Body bytes that went from a file to a socket without passing through this process.
    pub sendfile_bytes: Counter,
    prefetched: Family<PrefetchLabels, Counter>,
    /// Bytes downloaded ahead of clients.
    pub prefetched_bytes: Counter,
    images: Family<PlatformLabels, Gauge>,
    /// What upstreams answer.
    pub upstream: UpstreamMetrics,
    fills_running: Gauge,
    cache_bytes: Gauge,
    unwanted_bytes: Gauge,
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
            tls_handshakes: Family::default(),
            tls_reloads: Family::default(),
            fills_completed: Counter::default(),
            fills_failed: Counter::default(),
            fills_unstored: Counter::default(),
            sendfile_bytes: Counter::default(),
            prefetched: Family::default(),
            prefetched_bytes: Counter::default(),
            images: Family::default(),
            upstream: UpstreamMetrics::default(),
            fills_running: Gauge::default(),
            cache_bytes: Gauge::default(),
            unwanted_bytes: Gauge::default(),
            evicted: Counter::default(),
        };
        metrics.register_requests();
        metrics.register_tls();
        metrics.register_fills();
        metrics.register_cache();
        metrics
    }
}

impl Metrics {
    fn register_requests(&mut self) {
        let registry = &mut self.registry;
        self.upstream.register(registry);
        registry.register("requests", "Requests answered", self.requests.clone());
        let help = "From a request's arrival to the end of its body";
        let durations = self.durations.clone();
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations);
        let bytes = Unit::Bytes;
        registry.register_with_unit("sent", "Body bytes sent", bytes, self.bytes.clone());
        let help = "Body bytes sent from files by the kernel";
        registry.register_with_unit("sendfile", help, Unit::Bytes, self.sendfile_bytes.clone());
        let help = "Bodies that ended early";
        registry.register("bodies_aborted", help, self.aborted.clone());
        registry.register("connections", "Connections open", self.connections.clone());
    }

    fn register_tls(&mut self) {
        let registry = &mut self.registry;
        let handshakes = "TLS handshakes, by how they ended";
        registry.register("tls_handshakes", handshakes, self.tls_handshakes.clone());
        let reloads = "Changed TLS certificates, by whether they could be used";
        registry.register("tls_reloads", reloads, self.tls_reloads.clone());
    }

    fn register_fills(&mut self) {
        let registry = &mut self.registry;
        let completed = self.fills_completed.clone();
        registry.register("fills_completed", "Downloads stored", completed);
        let failed = self.fills_failed.clone();
        registry.register("fills_failed", "Downloads that failed", failed);
        let help = "Downloads the disk would not take";
        registry.register("fills_unstored", help, self.fills_unstored.clone());
        let running = self.fills_running.clone();
        registry.register("fills_running", "Downloads under way", running);
        let help = "Blobs downloaded before a client asked, and what became of them";
        registry.register("prefetched_blobs", help, self.prefetched.clone());
        let help = "Bytes downloaded before a client asked";
        let prefetched = self.prefetched_bytes.clone();
        registry.register_with_unit("prefetched", help, Unit::Bytes, prefetched);
    }

    fn register_cache(&mut self) {
        let registry = &mut self.registry;
        let help = "Images of cached tags for each platform, as of the last count";
        registry.register("images", help, self.images.clone());
        let bytes = self.cache_bytes.clone();
        registry.register_with_unit("cache", "Bytes of stored blobs", Unit::Bytes, bytes);
        let help = "Bytes of blobs for platforms nobody pulls, as of the last look";
        let unwanted = self.unwanted_bytes.clone();
        registry.register_with_unit("cache_unwanted", help, Unit::Bytes, unwanted);
        let evicted = self.evicted.clone();
        registry.register_with_unit("evicted", "Bytes evicted", Unit::Bytes, evicted);
    }

    /// Shows how many lines of the log were dropped.
    pub fn watch(&mut self, lines: &Lines) {
        let help = "Log lines dropped because the log was not read fast enough";
        self.registry
            .register("log_lines_dropped", help, lines.dropped());
    }

    /// The count of blobs that were `warmed`, `used` or `wasted`.
    pub fn prefetched(&self, result: &'static str) -> Counter {
        self.prefetched
            .get_or_create(&PrefetchLabels { result })
            .clone()
    }

    /// Replaces the number of bytes that go first when room is needed.
    pub fn count_unwanted(&self, bytes: u64) {
        self.unwanted_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Replaces the numbers of images.
    pub fn count_images(&self, totals: &Totals) {
        self.images.clear();
        for ((platform, state), number) in totals {
            let labels = PlatformLabels {
                platform: platform.clone(),
                state: state.as_str(),
            };
            self.images.get_or_create(&labels).set(*number);
        }
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
