//! Reading a piece of a file into memory without blocking the async worker.
//!
//! Readers come here for all bytes that the kernel does not send from the file itself: under TLS
//! and HTTP/2, for files too small to be mapped, and for short ranges. `preadv2(RWF_NOWAIT)` reads
//! on the worker what the page cache has; the blocking pool reads the rest. Buffers are pooled.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::{Errno, ReadWriteFlags};

use super::OpenFile;

/// The largest piece that one read returns.
pub(crate) const PIECE_SIZE: usize = 256 * 1024;

/// The size of a piece for a client that may take none of it.
pub(crate) const SMALL_PIECE_SIZE: usize = 32 * 1024;

/// Buffers of each size kept for the next read, over all caches of the process: 18 MiB at most.
const MAX_POOLED_BUFFERS: usize = 64;

static POOL: BufferPool = BufferPool(Mutex::new(Vec::new()));

static SMALL_POOL: BufferPool = BufferPool(Mutex::new(Vec::new()));

/// Up to `length` bytes from `offset`: fewer at the end of the cached pages, none only at the end
/// of the file.
///
/// Cached bytes are read at once on the calling task. Only disk reads go to the blocking pool.
pub(crate) async fn read_at(file: &Arc<OpenFile>, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = Buffer::of(length.min(PIECE_SIZE));
    let offset = file.offset_at(offset);
    match read_from_memory(file.file(), &mut buffer.bytes, offset) {
        Ok(read) if read > 0 => return Ok(buffer.filled(read)),
        // Zero is the end of the file or of the cached pages; the blocking read below tells which.
        // The errors mean: not in memory, or a file system (tmpfs) or kernel that cannot tell.
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let file = Arc::clone(file);
    let blocking = move || {
        let read = file.file().read_at(&mut buffer.bytes, offset)?;
        Ok(buffer.filled(read))
    };
    tokio::task::spawn_blocking(blocking)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the shutdown interrupted the read")))
}

fn read_from_memory(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    rustix::io::preadv2(
        file,
        &mut [IoSliceMut::new(buffer)],
        offset,
        ReadWriteFlags::NOWAIT,
    )
}

/// Buffers of one size whose content has been sent, for the next read.
struct BufferPool(Mutex<Vec<Vec<u8>>>);

impl BufferPool {
    /// The pool of buffers of `length` bytes. Other lengths have none: a pooled buffer would hold
    /// far more memory than they need, for as long as a slow client takes.
    fn of(length: usize) -> Option<&'static Self> {
        match length {
            PIECE_SIZE => Some(&POOL),
            SMALL_PIECE_SIZE => Some(&SMALL_POOL),
            _ => None,
        }
    }
}

/// A buffer on its way to a client. It returns to its pool, if there is one for its size.
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    fn of(length: usize) -> Self {
        let pooled = BufferPool::of(length).and_then(|pool| pool.0.lock().pop());
        Self {
            bytes: pooled.unwrap_or_else(|| vec![0; length]),
            filled: 0,
        }
    }

    fn filled(mut self, length: usize) -> Bytes {
        self.filled = length;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = BufferPool::of(self.bytes.len()) {
            let mut pooled = pool.0.lock();
            if pooled.len() < MAX_POOLED_BUFFERS {
                pooled.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}
