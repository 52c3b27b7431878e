//! An open file of the cache and the ways to read it.

mod read;
mod warm;

use std::{
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use cache_store::{
    CacheError,
    disk::{BlobProof, Disk, FoundBlob, Unpublished},
};
use manifest_model::Digest;
use memmap2::{Mmap, MmapOptions};
use rustix::io::{Errno, ReadWriteFlags};
use tracing::error;

pub(crate) use self::read::{PIECE_SIZE, SMALL_PIECE_SIZE, read_at};
use self::warm::{Moment, WarmChunks};

/// Files of at least this size are mapped, so that the kernel can send them without a copy.
const MIN_MAPPED_SIZE: u64 = 1024 * 1024;

/// The distance between the bytes that are probed to learn whether a range is in memory.
const PROBE_STEP: u64 = 1024 * 1024;

/// The size of the buffer that pulls cold bytes into memory.
const WARM_BUFFER_SIZE: usize = 256 * 1024;

/// A blob's file, stored or growing. The blob is not evicted while anybody holds it.
///
/// The file is never truncated or rewritten: a download grows into a file that has its final
/// length from the start, and eviction unlinks.
#[derive(Debug)]
pub struct OpenFile {
    digest: Digest,
    file: File,
    /// Where the blob begins in the file; its mapping begins there too.
    start: u64,
    map: Option<Mmap>,
    /// Which parts of the mapping were in memory a moment ago.
    warm_chunks: WarmChunks,
    /// What the blob's bytes are to be proved by before one of them is read.
    proof: Option<BlobProof>,
    /// Where the file is unpublished once it proves damaged. Does not keep the cache open.
    disk: Weak<Disk>,
    /// A discarded file gets no new readers; its present ones keep it until they are done.
    is_discarded: AtomicBool,
}

impl OpenFile {
    /// Wraps a file of `size` bytes, its final length; `None` while the length is unknown.
    pub(crate) fn new(digest: Digest, file: File, size: Option<u64>, disk: &Arc<Disk>) -> Self {
        let map = size
            .filter(|size| *size >= MIN_MAPPED_SIZE)
            .and_then(|_| map(&file).ok());
        Self {
            digest,
            file,
            start: 0,
            warm_chunks: chunks_of(map.as_ref()),
            map,
            proof: None,
            disk: Arc::downgrade(disk),
            is_discarded: AtomicBool::new(false),
        }
    }

    /// Wraps the file of a stored blob, which may be one of many in it.
    pub(crate) fn found(digest: Digest, found: FoundBlob, disk: &Arc<Disk>) -> Self {
        let FoundBlob {
            file,
            start,
            size,
            proof,
        } = found;
        if start == 0 && proof.is_none() {
            return Self::new(digest, file, Some(size), disk);
        }
        let is_large = size >= MIN_MAPPED_SIZE;
        let map = is_large.then(|| map_section(&file, start, size).ok());
        let map = map.flatten();
        Self {
            start,
            warm_chunks: chunks_of(map.as_ref()),
            map,
            proof,
            ..Self::new(digest, file, None, disk)
        }
    }

    /// Whether the blob's bytes are those that its digest names. A look at a field where they were
    /// hashed before; else blocks until they are.
    pub(crate) fn is_sound(&self) -> bool {
        self.proof.as_ref().is_none_or(BlobProof::holds)
    }

    /// Whether [`Self::is_sound`] would block.
    pub(crate) fn is_to_be_proved(&self) -> bool {
        self.proof.as_ref().is_some_and(|proof| !proof.is_known())
    }

    /// Where in the blob an offset of the file lies.
    pub fn position_of(&self, offset: u64) -> u64 {
        offset - self.start
    }

    /// Where in the file a position of the blob lies.
    pub(crate) fn offset_at(&self, position: u64) -> u64 {
        self.start + position
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether this file serves a blob of `size` as well as one opened now would.
    pub(crate) fn is_fit_for(&self, size: u64) -> bool {
        size < MIN_MAPPED_SIZE || self.map.is_some()
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The offset of `slice` in the file, if it is a piece of this file's mapping.
    pub fn offset_of(&self, slice: &[u8]) -> Option<u64> {
        let map = self.map.as_ref()?;
        let offset = (slice.as_ptr() as usize).checked_sub(map.as_ptr() as usize)?;
        (offset + slice.len() <= map.len()).then_some(self.start + offset as u64)
    }

    /// A piece of the mapping. Its bytes are read from the disk when they are first used.
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

    /// Whether the bytes of `range`, offsets of the file, can be read without the disk: judged by
    /// samples, or by those of a moment ago. On a file system that cannot tell (tmpfs) everything is
    /// in memory.
    pub fn is_in_memory(&self, range: Range<u64>) -> bool {
        let (of_blob, now) = (
            range.start.saturating_sub(self.start)..range.end.saturating_sub(self.start),
            Moment::now(),
        );
        if self.warm_chunks.hold(&of_blob, now) {
            return true;
        }
        let is_in_memory = self.look(&range);
        if is_in_memory {
            self.warm_chunks.note(&of_blob, now);
        } else {
            self.warm_chunks.forget();
        }
        is_in_memory
    }

    /// Samples `range`, so that `sendfile` would hardly wait.
    fn look(&self, range: &Range<u64>) -> bool {
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

    /// Reads the bytes of `range` into memory. Blocks for as long as the disk takes.
    pub fn warm(&self, range: Range<u64>) -> io::Result<()> {
        let mut buffer = vec![0; WARM_BUFFER_SIZE];
        let mut at = range.start;
        while at < range.end {
            let length = usize::try_from(range.end - at)
                .map_or(WARM_BUFFER_SIZE, |rest| rest.min(WARM_BUFFER_SIZE));
            match self.file.read_at(&mut buffer[..length], at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => at += read as u64,
            }
        }
        Ok(())
    }

    /// All of a file of `size` bytes. Blocks for as long as the disk takes.
    pub(crate) fn read_whole(&self, size: u64) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.into())
    }

    /// Whether the file still has a name on the disk. One `fstat`.
    pub(crate) fn is_linked(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() > 0)
    }

    pub(crate) fn is_discarded(&self) -> bool {
        self.is_discarded.load(Ordering::Acquire)
    }

    /// Discards the blob if `reason` means that its bytes are lost or unreadable; the next
    /// request downloads it again. Other errors prove nothing about the file. A file without a
    /// name is left alone too: a good one may have taken its place.
    pub fn discard_if_damaged(&self, reason: &io::Error) {
        if !is_damage(reason) || self.is_discarded() {
            return;
        }
        if !self.is_linked() {
            self.mark_discarded();
            return;
        }
        error!(digest = %self.digest, %reason, "discarding a stored blob that cannot be read");
        let Some(disk) = self.disk.upgrade() else {
            return;
        };
        disk.note_damage();
        if let Err(error) = self.discard_from(&disk) {
            error!(digest = %self.digest, %error, "cannot discard the damaged blob");
        }
    }

    /// First the mark is set, then the name goes: from the mark on no request is given this open
    /// file, and the name that it would open anew is gone a moment later.
    fn discard_from(&self, disk: &Disk) -> Result<(), CacheError> {
        self.mark_discarded();
        let unpublished = disk.unpublish(&self.digest).inspect_err(|_| {
            // It is still there under its name, and no better.
            self.is_discarded.store(false, Ordering::Release);
        })?;
        unpublished.map_or(Ok(()), Unpublished::delete)
    }

    fn mark_discarded(&self) {
        self.is_discarded.store(true, Ordering::Release);
    }
}

/// Whether the disk, the file system or the file caused a read error.
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

fn chunks_of(map: Option<&Mmap>) -> WarmChunks {
    map.map_or_else(WarmChunks::default, |map| WarmChunks::of(map.len() as u64))
}

#[allow(unsafe_code)]
fn map_section(file: &File, start: u64, size: u64) -> io::Result<Mmap> {
    let length = usize::try_from(size).map_err(io::Error::other)?;
    // SAFETY: bytes of a mapping must not change while they are borrowed. The file is one that the
    // operator has given to be served as it is, read-only: who changes it meanwhile changes what goes
    // out, and who truncates it ends this process.
    unsafe { MmapOptions::new().offset(start).len(length).map(file) }
}

#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: bytes of a mapping must not change while they are borrowed. The lock makes the
    // directory this process's alone, no file in it is ever truncated, and every byte a reader may
    // see was written once, before it was shown.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;
    use rustix::fs::{Advice, fadvise};

    use super::*;

    const SIZE: u64 = 6 * 1024 * 1024;

    /// Shows nothing on a file system that keeps what it may let go, as tmpfs does.
    #[test]
    fn a_file_that_left_memory_is_cold_until_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::open(folder.path()).unwrap());
        let path = folder.path().join("large");
        std::fs::write(&path, vec![7; usize::try_from(SIZE).unwrap()]).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        let digest = Digest::of(Algorithm::Sha256, b"large");
        let open = OpenFile::new(digest, file, Some(SIZE), &disk);
        assert!(open.is_in_memory(0..SIZE));
        fadvise(&open.file, 0, None, Advice::DontNeed).unwrap();
        if open.has_in_memory(SIZE / 2) {
            return;
        }
        // As if the moment had passed for which a look holds.
        open.warm_chunks.forget();
        assert!(!open.is_in_memory(0..SIZE));
        open.warm(0..SIZE).unwrap();
        assert!(open.is_in_memory(0..SIZE));
    }
}
