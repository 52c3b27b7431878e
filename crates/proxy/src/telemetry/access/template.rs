//! Logging and counting an answer that was given before.

use std::time::{Duration, SystemTime};

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::{
    RequestId,
    line::{Timing, write_line},
};
use crate::telemetry::lines::Lines;

/// What is logged and counted each time an answer is given that was kept ready.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Where its lines go. None where no requests are logged.
    pub(super) lines: Option<Lines>,
    pub(super) line: Vec<u8>,
    pub(super) requests: Counter,
    pub(super) sent: Counter,
    pub(super) durations: Histogram,
    pub(super) bytes: u64,
}

impl Template {
    /// Logs and counts one more such answer, as whole: it is handed to the connection in one piece.
    pub(crate) fn log(&self, id: RequestId, at: SystemTime, elapsed: Duration) {
        self.requests.inc();
        self.sent.inc_by(self.bytes);
        self.durations.observe(elapsed.as_secs_f64());
        if let Some(lines) = &self.lines {
            let timing = Timing {
                at,
                id,
                first_byte: elapsed,
                duration: elapsed,
            };
            lines.add(|buffer| write_line(buffer, &timing, &self.line));
        }
    }
}
