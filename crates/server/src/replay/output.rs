//! Writing an answer into the stream, as far as it goes each time.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// The unsent rest of an answer.
#[derive(Debug, Default)]
pub(super) struct Output {
    head: Bytes,
    body: Bytes,
    /// Whether the stream may hold back bytes it took, as TLS does.
    unflushed: bool,
}

impl Output {
    /// Sends as much as `stream` takes at once and leaves the rest to [`Output::poll_send`].
    /// Nothing may be left of an earlier answer.
    pub(super) fn begin<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
        head: &[u8],
        mut body: Bytes,
    ) -> io::Result<()> {
        self.unflushed = true;
        let taken = match poll_write(stream, context, head, &body) {
            Poll::Ready(taken) => taken?,
            Poll::Pending => 0,
        };
        let of_head = taken.min(head.len());
        body.advance(taken - of_head);
        if of_head < head.len() {
            self.head = Bytes::copy_from_slice(&head[of_head..]);
        }
        self.body = body;
        Ok(())
    }

    /// Sends the rest, to the last byte that the stream holds back.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.head.has_remaining() || self.body.has_remaining() {
            let taken = ready!(poll_write(stream, context, &self.head, &self.body))?;
            let of_head = taken.min(self.head.len());
            self.head.advance(of_head);
            self.body.advance(taken - of_head);
        }
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Never zero: a stream that takes nothing is an error.
fn poll_write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    head: &[u8],
    body: &[u8],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    let taken = if body.is_empty() {
        ready!(stream.poll_write(context, head))?
    } else {
        ready!(stream.poll_write_vectored(context, &[IoSlice::new(head), IoSlice::new(body)]))?
    };
    if taken == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    Poll::Ready(Ok(taken))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, BufWriter, duplex};

    use super::*;

    async fn send<S: AsyncWrite + Unpin>(stream: &mut S, head: &[u8], body: Bytes) {
        let mut output = Output::default();
        poll_fn(|context| Poll::Ready(output.begin(stream, context, head, body.clone())))
            .await
            .unwrap();
        poll_fn(|context| output.poll_send(stream, context))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_a_stream_holds_back_is_sent_too() {
        let (near, mut far) = duplex(64);
        let mut stream = BufWriter::new(near);
        send(&mut stream, b"head ", Bytes::from_static(b"body")).await;
        let mut sent = [0; 9];
        let read = far.read_exact(&mut sent).now_or_never();
        assert!(read.is_some(), "it is on its way without another write");
        assert_eq!(&sent, b"head body");
    }

    #[tokio::test]
    async fn a_stream_that_takes_little_at_a_time_gets_all_of_it() {
        let (mut near, mut far) = duplex(7);
        let body = Bytes::from(vec![b'b'; 1000]);
        let mut sent = Vec::new();
        let sending = async {
            send(&mut near, b"a head longer than that", body.clone()).await;
            drop(near);
        };
        tokio::join!(sending, far.read_to_end(&mut sent)).1.unwrap();
        assert_eq!(sent, [b"a head longer than that", &body[..]].concat());
    }
}
