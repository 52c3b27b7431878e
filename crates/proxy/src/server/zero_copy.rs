//! Bodies that go from the page cache to the socket without passing through this process.
//!
//! hyper writes what a body yields. A large stored blob is yielded as pieces of its file's mapping, which nobody reads:
//! [`ZeroCopy`], the connection below hyper, recognises such a piece by its address and has the kernel send the file's bytes
//! instead (`sendfile`). It knows which file to compare with from the connection's [`Slot`], which the route has filled in. A
//! piece it does not recognise is written like any other bytes, so everything above works without knowing of this, and so do
//! TLS and HTTP/2.

use std::{
    future::Future,
    io::{self, IoSlice},
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use cache::OpenFile;
use prometheus_client::metrics::counter::Counter;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    task::JoinHandle,
};

/// The most bytes one system call sends: more would keep a worker from its other connections, less costs more calls.
const PER_CALL: usize = 2 * 1024 * 1024;

/// What a connection sends before the others of its worker have their turn.
const PER_TURN: usize = PER_CALL;

/// The file a connection's current answer is sent from. One per connection, shared by it and its requests.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Sending>);

/// What an answer is sent from.
#[derive(Debug, Default)]
struct Sending {
    file: Weak<OpenFile>,
    /// Up to here in the file nothing has to be waited for.
    there: u64,
}

impl Slot {
    /// From now on pieces of `file` are sent from the file. Those before `there` follow each other without a wait.
    pub(crate) fn set(&self, file: Weak<OpenFile>, there: u64) {
        *self.lock() = Sending { file, there };
    }

    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file `slice` is a piece of, and where in it.
    fn find(&self, slice: &[u8]) -> Option<(Arc<OpenFile>, u64)> {
        let file = self.lock().file.upgrade()?;
        let offset = file.offset_of(slice)?;
        Some((file, offset))
    }

    /// Whether more of the answer is there as soon as what stands before `position` has been sent.
    fn goes_on_at(&self, position: &Position) -> bool {
        let sending = self.lock();
        position.file.ptr_eq(&sending.file) && position.offset < sending.there
    }
}

/// A place in a file.
#[derive(Debug)]
struct Position {
    file: Weak<OpenFile>,
    offset: u64,
}

/// A TCP connection that sends pieces of files from the files.
#[derive(Debug)]
pub(crate) struct ZeroCopy {
    stream: TcpStream,
    slot: Arc<Slot>,
    /// Bytes sent from files.
    sent: Counter,
    memory: Memory,
    /// Whether less than a full packet is held back.
    corked: bool,
    /// The end of what was sent last, if that was a piece of a file.
    position: Option<Position>,
    /// Bytes sent since other connections of this worker had their turn.
    since_turn: usize,
}

/// What is known of a piece's presence in memory: `sendfile` would hold up the worker for as long as the disk takes.
#[derive(Debug, Default)]
enum Memory {
    #[default]
    Unknown,
    /// These bytes of this file are in memory, as far as samples tell.
    Warm(Weak<OpenFile>, Range<u64>),
    /// They are being read on another thread.
    Warming(Weak<OpenFile>, Range<u64>, JoinHandle<io::Result<()>>),
}

impl ZeroCopy {
    pub(crate) fn new(stream: TcpStream, slot: Arc<Slot>, sent: Counter) -> Self {
        Self {
            stream,
            slot,
            sent,
            memory: Memory::Unknown,
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
            match &mut self.memory {
                Memory::Warm(of, warm)
                    if std::ptr::eq(of.as_ptr(), Arc::as_ptr(file))
                        && warm.start <= range.start
                        && range.end <= warm.end =>
                {
                    return Poll::Ready(Ok(()));
                }
                Memory::Warming(of, warming, job) => {
                    let read = ready!(Pin::new(job).poll(context));
                    self.memory = Memory::Warm(of.clone(), warming.clone());
                    read.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))?;
                }
                Memory::Unknown | Memory::Warm(..) if file.is_in_memory(range.clone()) => {
                    self.memory = Memory::Warm(Arc::downgrade(file), range.clone());
                }
                Memory::Unknown | Memory::Warm(..) => {
                    let of = Arc::downgrade(file);
                    let (file, wanted) = (Arc::clone(file), range.clone());
                    let job = tokio::task::spawn_blocking(move || file.warm(wanted));
                    self.memory = Memory::Warming(of, range.clone(), job);
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
        if self.since_turn >= PER_TURN {
            self.since_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = length.min(PER_CALL);
        if let Err(error) = ready!(self.poll_warm(context, file, offset..offset + length as u64)) {
            file.discard_if_damaged(&error);
            return Poll::Ready(Err(error));
        }
        self.cork();
        loop {
            ready!(self.stream.poll_write_ready(context))?;
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
                Ok(0) => {
                    let error = io::ErrorKind::UnexpectedEof.into();
                    file.discard_if_damaged(&error);
                    return Poll::Ready(Err(error));
                }
                Err(error) => {
                    file.discard_if_damaged(&error);
                    return Poll::Ready(Err(error));
                }
                Ok(sent) => {
                    self.sent.inc_by(sent as u64);
                    self.since_turn += sent;
                    self.position = Some(Position {
                        file: Arc::downgrade(file),
                        offset: offset + sent as u64,
                    });
                    return Poll::Ready(Ok(sent));
                }
            }
        }
    }

    /// From here on only full packets leave, until a flush with nothing of the file left to send at once: what stands before a
    /// piece of a file goes out with it, and the pieces follow each other without seams. Without it a connection at full speed
    /// costs a tenth more.
    fn cork(&mut self) {
        if !self.corked {
            self.corked = sockopt::set_tcp_cork(&self.stream, true).is_ok();
        }
    }

    fn uncork(&mut self) {
        if self.corked {
            // Where this failed the rest would leave a moment later.
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
        if let Some((file, offset)) = self.slot.find(bytes) {
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
            let (file, offset) = self.slot.find(slice)?;
            Some((place, file, offset))
        });
        match piece {
            None => {
                self.position = None;
                Pin::new(&mut self.stream).poll_write_vectored(context, slices)
            }
            Some((0, file, offset)) => self.poll_send_file(context, &file, offset, slices[0].len()),
            Some((place, ..)) => {
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
        if !goes_on.is_some_and(|position| self.slot.goes_on_at(position)) {
            self.uncork();
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
