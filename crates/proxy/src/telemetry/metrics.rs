//! The registry of all metrics, and its text. What is counted belongs to the part that counts it.
//!
//! Labels come from closed sets: never a name a client chose.

use std::fmt::Write;

use prometheus_client::{encoding::text::encode, registry::Registry};

use super::lines::Lines;

/// The registry. Every name in it begins with `archway_`.
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
    /// Where the parts register what they count.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Shows how many lines of the log were dropped.
    pub fn watch(&mut self, lines: &Lines) {
        let help = "Log lines dropped because the log was not read fast enough";
        self.registry
            .register("log_lines_dropped", help, lines.dropped());
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
