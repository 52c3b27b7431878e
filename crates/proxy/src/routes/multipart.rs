//! Several ranges in one body: `multipart/byteranges` (RFC 9110, section 14.6).

use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::HeaderValue;
use protocol::headers::header_string;

/// The form of a body in parts: the same media type for each, and a boundary that nobody who made
/// the bytes can have known.
#[derive(Debug)]
pub(super) struct Multipart {
    boundary: String,
    media_type: HeaderValue,
    size: u64,
}

impl Multipart {
    /// For parts of a whole of `size` bytes.
    pub(super) fn new(media_type: HeaderValue, size: u64) -> Self {
        let random = || RandomState::new().hash_one(size);
        Self {
            boundary: format!("{:016x}{:016x}", random(), random()),
            media_type,
            size,
        }
    }

    pub(super) fn content_type(&self) -> HeaderValue {
        header_string(format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// The length of the body with these parts.
    pub(super) fn length(&self, ranges: &[Range<u64>]) -> u64 {
        let parts = ranges.iter().map(|range| {
            let head = self.head(range).len() as u64;
            head + (range.end - range.start)
        });
        parts.sum::<u64>() + self.end().len() as u64
    }

    /// The body; `read` gives the bytes of a part.
    pub(super) fn body<S, E>(
        self,
        ranges: Vec<Range<u64>>,
        read: impl Fn(Range<u64>) -> S,
    ) -> impl Stream<Item = Result<Bytes, E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let end = self.end();
        let parts = stream::iter(ranges).flat_map(move |range| {
            let head = self.head(&range);
            stream::iter([Ok(head)]).chain(read(range))
        });
        parts.chain(stream::iter([Ok(end)]))
    }

    fn head(&self, range: &Range<u64>) -> Bytes {
        let Self {
            boundary,
            media_type,
            size,
        } = self;
        let (first, last) = (range.start, range.end - 1);
        let mut head = format!("\r\n--{boundary}\r\nContent-Type: ").into_bytes();
        head.extend_from_slice(media_type.as_bytes());
        let rest = format!("\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n");
        head.extend_from_slice(rest.as_bytes());
        head.into()
    }

    fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn the_body_has_the_announced_length_and_form() {
        let whole = Bytes::from_static(b"0123456789");
        let parts = Multipart::new(HeaderValue::from_static("a/b"), 10);
        let boundary = parts.boundary.clone();
        assert_ne!(
            boundary,
            Multipart::new(HeaderValue::from_static("a/b"), 10).boundary
        );
        let (length, ranges) = (parts.length(&[7..10, 0..1]), vec![7..10, 0..1]);
        let read = |range: Range<u64>| {
            let bytes = whole
                .slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
            stream::iter([Ok::<_, std::convert::Infallible>(bytes)])
        };
        let body: Vec<Bytes> = parts.body(ranges, read).try_collect().await.unwrap();
        let body = String::from_utf8(body.concat()).unwrap();
        assert_eq!(body.len() as u64, length);
        let expected = format!(
            "\r\n--{boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes 7-9/10\r\n\r\n789\
             \r\n--{boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes 0-0/10\r\n\r\n0\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(body, expected);
    }
}
