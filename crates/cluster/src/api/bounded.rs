//! A bound on what one answer makes us hold: a page of a list is one line, and so is each event.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The longest line. A page of a hundred nodes has one of some megabytes.
const MAX_LINE: usize = 32 * 1024 * 1024;

/// What reads a body may fail with.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body that fails where a line of it is too long to be held.
#[derive(Debug)]
pub(crate) struct BoundedLines<B> {
    body: B,
    line: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("the Kubernetes API answers with a line of more than {MAX_LINE} bytes")]
struct LineTooLong;

impl<B> BoundedLines<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, line: 0 }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        for (at, part) in bytes.split(|byte| *byte == b'\n').enumerate() {
            self.line = if at == 0 {
                self.line + part.len()
            } else {
                part.len()
            };
            if self.line > MAX_LINE {
                return Err(LineTooLong);
            }
        }
        Ok(())
    }
}

impl<B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin> Body for BoundedLines<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(frame) = next else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            let data = data.clone();
            self.count(&data)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_across_pieces_and_none_may_be_too_long() {
        let mut body = BoundedLines::new(());
        let piece = vec![b'x'; MAX_LINE / 2];
        body.count(&piece).unwrap();
        body.count(&piece).unwrap();
        body.count(b"\n").unwrap();
        body.count(&piece).unwrap();
        body.count(b"\nxx\nx").unwrap();
        assert_eq!(body.line, 1);
        body.count(&piece).unwrap();
        body.count(&piece).unwrap_err();
    }
}
