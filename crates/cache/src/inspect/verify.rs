//! Hashing all files again, and discarding those that do not match their names.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    num::NonZeroUsize,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use cache_store::{
    CacheError,
    disk::{delete_if_present, private},
};
use manifest_model::{Digest, Hasher};
use parking_lot::Mutex;
use rustix::{
    fs::{Advice, fadvise},
    io::Errno,
};

use super::{Directory, StoredFile};

/// The bytes that each worker reads at once.
const READ_SIZE: usize = 1024 * 1024;

/// A fault of a file.
#[derive(Debug)]
pub enum Fault {
    /// Its bytes have another digest.
    Corrupt {
        /// The digest of its bytes.
        actual: Digest,
    },
    /// It is longer or shorter than when it was stored.
    Length {
        /// The length that the index has.
        recorded: u64,
    },
    /// It cannot be read.
    Unreadable(io::Error),
}

impl Fault {
    /// Whether the file itself is damaged. A file that this process may not read, or cannot read
    /// for lack of a resource, may be in perfect order.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Length { .. } => true,
            Self::Unreadable(error) => matches!(
                Errno::from_io_error(error),
                Some(Errno::IO | Errno::UCLEAN | Errno::BADMSG)
            ),
        }
    }
}

/// A faulty file.
#[derive(Debug)]
pub struct Finding {
    /// The file, as it was listed.
    pub file: StoredFile,
    /// Its fault.
    pub fault: Fault,
    /// Whether it has left its place, discarded here or replaced by a new download; an error if it
    /// could not be discarded. `None` if it was to stay.
    pub removed: Option<Result<(), CacheError>>,
}

/// The treatment of damaged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Report them and leave them.
    Report,
    /// Discard them, so that the next request downloads them again.
    Discard,
}

/// The outcome for one file.
#[derive(Debug)]
pub enum Checked {
    /// Its bytes match its name.
    Good,
    /// It was evicted or removed after it was listed.
    Gone,
    /// It is faulty.
    Bad(Box<Finding>),
}

/// A verification of files.
#[derive(Debug)]
pub struct Verifier<'a> {
    /// The directory.
    pub directory: &'a Directory,
    /// The sizes from the index, if it could be read.
    pub sizes: &'a HashMap<Digest, u64>,
    /// The treatment of damaged files.
    pub repair: Repair,
    /// How many files are read at once.
    pub jobs: NonZeroUsize,
}

impl Verifier<'_> {
    /// Reads all of `files`, which another process may use meanwhile. Every worker calls `read`
    /// with the bytes it has just read, and `checked` with the outcome of each file, one at a time.
    pub fn run(
        &self,
        files: &[StoredFile],
        read: impl Fn(u64) + Sync,
        checked: impl FnMut(&StoredFile, Checked) + Send,
    ) {
        let (next, checked) = (AtomicUsize::new(0), Mutex::new(checked));
        let work = || {
            let mut buffer = vec![0; READ_SIZE];
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.check(file, &mut buffer, &read);
                checked.lock()(file, outcome);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.get() {
                scope.spawn(work);
            }
        });
    }

    fn check(&self, file: &StoredFile, buffer: &mut [u8], read: &impl Fn(u64)) -> Checked {
        let path = self.directory.file(&file.digest);
        let mut inode = None;
        let fault = match self.fault(file, &path, &mut inode, buffer, read) {
            Ok(None) => return Checked::Good,
            Ok(Some(fault)) => fault,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Checked::Gone,
            Err(error) => Fault::Unreadable(error),
        };
        let removed = (self.repair == Repair::Discard && fault.is_damage())
            .then(|| discard(self.directory, &file.digest, &path, inode));
        Checked::Bad(Box::new(Finding {
            file: *file,
            fault,
            removed,
        }))
    }

    fn fault(
        &self,
        file: &StoredFile,
        path: &Path,
        inode: &mut Option<u64>,
        buffer: &mut [u8],
        read: &impl Fn(u64),
    ) -> io::Result<Option<Fault>> {
        let mut open = File::open(path)?;
        let metadata = open.metadata()?;
        *inode = Some(metadata.ino());
        if let Some(recorded) = self.sizes.get(&file.digest)
            && *recorded != metadata.len()
        {
            read(file.size);
            let recorded = *recorded;
            return Ok(Some(Fault::Length { recorded }));
        }
        // Hints: read far ahead, and do not let this reading push the clients' files out of memory.
        let _ = fadvise(&open, 0, None, Advice::Sequential);
        let _ = fadvise(&open, 0, None, Advice::NoReuse);
        let mut hasher = Hasher::new(file.digest.algorithm());
        hasher.add_all(&mut open, buffer, read)?;
        let actual = hasher.finish();
        Ok((actual != file.digest).then_some(Fault::Corrupt { actual }))
    }
}

/// Unpublishes a damaged file and deletes it. A crash in between leaves it in `ingest/`, which
/// every start sweeps. A serving process sees an absent file, and downloads it at the next request.
fn discard(
    directory: &Directory,
    digest: &Digest,
    path: &Path,
    inode: Option<u64>,
) -> Result<(), CacheError> {
    // Another process may have found the damage too and stored the blob again. If that happens
    // after this look, it costs one download.
    let now = fs::metadata(path).map(|metadata| metadata.ino()).ok();
    if now.is_none() || (inode.is_some() && now != inode) {
        return Ok(());
    }
    let ingest = directory.path().join("ingest");
    let aside: PathBuf = ingest.join(format!("{}.{}.corrupt", digest.hex(), std::process::id()));
    private::folder(&ingest)?;
    fs::rename(path, &aside).map_err(CacheError::io("remove", path))?;
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(CacheError::io("sync", folder))?;
    }
    // A starting server may sweep the folder first.
    delete_if_present(&aside)
}
