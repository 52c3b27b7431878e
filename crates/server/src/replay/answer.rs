//! A stored answer: what is the same each time it is given, and what is added then.

use std::time::{Instant, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Response, StatusCode, header};

use super::RequestScope;
use crate::{
    exchange::{AccessRecord, REQUEST_ID, RequestId},
    time_text,
};

/// A body up to this size is copied behind its headers: one buffer takes the shorter way into the
/// socket.
pub(super) const MAX_COPIED_BODY: usize = 8 * 1024;

/// The size of an answer beside its bytes: the map, the counters, what the allocator adds.
const OVERHEAD: usize = 512;

/// The size of a header beside its bytes.
const FIELD: usize = 128;

/// An answer, and the request that it was the answer to.
#[derive(Debug)]
pub(super) struct StoredAnswer {
    pub(super) scope: RequestScope,
    pub(super) request: Bytes,
    /// When it no longer holds.
    pub(super) until: Instant,
    /// The count of written tags with which it no longer holds once that has grown.
    pub(super) tag_writes: Option<u64>,
    /// That of its request: it no longer holds in the next.
    pub(super) generation: u64,
    pub(super) form: Form,
    pub(super) body: Bytes,
    pub(super) record: AccessRecord,
}

/// The status and the headers that are the same each time, as the protocol of the answer takes them.
#[derive(Debug)]
pub(super) enum Form {
    /// The beginning of the head, as HTTP/1.1 writes it.
    Text(Bytes),
    /// HTTP/2 packs them anew on each connection.
    Fields(StatusCode, HeaderMap),
}

impl StoredAnswer {
    /// The memory it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let template = self.record.weight();
        self.request.len() + self.form.weight() + self.body.len() + template + OVERHEAD
    }

    /// Logs and counts one more such answer. Appends its head to `out`, and its body if that is
    /// small; returns the rest of the body. Of HTTP/1.1 alone: no request of one protocol equals one
    /// of the other.
    pub(super) fn write(&self, out: &mut Vec<u8>, started: Instant) -> Bytes {
        let (id, at) = (RequestId::next(), SystemTime::now());
        if let Form::Text(head) = &self.form {
            out.extend_from_slice(head);
        }
        out.extend_from_slice(REQUEST_ID.as_str().as_bytes());
        out.extend_from_slice(b": ");
        id.write(out);
        out.extend_from_slice(b"\r\ndate: ");
        time_text::write_http(out, at);
        out.extend_from_slice(b"\r\n\r\n");
        self.record.write(id, at, started.elapsed());
        if self.body.len() > MAX_COPIED_BODY {
            return self.body.clone();
        }
        out.extend_from_slice(&self.body);
        Bytes::new()
    }

    /// Logs and counts one more such answer of HTTP/2, and makes it.
    pub(super) fn response(&self, started: Instant) -> Response<Bytes> {
        let (id, at) = (RequestId::next(), SystemTime::now());
        let mut response = Response::new(self.body.clone());
        if let Form::Fields(status, headers) = &self.form {
            *response.status_mut() = *status;
            response.headers_mut().clone_from(headers);
        }
        response.headers_mut().insert(REQUEST_ID, id.header());
        self.record.write(id, at, started.elapsed());
        response
    }
}

impl Form {
    pub(super) fn text(status: StatusCode, headers: &HeaderMap) -> Self {
        let mut head = BytesMut::new();
        head.put_slice(b"HTTP/1.1 ");
        head.put_slice(status.as_str().as_bytes());
        head.put_slice(b" ");
        head.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        head.put_slice(b"\r\n");
        // The length of a 304 would be that of the body it spares; hyper leaves it out as well.
        let is_left_out = |name: &HeaderName| {
            *name == REQUEST_ID
                || *name == header::DATE
                || (*name == header::CONTENT_LENGTH && status == StatusCode::NOT_MODIFIED)
        };
        for (name, value) in headers {
            if !is_left_out(name) {
                head.put_slice(name.as_str().as_bytes());
                head.put_slice(b": ");
                head.put_slice(value.as_bytes());
                head.put_slice(b"\r\n");
            }
        }
        Self::Text(head.freeze())
    }

    /// hyper adds the date, and treats the length of a 304 as it would the first time.
    pub(super) fn fields(status: StatusCode, headers: &HeaderMap) -> Self {
        let mut headers = headers.clone();
        headers.remove(REQUEST_ID);
        Self::Fields(status, headers)
    }

    /// The memory it takes, in bytes.
    fn weight(&self) -> usize {
        match self {
            Self::Text(head) => head.len(),
            Self::Fields(_, headers) => headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + FIELD)
                .sum(),
        }
    }
}
