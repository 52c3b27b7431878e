//! The line of a request in the access log, as JSON and as a log event.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use serde::Serialize;
use server::{exchange::RequestId, time_text};
use tracing::info;

/// A request's line. `level`, `message` and `target` are those of every other line of the log.
#[derive(Serialize)]
pub(super) struct AccessLine<'a> {
    #[serde(skip)]
    pub(super) timing: Timing,
    pub(super) level: &'static str,
    pub(super) message: &'static str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listener: Option<SocketAddr>,
    pub(super) protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range: Option<&'a str>,
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform_source: Option<&'static str>,
    pub(super) bytes: u64,
    pub(super) complete: bool,
    pub(super) user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a str>,
    pub(super) target: &'static str,
}

impl AccessLine<'_> {
    /// Writes it as a log event.
    pub(super) fn log(&self) {
        info!(
            target: "access",
            id = self.timing.id.text(),
            method = self.method,
            path = self.path,
            status = self.status,
            client = self.client.map(display),
            listener = self.listener.map(display),
            protocol = self.protocol,
            upstream = self.upstream,
            repository = self.repository,
            reference = self.reference,
            digest = self.digest,
            range = self.range,
            outcome = self.outcome,
            platform = self.platform,
            platform_source = self.platform_source,
            bytes = self.bytes,
            complete = self.complete,
            first_byte_ms = %milliseconds(self.timing.first_byte),
            duration_ms = %milliseconds(self.timing.duration),
            user_agent = self.user_agent,
            trace_id = self.trace_id,
            error = self.error,
            "request"
        );
    }
}

/// A line of the audit log: who got which manifest. It has no body, so the times of the request are
/// not those of a download.
#[derive(Serialize)]
pub(super) struct AuditLine<'a> {
    event: &'static str,
    method: &'a str,
    status: u16,
    client: Option<IpAddr>,
    listener: Option<SocketAddr>,
    upstream: Option<&'a str>,
    repository: Option<&'a str>,
    reference: Option<&'a str>,
    digest: Option<&'a str>,
    platform: Option<&'a str>,
    platform_source: Option<&'static str>,
    outcome: &'static str,
    user_agent: &'a str,
    trace_id: Option<&'a str>,
}

impl<'a> AuditLine<'a> {
    /// What the access log's `line` says of it.
    pub(super) fn of(line: &AccessLine<'a>) -> Self {
        Self {
            event: "manifest",
            method: line.method,
            status: line.status,
            client: line.client,
            listener: line.listener,
            upstream: line.upstream,
            repository: line.repository,
            reference: line.reference,
            digest: line.digest,
            platform: line.platform,
            platform_source: line.platform_source,
            outcome: line.outcome,
            user_agent: line.user_agent,
            trace_id: line.trace_id,
        }
    }
}

/// The fields in which two lines for equal requests and answers differ.
pub(super) struct Timing {
    pub(super) at: SystemTime,
    pub(super) id: RequestId,
    pub(super) first_byte: Duration,
    pub(super) duration: Duration,
}

/// The most bytes of a text that a client wrote: enough for any path of a registry.
const MAX_CLIENT_TEXT: usize = 512;

/// The most bytes of an error.
const MAX_ERROR: usize = 2048;

/// The part of a client's text that is logged. What a client sends must not decide how much of the
/// log is its own.
pub(super) fn beginning(text: &str) -> &str {
    cut(text, MAX_CLIENT_TEXT)
}

/// The part of an error that is logged: its causes may hold what a client, or an upstream, wrote.
pub(super) fn error_beginning(text: &str) -> &str {
    cut(text, MAX_ERROR)
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Writes a line of JSON: `timing` first, then the fields of `rest`, a JSON object.
pub(super) fn write_line(out: &mut Vec<u8>, timing: &Timing, rest: &[u8]) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    time_text::write_rfc3339(out, timing.at);
    out.extend_from_slice(b"\",\"id\":\"");
    timing.id.write(out);
    out.extend_from_slice(b"\",\"first_byte_ms\":");
    write_milliseconds(out, timing.first_byte);
    out.extend_from_slice(b",\"duration_ms\":");
    write_milliseconds(out, timing.duration);
    out.push(b',');
    out.extend_from_slice(rest.get(1..).unwrap_or(b"}"));
    out.push(b'\n');
}

/// Writes milliseconds with three decimals, by whole numbers alone: every line has two of them.
fn write_milliseconds(out: &mut Vec<u8>, duration: Duration) {
    let micros = duration.as_micros();
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(micros / 1000).as_bytes());
    out.push(b'.');
    // The leading one keeps the zeros after it.
    out.extend_from_slice(&digits.format(1000 + micros % 1000).as_bytes()[1..]);
}

fn milliseconds(duration: Duration) -> String {
    let mut text = Vec::new();
    write_milliseconds(&mut text, duration);
    String::from_utf8(text).expect("digits and a point")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_digits_behind_the_point() {
        for (micros, text) in [
            (0, "0.000"),
            (7, "0.007"),
            (1000, "1.000"),
            (1_234_567, "1234.567"),
        ] {
            assert_eq!(milliseconds(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_clients_text_is_cut_between_characters() {
        assert_eq!(beginning("/v2/"), "/v2/");
        let long = format!("x{}", "ü".repeat(400));
        assert_eq!(beginning(&long).len(), MAX_CLIENT_TEXT - 1);
    }

    #[test]
    fn a_line_is_one_json_object_and_ends() {
        let id = RequestId::next();
        let timing = Timing {
            at: SystemTime::UNIX_EPOCH,
            id,
            first_byte: Duration::from_millis(3),
            duration: Duration::from_micros(4500),
        };
        let mut line = Vec::new();
        write_line(&mut line, &timing, br#"{"level":"INFO"}"#);
        assert_eq!(line.pop(), Some(b'\n'));
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let expected = serde_json::json!({
            "timestamp": "1970-01-01T00:00:00.000000Z",
            "id": id.text(),
            "first_byte_ms": 3.0,
            "duration_ms": 4.5,
            "level": "INFO",
        });
        assert_eq!(line, expected);
    }
}
