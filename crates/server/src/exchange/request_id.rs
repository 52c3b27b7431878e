//! The id of a request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BufMut;
use http::{HeaderName, HeaderValue};

/// Names a request in its answer and in the log, so that a client's report finds its line.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The length of the longest one.
const MAX_LENGTH: usize = 8 + 1 + 20;

/// Eight hexadecimal digits for the process, a dash and a number. Never the same within a process,
/// and hardly in two.
#[derive(Clone, Copy, Debug)]
pub struct RequestId(u64);

impl RequestId {
    /// The next one.
    pub fn next() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Self(SERIAL.fetch_add(1, Ordering::Relaxed))
    }

    /// Appends its text, which is header text and needs no escapes in JSON.
    pub fn write(self, out: &mut impl BufMut) {
        static PROCESS: LazyLock<String> = LazyLock::new(|| {
            let random = RandomState::new().hash_one("process") >> 32;
            format!("{random:08x}-")
        });
        out.put_slice(PROCESS.as_bytes());
        out.put_slice(itoa::Buffer::new().format(self.0).as_bytes());
    }

    /// Its text as a header value, which HTTP/2 does not put into its table of earlier values: it
    /// would drive out those that come again.
    pub fn header(self) -> HeaderValue {
        let mut text = [0; MAX_LENGTH];
        let mut left = &mut text[..];
        self.write(&mut left);
        let length = MAX_LENGTH - left.len();
        let value = HeaderValue::from_bytes(&text[..length]);
        let mut value = value.expect("digits and a dash");
        value.set_sensitive(true);
        value
    }

    /// Its text, as [`RequestId::write`] writes it.
    pub fn text(self) -> String {
        let mut text = Vec::with_capacity(MAX_LENGTH);
        self.write(&mut text);
        String::from_utf8(text).expect("digits and a dash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_have_the_same_name() {
        let (one, other) = (RequestId::next().text(), RequestId::next().text());
        assert_ne!(one, other);
        assert_eq!(one.split('-').next(), other.split('-').next());
    }

    #[test]
    fn its_header_is_its_text_and_not_remembered_by_http_2() {
        let id = RequestId::next();
        let header = id.header();
        assert_eq!(header.as_bytes(), id.text().as_bytes());
        assert!(header.is_sensitive() && header.len() <= MAX_LENGTH);
    }
}
