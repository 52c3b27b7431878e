//! The id of a request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderName;

/// Names a request in its answer and in the log, so that a client's report finds its line.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
    pub fn write(self, out: &mut Vec<u8>) {
        static PROCESS: LazyLock<String> = LazyLock::new(|| {
            let random = RandomState::new().hash_one("process") >> 32;
            format!("{random:08x}-")
        });
        out.extend_from_slice(PROCESS.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(self.0).as_bytes());
    }

    /// Its text, as [`RequestId::write`] writes it.
    pub fn text(self) -> String {
        let mut text = Vec::new();
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
}
