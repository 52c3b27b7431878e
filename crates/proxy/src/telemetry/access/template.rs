//! Logging and counting an answer that was given before.

use std::time::{Instant, SystemTime};

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::{
    line::{Timing, write_line},
    request_id,
};
use crate::telemetry::lines::Lines;

/// What is logged and counted each time an answer is given that was kept ready.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(super) line: Vec<u8>,
    pub(super) lines: Option<Lines>,
    pub(super) requests: Counter,
    pub(super) sent: Counter,
    pub(super) durations: Histogram,
    pub(super) bytes: u64,
}

/// What a request is called, and when it was answered.
pub(crate) struct Logged {
    pub(crate) id: String,
    pub(crate) at: SystemTime,
}

impl Template {
    /// Logs and counts one more such answer, as whole: it is handed to the connection in one piece.
    pub(crate) fn log(&self, started: Instant) -> Logged {
        let elapsed = started.elapsed();
        let (id, at) = (request_id(), SystemTime::now());
        self.requests.inc();
        self.sent.inc_by(self.bytes);
        self.durations.observe(elapsed.as_secs_f64());
        if let Some(lines) = &self.lines
            && tracing::enabled!(target: "access", tracing::Level::INFO)
        {
            let timing = Timing {
                timestamp: humantime::format_rfc3339_micros(at),
                id: &id,
                first_byte: elapsed,
                duration: elapsed,
            };
            lines.add(|buffer| write_line(buffer, &timing, &self.line));
        }
        Logged { id, at }
    }
}
