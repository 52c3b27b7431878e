//! The half below hyper: a stream that answers stored requests itself and passes all others up.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::{Replays, RequestScope, in_flight::InFlight, output::Output};
use crate::activity::Activity;

/// The longest request that is compared.
const MAX_REQUEST: usize = 4096;

/// hyper limits its wait for a request and does not see replayed ones: it gets a request this
/// often, or twice within its timeout.
const HAND_UP_INTERVAL: Duration = Duration::from_secs(2);

const END_OF_LINE: &[u8] = b"\r\n";

/// A request with one of these headers is followed by more than its head.
const FRAMING: [&[u8]; 2] = [b"content-length:", b"transfer-encoding:"];

thread_local! {
    /// Where answers are put together: none is longer than its headers and
    /// [`MAX_COPIED_BODY`](super::answer::MAX_COPIED_BODY).
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream of which hyper sees only the requests that cannot be answered here.
#[derive(Debug)]
pub(crate) struct ReplayStream<S> {
    stream: S,
    replays: Replays,
    scope: RequestScope,
    in_flight: Arc<InFlight>,
    activity: Arc<Activity>,
    output: Output,
    /// The bytes that hyper has still to read.
    handed_up: Bytes,
    /// Whether all bytes that hyper has written are flushed.
    flushed: bool,
    /// Whether requests have come one at a time so far.
    orderly: bool,
    handed_up_at: Instant,
    hand_up_interval: Duration,
    /// Cancelled when the connection should end: no request is answered here from then on.
    end: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ReplayStream<S> {
    /// `patience` is how long hyper waits for a request.
    pub(super) fn new(
        stream: S,
        replays: Replays,
        scope: RequestScope,
        (in_flight, activity): (Arc<InFlight>, Arc<Activity>),
        patience: Duration,
        end: CancellationToken,
    ) -> Self {
        Self {
            stream,
            replays,
            scope,
            in_flight,
            activity,
            output: Output::default(),
            handed_up: Bytes::new(),
            flushed: true,
            orderly: true,
            handed_up_at: Instant::now(),
            hand_up_interval: HAND_UP_INTERVAL.min(patience / 2),
            end,
        }
    }

    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_send(&mut self.stream, context)
    }

    /// Answers requests until one comes that hyper has to see; `input` then holds that one.
    fn poll_replay(
        &mut self,
        context: &mut Context<'_>,
        input: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_output(context))?;
            input.clear();
            ready!(Pin::new(&mut self.stream).poll_read(context, input))?;
            let request = input.filled();
            let now = Instant::now();
            let stored = if now.duration_since(self.handed_up_at) < self.hand_up_interval {
                self.replays.find(&self.scope, request, now)
            } else {
                None
            };
            let Some(answer) = stored.filter(|_| !self.end.is_cancelled()) else {
                return Poll::Ready(Ok(()));
            };
            self.activity.replay();
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.clear();
                let body = answer.write(scratch, now);
                self.output.begin(&mut self.stream, context, scratch, body)
            })?;
        }
    }

    fn hand_up(&mut self, request: &[u8]) {
        self.handed_up = Bytes::copy_from_slice(request);
        self.handed_up_at = Instant::now();
        // The end of the stream is no request, and nothing comes after it.
        self.orderly = is_one_head(request);
        if self.orderly {
            self.in_flight.begin(self.handed_up.clone());
        }
    }
}

/// Whether these bytes are the whole head of one GET or HEAD, and nothing else.
///
/// hyper must see the same in them. It skips empty lines before a request, and takes a lone line
/// feed for the end of a line: bytes with either are not one head here.
pub(crate) fn is_one_head(bytes: &[u8]) -> bool {
    let is_read = bytes.starts_with(b"GET ") || bytes.starts_with(b"HEAD ");
    let lines = bytes.strip_suffix(END_OF_LINE).filter(|_| is_read);
    lines.is_some_and(|lines| {
        lines
            .split_inclusive(|byte| *byte == b'\n')
            .all(is_line_of_a_head)
    })
}

/// The empty line that ends a head is not one of its lines.
fn is_line_of_a_head(line: &[u8]) -> bool {
    let text = line.strip_suffix(END_OF_LINE).unwrap_or_default();
    !text.is_empty() && !FRAMING.iter().any(|name| begins_with(text, name))
}

fn begins_with(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ReplayStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.handed_up.is_empty() {
            if !this.orderly {
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            }
            if this.in_flight.is_busy() || !this.flushed {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
                // Something came before the last answer was out.
                this.orderly = buffer.filled().len() == before;
                return Poll::Ready(Ok(()));
            }
            let mut space = [MaybeUninit::uninit(); MAX_REQUEST];
            let mut input = ReadBuf::uninit(&mut space);
            ready!(this.poll_replay(context, &mut input))?;
            this.hand_up(input.filled());
        }
        let length = this.handed_up.len().min(buffer.remaining());
        buffer.put_slice(&this.handed_up.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ReplayStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_output(context))?;
        self.flushed = false;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_output(context))?;
        self.flushed = false;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(context))?;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_head_is_one() {
        assert!(is_one_head(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert!(is_one_head(b"HEAD / HTTP/1.1\r\n\r\n"));
        for other in [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\nG",
            b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n\r\n",
            b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET / HTTP/1.1\nhost: a\n\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET / HTTP/1.1\nhost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(!is_one_head(other));
        }
    }
}
