//! The trace that a request belongs to, as its client says in `traceparent` (W3C Trace Context).

use http::HeaderValue;

/// The id of a trace: 32 digits of lower-case hex, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId([u8; 32]);

impl TraceId {
    /// The id in a `traceparent`, if that is valid: `VERSION-TRACE-PARENT-FLAGS`. A later version may
    /// have more after that.
    pub(super) fn of(traceparent: &HeaderValue) -> Option<Self> {
        let text = traceparent.as_bytes();
        let (head, rest) = text.split_at_checked(55)?;
        let is_first_version = head.starts_with(b"00-");
        let is_whole = rest.is_empty() || (!is_first_version && rest[0] == b'-');
        let dashes = [2, 35, 52].map(|at| head[at]);
        let (version, trace) = (&head[..2], &head[3..35]);
        let (parent, flags) = (&head[36..52], &head[53..]);
        let is_valid = is_whole
            && dashes == [b'-'; 3]
            && [version, trace, parent, flags].into_iter().all(is_hex)
            && version != b"ff"
            && [trace, parent]
                .into_iter()
                .all(|id| id.iter().any(|digit| *digit != b'0'));
        is_valid.then(|| trace.try_into().ok().map(Self)).flatten()
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits")
    }
}

fn is_hex(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_traceparent_gives_its_trace_and_any_other_none() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (text, valid) in [
            (format!("00-{trace}-00f067aa0ba902b7-01"), true),
            (format!("01-{trace}-00f067aa0ba902b7-01-more"), true),
            (format!("00-{trace}-00f067aa0ba902b7-01-more"), false),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), false),
            (format!("00-{trace}-0000000000000000-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (
                format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
                false,
            ),
            (format!("00-{trace}-00f067aa0ba902b7"), false),
            (String::new(), false),
        ] {
            let found = TraceId::of(&HeaderValue::try_from(&text).unwrap());
            let found = found.as_ref().map(TraceId::as_str);
            assert_eq!(found, valid.then_some(trace), "{text}");
        }
    }
}
