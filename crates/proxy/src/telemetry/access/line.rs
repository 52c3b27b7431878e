//! A request's line, in JSON and as a log event.

use std::{fmt, io::Write, time::Duration};

use serde::Serialize;
use tracing::info;

/// A request's line. The fields stand as in every other line of the log.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    #[serde(skip)]
    pub(super) timing: Timing<'a>,
    pub(super) level: &'static str,
    pub(super) message: &'static str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<&'a str>,
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform_source: Option<&'static str>,
    pub(super) bytes: u64,
    pub(super) complete: bool,
    pub(super) user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a str>,
    pub(super) target: &'static str,
}

impl Line<'_> {
    /// As a log event.
    pub(super) fn log(&self) {
        info!(
            target: "access",
            id = self.timing.id,
            method = self.method,
            path = self.path,
            status = self.status,
            upstream = self.upstream,
            repository = self.repository,
            reference = self.reference,
            outcome = self.outcome,
            platform = self.platform,
            platform_source = self.platform_source,
            bytes = self.bytes,
            complete = self.complete,
            first_byte_ms = %Milliseconds(self.timing.first_byte),
            duration_ms = %Milliseconds(self.timing.duration),
            user_agent = self.user_agent,
            error = self.error,
            "request"
        );
    }
}

/// What differs between two lines for the same request and answer.
pub(super) struct Timing<'a> {
    pub(super) timestamp: humantime::Rfc3339Timestamp,
    pub(super) id: &'a str,
    pub(super) first_byte: Duration,
    pub(super) duration: Duration,
}

/// A line: what differs first, then `rest`, a JSON object.
pub(super) fn write_line(buffer: &mut Vec<u8>, timing: &Timing<'_>, rest: &[u8]) {
    // Into memory, and each of these has a spelling in JSON without more ado.
    let _ = write!(
        buffer,
        "{{\"timestamp\":\"{}\",\"id\":\"{}\",\"first_byte_ms\":{},\"duration_ms\":{},",
        timing.timestamp,
        timing.id,
        Milliseconds(timing.first_byte),
        Milliseconds(timing.duration)
    );
    buffer.extend_from_slice(rest.get(1..).unwrap_or(b"}"));
    buffer.push(b'\n');
}

/// With three digits behind the point: printed from whole numbers, since a line is printed for every request.
struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(formatter, "{}.{:03}", micros / 1000, micros % 1000)
    }
}
