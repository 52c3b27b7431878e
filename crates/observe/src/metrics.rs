//! The registry of all metrics, and its text.
//!
//! Owns the registry alone: each part of the program owns its counters and registers them here.
//! Labels come from closed sets, never from a name a client chose.

use std::{collections::HashSet, fmt::Write};

use prometheus_client::{
    encoding::{
        EncodeLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{log_writer::LogWriter, process};

/// The forms of the text that a scraper can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' own, which all others read.
    Classic,
}

impl MetricsFormat {
    /// The form for an `Accept`: the one that it names first. Without one `OpenMetrics`.
    pub fn of(accept: Option<&str>) -> Self {
        let mut names = accept.into_iter().flat_map(|accept| accept.split(','));
        let classic = |name: &str| name.trim_start().starts_with("text/plain");
        let open = |name: &str| {
            name.trim_start()
                .starts_with("application/openmetrics-text")
        };
        match names.find(|name| classic(name) || open(name)) {
            Some(name) if classic(name) => Self::Classic,
            _ => Self::OpenMetrics,
        }
    }

    /// The `Content-Type` of the text.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The registry of all metrics. Every name in it begins with `archway_`; those of the process beside
/// it have the names they have everywhere.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    build_info: Family<BuildLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
    revision: &'static str,
    target: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let build_info = Family::default();
        let build = BuildLabels {
            version: env!("CARGO_PKG_VERSION"),
            revision: option_env!("ARCHWAY_REVISION").unwrap_or("unknown"),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        };
        let info: &Family<BuildLabels, Gauge> = &build_info;
        info.get_or_create(&build).set(1);
        let mut metrics = Self {
            registry: Registry::with_prefix("archway"),
            build_info,
        };
        let help = "What this program is, as labels";
        let info = metrics.build_info.clone();
        metrics.registry.register("build_info", help, info);
        metrics
    }
}

impl Metrics {
    /// The registry, for the parts to register their counters.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Registers the count of log lines that `log` had to drop.
    pub fn watch(&mut self, log: &LogWriter) {
        let help = "Log lines dropped because the log was not read fast enough";
        self.registry
            .register("log_lines_dropped", help, log.dropped());
    }

    /// Registers the count of lines of the audit log that were dropped.
    pub fn watch_audit(&mut self, audit: &LogWriter) {
        let help = "Lines of the audit log dropped because its file did not take them fast enough";
        self.registry
            .register("audit_lines_dropped", help, audit.dropped());
    }

    /// The program's own metrics as they are now. For those of the process the kernel is asked, which
    /// lists every open file.
    pub fn own(&self) -> String {
        let mut text = String::new();
        let _ = encode_registry(&mut text, &self.registry);
        text
    }

    /// All metrics as they are now.
    pub fn render(&self, format: MetricsFormat) -> String {
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.registry);
        let written = match format {
            MetricsFormat::OpenMetrics => {
                process::write(&mut text, "");
                written.and_then(|()| encode_eof(&mut text))
            }
            MetricsFormat::Classic => {
                text = classic(&text);
                process::write(&mut text, "_total");
                written
            }
        };
        if written.is_err() {
            let _ = writeln!(text, "# the metrics could not be written");
        }
        text
    }
}

/// `OpenMetrics` in the older form: a counter is called in the lines about it as in those of its
/// values, and units are not told.
fn classic(open: &str) -> String {
    let counters: HashSet<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let about = ["# HELP ", "# TYPE "];
        let about = about.into_iter().find(|start| line.starts_with(start));
        let Some(start) = about else {
            if !line.starts_with("# UNIT ") {
                text.push_str(line);
                text.push('\n');
            }
            continue;
        };
        let (name, rest) = line[start.len()..].split_once(' ').unwrap_or_default();
        let total = if counters.contains(name) {
            "_total"
        } else {
            ""
        };
        let _ = writeln!(text, "{start}{name}{total} {rest}");
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        metrics::{counter::Counter, histogram::Histogram},
        registry::Unit,
    };

    use super::*;

    #[test]
    fn a_scraper_gets_the_form_that_it_names_first() {
        let of = |accept| MetricsFormat::of(Some(accept));
        assert_eq!(MetricsFormat::of(None), MetricsFormat::OpenMetrics);
        assert_eq!(of("*/*"), MetricsFormat::OpenMetrics);
        assert_eq!(of("text/plain;version=0.0.4"), MetricsFormat::Classic);
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(of(prometheus), MetricsFormat::OpenMetrics);
    }

    #[test]
    fn the_classic_form_calls_a_counter_by_the_name_of_its_values() {
        let mut metrics = Metrics::default();
        let counter = Counter::<u64>::default();
        counter.inc_by(7);
        let registry = metrics.registry();
        registry.register_with_unit("sent", "Sent", Unit::Bytes, counter);
        let times = Histogram::new([1.0]);
        registry.register_with_unit("wait", "Waits", Unit::Seconds, times);
        let text = metrics.render(MetricsFormat::Classic);
        for line in [
            "# HELP archway_sent_bytes_total Sent.",
            "# TYPE archway_sent_bytes_total counter",
            "archway_sent_bytes_total 7",
            "# TYPE archway_wait_seconds histogram",
            "archway_wait_seconds_count 0",
            "# TYPE archway_build_info gauge",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(
            !text.contains("# UNIT") && !text.contains("# EOF"),
            "{text}"
        );
        let open = metrics.render(MetricsFormat::OpenMetrics);
        assert!(open.contains("# TYPE archway_sent_bytes counter\n"));
        assert!(open.contains("# TYPE process_cpu_seconds counter\n"));
        assert!(open.ends_with("# EOF\n"));
    }
}
