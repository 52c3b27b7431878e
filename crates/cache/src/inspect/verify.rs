//! Hashing everything again, and taking out what is not what its name says.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    num::NonZeroUsize,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use manifest_model::{Digest, Hasher};
use rustix::{
    fs::{Advice, fadvise},
    io::Errno,
};

use super::{Directory, StoredFile};
use crate::{disk::remove_if_there, error::CacheError};

/// Bytes read at once by each worker.
const PIECE: usize = 1024 * 1024;

/// What is wrong with a file.
#[derive(Debug)]
pub enum Fault {
    /// Its bytes have another digest.
    Corrupt {
        /// What they hash to.
        actual: Digest,
    },
    /// It is longer or shorter than when it was stored.
    Length {
        /// What the index says.
        recorded: u64,
    },
    /// It cannot be read.
    Unreadable(io::Error),
}

impl Fault {
    /// Whether the file itself is at fault: one that we may not read, or cannot read for want of something, may be as good as new.
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

/// A file that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// The file, as it was listed.
    pub file: StoredFile,
    /// What is wrong with it.
    pub fault: Fault,
    /// Whether it has left its place, by our hand or because somebody stored it anew meanwhile; an error if it could not be
    /// moved. `None` where it was to stay.
    pub removed: Option<Result<(), CacheError>>,
}

/// What to do with damaged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Leave them.
    Report,
    /// Take them out, so that they are fetched again.
    TakeOut,
}

/// One file that has been looked at.
#[derive(Debug)]
pub enum Checked {
    /// Its bytes are what its name says.
    Good,
    /// It has gone since it was listed: evicted, or removed.
    Gone,
    /// It is not as it should be.
    Bad(Box<Finding>),
}

/// How files are verified.
#[derive(Debug)]
pub struct Verifier<'a> {
    /// The directory.
    pub directory: &'a Directory,
    /// Sizes from the index, where it could be read.
    pub sizes: &'a HashMap<Digest, u64>,
    /// What to do with damaged files.
    pub repair: Repair,
    /// How many files are read at once.
    pub jobs: NonZeroUsize,
}

impl Verifier<'_> {
    /// Reads all of `files`, which may be in use by another process meanwhile. `read` hears of bytes as they go by, from
    /// every worker; `checked` of each file when it is done, one at a time.
    pub fn run(
        &self,
        files: &[StoredFile],
        read: impl Fn(u64) + Sync,
        checked: impl FnMut(&StoredFile, Checked) + Send,
    ) {
        let (next, checked) = (AtomicUsize::new(0), Mutex::new(checked));
        let work = || {
            let mut buffer = vec![0; PIECE];
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.check(file, &mut buffer, &read);
                let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
                checked(file, outcome);
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
        let removed = (self.repair == Repair::TakeOut && fault.is_damage())
            .then(|| take_out(self.directory, &file.digest, &path, inode));
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
        // Hints: read far ahead, and do not let a read of everything push out of memory what clients ask for.
        let _ = fadvise(&open, 0, None, Advice::Sequential);
        let _ = fadvise(&open, 0, None, Advice::NoReuse);
        let mut hasher = Hasher::new(file.digest.algorithm());
        loop {
            let length = match open.read(buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&buffer[..length]);
            read(length as u64);
        }
        let actual = hasher.finish();
        Ok((actual != file.digest).then_some(Fault::Corrupt { actual }))
    }
}

/// Moves a damaged file out of sight and deletes it. A crash in between leaves it in `ingest/`, which every start sweeps; a
/// serving process sees an absent file, and fetches it again when it is asked for.
fn take_out(
    directory: &Directory,
    digest: &Digest,
    path: &Path,
    inode: Option<u64>,
) -> Result<(), CacheError> {
    // Somebody may have found the damage, too, and stored the blob anew. A name that changes hands after this look costs one
    // download.
    let now = fs::metadata(path).map(|metadata| metadata.ino()).ok();
    if now.is_none() || (inode.is_some() && now != inode) {
        return Ok(());
    }
    let ingest = directory.path().join("ingest");
    let aside: PathBuf = ingest.join(format!("{}.{}.corrupt", digest.hex(), std::process::id()));
    fs::create_dir_all(&ingest).map_err(CacheError::io("create", &ingest))?;
    fs::rename(path, &aside).map_err(CacheError::io("take out", path))?;
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(CacheError::io("sync", folder))?;
    }
    // A starting server may sweep the folder first.
    remove_if_there(&aside)
}
