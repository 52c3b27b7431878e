//! The registry of all metrics, and its text.
//!
//! Owns the registry alone: each part of the program owns its counters and registers them here.
//! Labels come from closed sets, never from a name a client chose.

use std::fmt::Write;

use prometheus_client::{encoding::text::encode, registry::Registry};

use super::log_writer::LogWriter;

/// The registry of all metrics. Every name in it begins with `archway_`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            registry: Registry::with_prefix("archway"),
        }
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

    /// All metrics in the `OpenMetrics` text format, as they are now.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            let _ = writeln!(text, "# the metrics could not be written");
        }
        text
    }
}
