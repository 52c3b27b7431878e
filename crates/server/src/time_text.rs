//! Times as text. Every answer carries one and every line of the access log another, so each
//! second's are made once.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

thread_local! {
    static LAST: RefCell<Second> = RefCell::new(Second::of(UNIX_EPOCH, 0));
}

/// The texts of one second.
struct Second {
    unix: u64,
    http: String,
    /// Up to the point before the fraction.
    rfc3339: String,
}

impl Second {
    fn of(time: SystemTime, unix: u64) -> Self {
        let mut rfc3339 = humantime::format_rfc3339_seconds(time).to_string();
        rfc3339.pop();
        Self {
            unix,
            http: httpdate::fmt_http_date(time),
            rfc3339,
        }
    }
}

/// Appends `time` as HTTP writes it (RFC 9110, section 5.6.7).
pub fn write_http(out: &mut Vec<u8>, time: SystemTime) {
    with(time, |second, _| {
        out.extend_from_slice(second.http.as_bytes());
    });
}

/// Appends `time` in UTC with six digits behind the point (RFC 3339, section 5.6).
pub fn write_rfc3339(out: &mut Vec<u8>, time: SystemTime) {
    with(time, |second, micros| {
        out.extend_from_slice(second.rfc3339.as_bytes());
        out.push(b'.');
        // The leading one keeps the zeros after it.
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(&digits.format(1_000_000 + micros).as_bytes()[1..]);
        out.push(b'Z');
    });
}

fn with(time: SystemTime, write: impl FnOnce(&Second, u32)) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    LAST.with_borrow_mut(|last| {
        if last.unix != since.as_secs() {
            *last = Second::of(time, since.as_secs());
        }
        write(last, since.subsec_micros());
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(write: fn(&mut Vec<u8>, SystemTime), time: SystemTime) -> String {
        let mut out = Vec::new();
        write(&mut out, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_second_has_its_own_texts() {
        let time = UNIX_EPOCH + Duration::from_micros(784_111_777_000_042);
        assert_eq!(text(write_http, time), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text(write_rfc3339, time), "1994-11-06T08:49:37.000042Z");
        let later = time + Duration::from_secs(1);
        assert_eq!(text(write_http, later), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(text(write_rfc3339, later), "1994-11-06T08:49:38.000042Z");
        assert_eq!(text(write_http, time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_first_second_of_all_is_one_like_any_other() {
        let time = UNIX_EPOCH + Duration::from_micros(999_999);
        assert_eq!(text(write_rfc3339, time), "1970-01-01T00:00:00.999999Z");
    }
}
