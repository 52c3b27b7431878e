//! The folder `ingest/`: files on their way in or out.
//!
//! An interrupted download stays here for a day. The next fill of its blob fetches the missing
//! bytes and hashes all of them again. When space is needed, these files are the first to go.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use manifest_model::Digest;
use tracing::info;

use super::{
    journal,
    staged::{self, Blocks, Staged, delete_if_present},
};
use crate::{Spans, error::CacheError};

/// How long an interrupted download is kept for the next request of its blob.
const PARTIAL_LIFETIME: Duration = Duration::from_hours(24);

/// The unit in which `stat` counts a file's space, whatever the file system (`man 2 stat`).
const STAT_BLOCK_SIZE: u64 = 512;

/// The folder, owned by this process alone.
#[derive(Debug)]
pub struct Ingest {
    folder: PathBuf,
    /// Makes names unique within this process; at its start there are none.
    serial: AtomicU64,
}

impl Ingest {
    /// Opens the folder and deletes all files that no download can resume from. No fill may be
    /// running.
    pub(super) fn open(folder: PathBuf) -> Result<Self, CacheError> {
        let ingest = Self {
            folder,
            serial: AtomicU64::new(0),
        };
        ingest.sweep()?;
        Ok(ingest)
    }

    fn sweep(&self) -> Result<(), CacheError> {
        self.each_file(|path| {
            let part = path.with_extension(staged::PART);
            let journal = path.with_extension(staged::JOURNAL);
            let extension = path.extension().and_then(|extension| extension.to_str());
            let is_resumable = matches!(extension, Some(staged::PART | staged::JOURNAL))
                && is_young(&journal)
                && part.exists()
                && journal::read(&journal).is_some();
            if !is_resumable {
                return delete_if_present(path);
            }
            if path == part {
                info!(path = %path.display(), "found an interrupted download that can be resumed");
            }
            Ok(())
        })
    }

    /// Deletes interrupted downloads to free their space, except those that `is_running` names.
    pub fn delete_partials(&self, is_running: impl Fn(&Digest) -> bool) -> Result<(), CacheError> {
        self.delete_partials_if(|_, digest| !is_running(digest))
    }

    /// Deletes interrupted downloads past their lifetime, except those that `is_running` names.
    pub fn delete_expired_partials(
        &self,
        is_running: impl Fn(&Digest) -> bool,
    ) -> Result<(), CacheError> {
        self.delete_partials_if(|path, digest| {
            !is_running(digest) && !is_young(&path.with_extension(staged::JOURNAL))
        })
    }

    /// The bytes that [`Self::delete_partials`] would free.
    pub fn partials_size(&self, is_running: impl Fn(&Digest) -> bool) -> Result<u64, CacheError> {
        let mut size = 0;
        self.each_partial(|path, digest| {
            // A file that disappears meanwhile has freed its space already.
            if !is_running(digest)
                && let Ok(metadata) = fs::metadata(path)
            {
                size += metadata.blocks() * STAT_BLOCK_SIZE;
            }
            Ok(())
        })?;
        Ok(size)
    }

    fn delete_partials_if(
        &self,
        selects: impl Fn(&Path, &Digest) -> bool,
    ) -> Result<(), CacheError> {
        self.each_partial(|path, digest| {
            if !selects(path, digest) {
                return Ok(());
            }
            delete_if_present(path)
        })
    }

    /// Visits each file of the running and interrupted downloads.
    fn each_partial(
        &self,
        mut visit: impl FnMut(&Path, &Digest) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        self.each_file(|path| match staged::digest_of(path) {
            Some(digest) => visit(path, &digest),
            None => Ok(()),
        })
    }

    fn each_file(
        &self,
        mut visit: impl FnMut(&Path) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let entries = fs::read_dir(&self.folder).map_err(CacheError::io("list", &self.folder))?;
        for entry in entries {
            visit(&entry.map_err(CacheError::io("list", &self.folder))?.path())?;
        }
        Ok(())
    }

    /// What a new download of `digest` can resume from: the blob's size and the written bytes.
    pub fn partial(&self, digest: &Digest) -> Option<(u64, Spans)> {
        let journal = staged::journal_path(&self.folder, digest);
        journal::read(&journal).filter(|(_, written)| !written.is_empty())
    }

    /// The file for a download of `digest`, and its written bytes: an interrupted one of the same
    /// size, else a new one.
    pub fn stage_download(
        &self,
        digest: &Digest,
        size: Option<u64>,
        blocks: Blocks,
    ) -> Result<(Staged, Spans), CacheError> {
        if let Some(size) = size
            && let Some((known, written)) = self.partial(digest)
            && known == size
            && let Ok(staged) = Staged::resume(&self.folder, digest, size)
        {
            return Ok((staged, written));
        }
        Ok((
            Staged::create(&self.folder, digest, size, blocks)?,
            Spans::default(),
        ))
    }

    /// A new empty file, deleted when the [`Staged`] is dropped unpublished.
    pub fn stage(&self, digest: &Digest) -> Result<Staged, CacheError> {
        Staged::at(self.unique_path(digest, "new"))
    }

    /// A path for a file on its way out.
    pub(super) fn way_out(&self, digest: &Digest) -> PathBuf {
        self.unique_path(digest, "evicted")
    }

    fn unique_path(&self, digest: &Digest, extension: &str) -> PathBuf {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.folder
            .join(format!("{}.{serial}.{extension}", digest.hex()))
    }
}

fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < PARTIAL_LIFETIME))
}
