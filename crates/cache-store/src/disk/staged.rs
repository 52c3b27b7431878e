//! Files in `ingest/`, before they become visible.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use manifest_model::Digest;
use rustix::{
    fs::{FallocateFlags, fallocate, fstatfs},
    io::Errno,
};

use super::{journal::Journal, private};
use crate::error::CacheError;

/// The extension of a download's bytes.
pub(super) const PART: &str = "part";

/// The extension of its journal.
pub(super) const JOURNAL: &str = "journal";

/// The type of a tmpfs in `statfs` (`man 2 statfs`). There, reserving space writes all of it.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// When a download's file gets its blocks of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// At the start, where the file system can do so.
    AtOnce,
    /// With the bytes.
    AsWritten,
}

/// A file in `ingest/`. Dropping it deletes the file, unless it was published or
/// [kept](Self::keep).
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    file: File,
    journal: Option<Journal>,
    keep: bool,
}

impl Staged {
    /// A new file at `path`, without a journal.
    pub(super) fn at(path: PathBuf) -> Result<Self, CacheError> {
        let mut options = private::file();
        options.read(true).write(true).create_new(true);
        let file = private::open(&path, &options).map_err(CacheError::io("create", &path))?;
        Ok(Self {
            path,
            file,
            journal: None,
            keep: false,
        })
    }

    /// The file for a new download. With a known size it has that size from the start, and a
    /// journal.
    pub(super) fn create(
        ingest: &Path,
        digest: &Digest,
        size: Option<u64>,
        blocks: Blocks,
    ) -> Result<Self, CacheError> {
        let path = part_path(ingest, digest);
        let journal_path = journal_path(ingest, digest);
        for old in [&path, &journal_path] {
            delete_if_present(old)?;
        }
        let mut staged = Self::at(path)?;
        if let Some(size) = size {
            let sized = match blocks {
                Blocks::AtOnce => reserve_blocks(&staged.file, size),
                Blocks::AsWritten => staged.file.set_len(size),
            };
            sized.map_err(CacheError::io("reserve space for", &staged.path))?;
            let journal = Journal::open(&journal_path);
            staged.journal = Some(journal.map_err(CacheError::io("create", journal_path))?);
        }
        Ok(staged)
    }

    /// The file of an interrupted download, if it still has the blob's size.
    pub(super) fn resume(ingest: &Path, digest: &Digest, size: u64) -> io::Result<Self> {
        let path = part_path(ingest, digest);
        let file = File::options().read(true).write(true).open(&path)?;
        if file.metadata()?.len() != size {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let journal = Journal::open(&journal_path(ingest, digest))?;
        Ok(Self {
            path,
            file,
            journal: Some(journal),
            keep: false,
        })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is until it is published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands the journal over to its writer.
    pub fn take_journal(&mut self) -> Option<Journal> {
        self.journal.take()
    }

    /// Its bytes are durable when this returns.
    pub fn sync(&self) -> Result<(), CacheError> {
        self.file
            .sync_all()
            .map_err(CacheError::io("sync", &self.path))
    }

    /// Leaves file and journal for the next download to resume.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.keep {
            // A published file has moved and is not found. The next start sweeps a file that cannot
            // be deleted here.
            let _ = fs::remove_file(&self.path);
            if self
                .path
                .extension()
                .is_some_and(|extension| extension == PART)
            {
                let _ = fs::remove_file(self.path.with_extension(JOURNAL));
            }
        }
    }
}

fn part_path(ingest: &Path, digest: &Digest) -> PathBuf {
    ingest.join(format!("{}-{}.{PART}", digest.algorithm(), digest.hex()))
}

pub(super) fn journal_path(ingest: &Path, digest: &Digest) -> PathBuf {
    part_path(ingest, digest).with_extension(JOURNAL)
}

/// The digest of the download that the file at `path` belongs to; `None` for other files.
pub(super) fn digest_of(path: &Path) -> Option<Digest> {
    let extension = path.extension()?.to_str()?;
    if !matches!(extension, PART | JOURNAL) {
        return None;
    }
    let (algorithm, hex) = path.file_stem()?.to_str()?.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Deletes a file. One that is gone already is no error.
pub fn delete_if_present(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CacheError::io("delete", path)(error))
        }
        _ => Ok(()),
    }
}

/// Gives the file its length and the disk blocks for it, so that a full disk shows now and not in
/// the middle of the download.
fn reserve_blocks(file: &File, size: u64) -> io::Result<()> {
    let is_tmpfs = fstatfs(file).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(TMPFS_MAGIC));
    if size == 0 || is_tmpfs {
        return file.set_len(size);
    }
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(size),
        outcome => Ok(outcome?),
    }
}
