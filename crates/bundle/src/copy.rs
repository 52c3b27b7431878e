//! Copying between files within the kernel, which shares extents where the file system can.

use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
};

use rustix::io::Errno;

const CHUNK: usize = 1 << 20;

/// Appends the bytes `range` of `source` to `output` at its position. Their extents are shared
/// where the file system can and both places are on its boundaries. `progress` is called with the
/// number of bytes copied since its last call.
pub fn copy_range(
    source: &File,
    range: Range<u64>,
    mut output: &File,
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    let mut at = share(source, &range, output)?;
    progress(at - range.start);
    let mut chunk = vec![0; CHUNK];
    while at < range.end {
        let wanted = usize::try_from(range.end - at).unwrap_or(CHUNK).min(CHUNK);
        let length = match source.read_at(&mut chunk[..wanted], at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        output.write_all(&chunk[..length])?;
        at += length as u64;
        progress(length as u64);
    }
    Ok(())
}

/// Copies `range` within the kernel. Returns where it ended: at the end of the range, or where the
/// kernel could not go on, as between file systems.
pub(crate) fn share(source: &File, range: &Range<u64>, output: &File) -> io::Result<u64> {
    let mut from = range.start;
    while from < range.end {
        let length = usize::try_from(range.end - from).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(source, Some(&mut from), output, None, length) {
            Ok(1..) | Err(Errno::INTR) => {}
            Ok(0)
            | Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF) => {
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(from)
}
