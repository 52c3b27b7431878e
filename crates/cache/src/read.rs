//! Reading a piece of a file without holding up the async worker that asks for it.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

/// The largest piece read at once.
pub(crate) const PIECE: usize = 256 * 1024;

/// Up to `length` bytes from `offset`; fewer at the end of what is in the page cache, none only at the end of the file.
///
/// What is in memory is read at once on the calling task. Only what the disk must be asked for goes to the blocking pool.
pub(crate) async fn read_at(file: &Arc<File>, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length.min(PIECE)];
    match rustix::io::preadv2(
        &**file,
        &mut [IoSliceMut::new(&mut buffer)],
        offset,
        ReadWriteFlags::NOWAIT,
    ) {
        Ok(read) if read > 0 => {
            buffer.truncate(read);
            return Ok(buffer.into());
        }
        // Zero is the end of the file, or of what is cached: the blocking read below tells which.
        // Not in memory; or a file system (tmpfs) or kernel that cannot tell.
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let file = Arc::clone(file);
    let blocking = move || {
        let read = file.read_at(&mut buffer, offset)?;
        buffer.truncate(read);
        Ok(buffer.into())
    };
    tokio::task::spawn_blocking(blocking)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the read was cut off by shutdown")))
}
