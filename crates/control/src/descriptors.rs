//! Files that a client of the socket has opened and hands over with the bytes of its request
//! (`SCM_RIGHTS`, `man 7 unix`): whatever the client may read, this process can read then, from the
//! medium or the pipe it is on, and the file system may share its extents.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
};

/// How many files one message of a client hands over at most; the kernel takes 253.
pub const MAX_FILES_AT_ONCE: usize = 250;

/// How many files a connection hands over: the parts of a bundle and what lies beside them.
const MAX_FILES: usize = 1_100;

/// The files that a connection has handed over, in their order. Cheap to clone; all clones are the
/// same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handed(Arc<Mutex<Vec<File>>>);

impl Handed {
    /// All of them, which are its caller's now.
    pub(crate) fn take(&self) -> Vec<File> {
        std::mem::take(&mut self.0.lock())
    }
}

/// A connection that takes files too.
#[derive(Debug)]
pub(crate) struct TakingFiles {
    stream: UnixStream,
    handed: Handed,
}

impl TakingFiles {
    pub(crate) fn new(stream: UnixStream, handed: Handed) -> Self {
        Self { stream, handed }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES_AT_ONCE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            &self.stream,
            &mut [IoSliceMut::new(buffer)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut handed = self.handed.0.lock();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                handed.extend(files.map(File::from));
            }
        }
        // The kernel leaves out what this process may not open any more.
        if received.flags.contains(ReturnFlags::CTRUNC) || handed.len() > MAX_FILES {
            return Err(io::Error::other("more files than this process can take"));
        }
        Ok(received.bytes)
    }
}

impl AsyncRead for TakingFiles {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let unfilled = buffer.initialize_unfilled();
            let received = self
                .stream
                .try_io(Interest::READABLE, || self.receive(unfilled));
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for TakingFiles {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
