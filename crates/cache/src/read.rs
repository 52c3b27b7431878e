//! Reading a piece of a file into memory without holding up the async worker that asks for it.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

use crate::OpenFile;

/// The largest piece read at once.
pub(crate) const PIECE: usize = 256 * 1024;

/// Buffers kept for the next read, of all caches of the process: 16 MiB at most.
const MAX_POOLED: usize = 64;

static POOL: Pool = Pool(Mutex::new(Vec::new()));

/// Up to `length` bytes from `offset`; fewer at the end of what is in the page cache, none only at the end of the file.
///
/// What is in memory is read at once on the calling task. Only what the disk must be asked for goes to the blocking pool.
pub(crate) async fn read_at(file: &Arc<OpenFile>, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = POOL.take(length.min(PIECE));
    match read_from_memory(file.file(), &mut buffer.bytes, offset) {
        Ok(read) if read > 0 => return Ok(buffer.filled(read)),
        // Zero is the end of the file, or of what is cached: the blocking read below tells which.
        // Not in memory; or a file system (tmpfs) or kernel that cannot tell.
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
        .unwrap_or_else(|_| Err(io::Error::other("the read was cut off by shutdown")))
}

fn read_from_memory(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    rustix::io::preadv2(
        file,
        &mut [IoSliceMut::new(buffer)],
        offset,
        ReadWriteFlags::NOWAIT,
    )
}

/// Buffers of [`PIECE`] bytes that were read into and sent, for the next to use.
struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// A buffer of `length` bytes. Small ones are made to measure: a pooled one would hold much more memory for as long as a
    /// slow client takes.
    fn take(&self, length: usize) -> Buffer {
        let pooled = (length == PIECE)
            .then(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).pop())
            .flatten();
        Buffer {
            bytes: pooled.unwrap_or_else(|| vec![0; length]),
            filled: 0,
        }
    }
}

/// A buffer on its way to a client; whole ones return to the pool.
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
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
        if self.bytes.len() == PIECE {
            let mut pooled = POOL.0.lock().unwrap_or_else(PoisonError::into_inner);
            if pooled.len() < MAX_POOLED {
                pooled.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}
