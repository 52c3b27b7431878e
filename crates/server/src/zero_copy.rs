//! Bodies that go from the page cache to the socket without passing through this process.
//!
//! hyper writes the pieces that a body yields. The body of a large stored blob yields pieces of its
//! file's mapping, which nobody reads: [`ZeroCopy`], the connection below hyper, recognises such a
//! piece by its address and has the kernel send the file's bytes instead (`sendfile`). The route
//! notes the file to compare with in the connection's [`SendfileTarget`]. A piece that is not
//! recognised is written like any other bytes, so everything above works without knowing of this,
//! and so do TLS and HTTP/2.
//!
//! Before it sends a piece, the connection checks that the page cache has it, or had it a moment
//! ago, and otherwise has another thread read it: `sendfile` would block the worker. The socket is
//! corked while another piece follows, so packets are full, and after [`MAX_PER_TURN`] bytes without
//! a wait the other connections of the worker have their turn.

use std::{
    future::Future,
    io::{self, IoSlice},
    ops::Range,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use cache::OpenFile;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use rustix::net::{SendFlags, sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    task::JoinHandle,
};

/// The most bytes that one system call sends: more would keep a worker from its other connections,
/// less costs more calls.
const MAX_PER_CALL: usize = 2 * 1024 * 1024;

/// The most bytes that a connection sends before the others of its worker have their turn.
const MAX_PER_TURN: usize = MAX_PER_CALL;

/// The file a connection's current answer is sent from. One per connection, shared by it and its
/// requests.
#[derive(Debug, Default)]
pub struct SendfileTarget(Mutex<Sending>);

/// A file, and how much of it can be sent without waiting.
#[derive(Debug, Default)]
struct Sending {
    file: Weak<OpenFile>,
    /// The position up to which the file has the blob's bytes.
    there: u64,
}

/// A TCP connection that sends pieces of files from the files.
#[derive(Debug)]
pub(crate) struct ZeroCopy {
    stream: TcpStream,
    target: Arc<SendfileTarget>,
    /// Bytes sent from files.
    sent: Counter,
    residency: Residency,
    /// Whether the kernel holds back less than a full packet.
    corked: bool,
    /// Where the piece sent last ended, if it was of a file.
    position: Option<Position>,
    /// Bytes sent since the connection last waited for anything: other connections of this worker
    /// had their turn then.
    since_turn: usize,
}

/// A place in a blob, and the file it is in.
#[derive(Debug)]
struct Position {
    file: Weak<OpenFile>,
    position: u64,
}

/// Whether a piece is in the page cache: if not, `sendfile` would block the worker for as long as
/// the disk takes.
#[derive(Debug, Default)]
enum Residency {
    #[default]
    Unknown,
    /// These bytes of this file are in memory, as far as samples tell.
    Warm(Weak<OpenFile>, Range<u64>),
    /// They are being read on another thread.
    Warming(Weak<OpenFile>, Range<u64>, JoinHandle<io::Result<()>>),
}

impl SendfileTarget {
    /// Has pieces of `file` sent from the file from now on. Those before the position `there` of
    /// the blob follow each other without a wait.
    pub fn set(&self, file: Weak<OpenFile>, there: u64) {
        *self.0.lock() = Sending { file, there };
    }

    /// The file `slice` is a piece of, and where in it.
    fn find(&self, slice: &[u8]) -> Option<(Arc<OpenFile>, u64)> {
        let file = self.0.lock().file.upgrade()?;
        let offset = file.offset_of(slice)?;
        Some((file, offset))
    }

    /// Whether more of the answer can be sent at once behind `position`.
    fn goes_on_at(&self, position: &Position) -> bool {
        let sending = self.0.lock();
        position.file.ptr_eq(&sending.file) && position.position < sending.there
    }

    /// The same behind the piece of `file` that ends at `end`, an offset of the file.
    fn goes_on_behind(&self, file: &Arc<OpenFile>, end: u64) -> bool {
        self.goes_on_at(&Position {
            file: Arc::downgrade(file),
            position: file.position_of(end),
        })
    }
}

impl ZeroCopy {
    pub(crate) fn new(stream: TcpStream, target: Arc<SendfileTarget>, sent: Counter) -> Self {
        Self {
            stream,
            target,
            sent,
            residency: Residency::Unknown,
            corked: false,
            position: None,
            since_turn: 0,
        }
    }

    /// Waits until the bytes of `range` are in memory.
    fn poll_warm(
        &mut self,
        context: &mut Context<'_>,
        file: &Arc<OpenFile>,
        range: Range<u64>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.residency {
                Residency::Warm(of, warm)
                    if std::ptr::eq(of.as_ptr(), Arc::as_ptr(file))
                        && warm.start <= range.start
                        && range.end <= warm.end =>
                {
                    return Poll::Ready(Ok(()));
                }
                Residency::Warming(of, warming, job) => {
                    let read = ready!(Pin::new(job).poll(context));
                    self.residency = Residency::Warm(of.clone(), warming.clone());
                    read.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))?;
                }
                Residency::Unknown | Residency::Warm(..) if file.is_in_memory(range.clone()) => {
                    self.residency = Residency::Warm(Arc::downgrade(file), range.clone());
                }
                Residency::Unknown | Residency::Warm(..) => {
                    let of = Arc::downgrade(file);
                    let (file, wanted) = (Arc::clone(file), range.clone());
                    let job = tokio::task::spawn_blocking(move || file.warm(wanted));
                    self.residency = Residency::Warming(of, range.clone(), job);
                }
            }
        }
    }

    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: &Arc<OpenFile>,
        offset: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        if self.since_turn >= MAX_PER_TURN {
            self.since_turn = 0;
            give_way(context);
            return Poll::Pending;
        }
        if self.target.goes_on_behind(file, offset + length as u64) {
            self.cork();
        }
        let length = length.min(MAX_PER_CALL);
        let warm = self.poll_warm(context, file, offset..offset + length as u64);
        if warm.is_pending() {
            self.since_turn = 0;
        }
        let sent = match ready!(warm) {
            Ok(()) => ready!(self.poll_call(context, file, offset, length)),
            Err(error) => Err(error),
        };
        if let Err(error) = &sent {
            file.discard_if_damaged(error);
        }
        Poll::Ready(sent)
    }

    /// One `sendfile`, once the socket takes something.
    fn poll_call(
        &mut self,
        context: &mut Context<'_>,
        file: &Arc<OpenFile>,
        offset: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let writable = self.stream.poll_write_ready(context);
            if writable.is_pending() {
                self.since_turn = 0;
            }
            ready!(writable)?;
            let sent = self.stream.try_io(Interest::WRITABLE, || {
                let mut at = offset;
                Ok(rustix::fs::sendfile(
                    &self.stream,
                    &**file,
                    Some(&mut at),
                    length,
                )?)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Err(error) => return Poll::Ready(Err(error)),
                Ok(sent) => {
                    self.sent.inc_by(sent as u64);
                    self.since_turn += sent;
                    self.position = Some(Position {
                        file: Arc::downgrade(file),
                        position: file.position_of(offset + sent as u64),
                    });
                    return Poll::Ready(Ok(sent));
                }
            }
        }
    }

    /// Sends what comes before the only piece of a file. The kernel holds back the end of it until
    /// that piece fills the packet, as if the socket were corked, but without two calls to say so.
    fn poll_send_head(
        &mut self,
        context: &mut Context<'_>,
        head: &[u8],
    ) -> Poll<io::Result<usize>> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            let sent = self.stream.try_io(Interest::WRITABLE, || {
                Ok(rustix::net::send(&self.stream, head, flags)?)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// From here on only full packets leave, until a flush with nothing of the file left to send at
    /// once: the headers go out with the first piece, and the pieces follow each other without
    /// seams. Without it a connection at full speed costs a tenth more.
    fn cork(&mut self) {
        if !self.corked {
            self.corked = sockopt::set_tcp_cork(&self.stream, true).is_ok();
        }
    }

    fn uncork(&mut self) {
        if self.corked {
            // If this failed the rest would leave a moment later.
            let _ = sockopt::set_tcp_cork(&self.stream, false);
            self.corked = false;
        }
    }
}

impl AsyncRead for ZeroCopy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ZeroCopy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some((file, offset)) = self.target.find(bytes) {
            return self.poll_send_file(context, &file, offset, bytes.len());
        }
        self.position = None;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let piece = slices.iter().enumerate().find_map(|(place, slice)| {
            let (file, offset) = self.target.find(slice)?;
            Some((place, file, offset))
        });
        match piece {
            None => {
                self.position = None;
                Pin::new(&mut self.stream).poll_write_vectored(context, slices)
            }
            Some((0, file, offset)) => self.poll_send_file(context, &file, offset, slices[0].len()),
            Some((place, file, offset)) => {
                let end = offset + slices[place].len() as u64;
                if place == 1 && !self.target.goes_on_behind(&file, end) {
                    return self.poll_send_head(context, &slices[0]);
                }
                self.cork();
                Pin::new(&mut self.stream).poll_write_vectored(context, &slices[..place])
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let goes_on = self.position.as_ref();
        if !goes_on.is_some_and(|position| self.target.goes_on_at(position)) {
            self.uncork();
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Lets the other connections of this worker go first. The task stays with it: a task that woke
/// itself would lie in the queue from which other workers take over, and one of them would be woken
/// to do so.
fn give_way(context: &mut Context<'_>) {
    let turn = std::pin::pin!(tokio::task::yield_now());
    // Not ready: it has handed the task to the worker, which goes on with it after the others.
    let _ = turn.poll(context);
}
