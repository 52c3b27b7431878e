//! An open file of the cache, and the ways its bytes are read.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    sync::{Arc, Weak},
};

use bytes::Bytes;
use manifest_model::Digest;
use memmap2::Mmap;
use rustix::io::{Errno, ReadWriteFlags};

use crate::blobs::Blobs;

/// From this size on a file is mapped, so that its bytes can go out without passing through this process.
const MAPPED_FROM: u64 = 1024 * 1024;

/// The distance of the bytes whose presence in memory stands for that of their neighbours.
const PROBE_STEP: u64 = 1024 * 1024;

/// The buffer that pulls cold bytes into memory.
const WARM_BUFFER: usize = 256 * 1024;

/// A blob's file, stored or growing. While somebody holds it, the blob is not evicted.
///
/// The file is never cut short or rewritten: a download grows into a file that has its final length from the start, and what
/// is evicted is unlinked.
#[derive(Debug)]
pub struct OpenFile {
    digest: Digest,
    file: File,
    map: Option<Mmap>,
    /// Whose files these are: to take this one out when it proves damaged.
    home: Weak<Blobs>,
}

impl OpenFile {
    /// Wraps a file of `size` bytes, which is its length now and for good; `None` while that is not known.
    pub(crate) fn new(digest: Digest, file: File, size: Option<u64>, home: &Arc<Blobs>) -> Self {
        let map = size
            .filter(|size| *size >= MAPPED_FROM)
            .and_then(|_| map(&file).ok());
        Self {
            digest,
            file,
            map,
            home: Arc::downgrade(home),
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a blob of `size` is served from this file as well as from one opened now.
    pub(crate) fn is_fit_for(&self, size: u64) -> bool {
        size < MAPPED_FROM || self.map.is_some()
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file `slice` lies, if it is a piece of this file's mapping.
    pub fn offset_of(&self, slice: &[u8]) -> Option<u64> {
        let map = self.map.as_ref()?;
        let offset = (slice.as_ptr() as usize).checked_sub(map.as_ptr() as usize)?;
        (offset + slice.len() <= map.len()).then_some(offset as u64)
    }

    /// A piece of the mapping: bytes that are not read before somebody looks at them.
    pub(crate) fn window(self: &Arc<Self>, range: Range<u64>) -> Option<Bytes> {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        let inside = self.map.as_ref()?.get(range.clone()).is_some();
        inside.then(|| {
            Bytes::from_owner(Window {
                file: Arc::clone(self),
                range,
            })
        })
    }

    /// Whether the bytes of `range` can be read without asking the disk, judged by samples. A file system that cannot tell
    /// (tmpfs) has everything in memory.
    pub fn is_in_memory(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        while at < range.end {
            if !self.has_in_memory(at) {
                return false;
            }
            at += PROBE_STEP;
        }
        range.is_empty() || self.has_in_memory(range.end - 1)
    }

    fn has_in_memory(&self, at: u64) -> bool {
        let mut byte = [0];
        let read = rustix::io::preadv2(
            &self.file,
            &mut [IoSliceMut::new(&mut byte)],
            at,
            ReadWriteFlags::NOWAIT,
        );
        !matches!(read, Ok(0) | Err(Errno::AGAIN))
    }

    /// Brings the bytes of `range` into memory. Blocks for as long as the disk takes.
    pub fn warm(&self, range: Range<u64>) -> io::Result<()> {
        let mut buffer = vec![0; WARM_BUFFER];
        let mut at = range.start;
        while at < range.end {
            let length =
                usize::try_from(range.end - at).map_or(WARM_BUFFER, |rest| rest.min(WARM_BUFFER));
            match self.file.read_at(&mut buffer[..length], at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => at += read as u64,
            }
        }
        Ok(())
    }

    /// Whether the file still stands in the cache directory. One `fstat`.
    pub(crate) fn is_linked(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() > 0)
    }

    /// Takes the blob out of the cache if `reason` means that its bytes cannot be read, or are fewer than they were. The next
    /// request fetches it anew. An error of another kind says nothing of the file, and a file that is out already has perhaps been
    /// replaced by a good one.
    pub fn condemn(&self, reason: &io::Error) {
        if !is_damage(reason) || !self.is_linked() {
            return;
        }
        tracing::error!(digest = %self.digest, %reason, "a stored blob cannot be read and is taken out");
        if let Some(home) = self.home.upgrade()
            && let Err(error) = home.take_out(&self.digest)
        {
            tracing::error!(digest = %self.digest, %error, "it could not be taken out");
        }
    }
}

/// Whether an error of a read is the disk's, the file system's or the file's.
fn is_damage(error: &io::Error) -> bool {
    let codes = [Errno::IO, Errno::UCLEAN, Errno::BADMSG];
    error.kind() == io::ErrorKind::UnexpectedEof
        || codes
            .iter()
            .any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A piece of a mapping, as bytes that keep the file open.
struct Window {
    file: Arc<OpenFile>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        let map = self.file.map.as_deref().unwrap_or_default();
        map.get(self.range.clone()).unwrap_or_default()
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: bytes of a mapping must not change while they are borrowed. The directory is this process's alone (its lock says
    // so), a file in it is never cut short, and a byte of it that a reader may see is written once, before it is shown.
    unsafe { Mmap::map(file) }
}
