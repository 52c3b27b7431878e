//! The directory: where a digest's file stands, how a file comes to stand there, and how it goes.
//!
//! ```text
//! lock                 held while a process owns the directory; shared by those who look at its index
//! index.redb           see `index`
//! index.new            the same while it is built from the files
//! names.jsonl          see `names`; names.new while it is written
//! blobs/sha256/<hex>   whole and verified; never changed in place
//! ingest/              files on their way in or out; what a start cannot build on is deleted then
//!   sha256-<hex>.part      a download under way or cut off
//!   sha256-<hex>.journal   which of its bytes are there
//! ```

mod journal;
pub(crate) mod lock;
mod staged;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use manifest_model::{Algorithm, Digest};
use tracing::info;

pub(crate) use self::{
    journal::{Journal, Record},
    staged::Staged,
};
use crate::{blobs::Spans, error::CacheError};

/// How long a download that was cut off waits for somebody to ask for the blob again.
const PARTIAL_KEPT_FOR: Duration = Duration::from_hours(24);

/// The unit in which the system counts a file's space, whatever the file system (`man 2 stat`).
const BLOCK: u64 = 512;

/// The cache directory, owned by this process alone.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    ingest: PathBuf,
    /// Makes names in `ingest/` unique within this process; the directory starts empty.
    serial: AtomicU64,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl Disk {
    /// Takes the directory, making it if need be, and deletes from `ingest/` what no download can go on from.
    pub(crate) fn open(root: &Path) -> Result<Self, CacheError> {
        let ingest = root.join("ingest");
        for folder in [
            root.to_path_buf(),
            root.join("blobs/sha256"),
            root.join("blobs/sha512"),
            ingest.clone(),
        ] {
            fs::create_dir_all(&folder).map_err(CacheError::io("create", &folder))?;
        }
        let lock = lock::own(root)?;
        let disk = Self {
            root: root.into(),
            ingest,
            serial: AtomicU64::new(0),
            _lock: lock,
        };
        disk.sweep()?;
        Ok(disk)
    }

    /// Deletes from `ingest/` all but downloads that can be gone on with. Nobody must be filling.
    fn sweep(&self) -> Result<(), CacheError> {
        let entries = fs::read_dir(&self.ingest).map_err(CacheError::io("list", &self.ingest))?;
        for entry in entries {
            let path = entry.map_err(CacheError::io("list", &self.ingest))?.path();
            let part = path.with_extension(staged::PART);
            let journal = path.with_extension(staged::JOURNAL);
            let extension = path.extension().and_then(|extension| extension.to_str());
            let kept = matches!(extension, Some(staged::PART | staged::JOURNAL))
                && is_young(&journal)
                && part.exists()
                && journal::read(&journal).is_some();
            if !kept {
                remove_if_there(&path)?;
            } else if path == part {
                info!(path = %path.display(), "a download that was cut off can be gone on with");
            }
        }
        Ok(())
    }

    /// Deletes what is left of downloads that were cut off, but for those `is_running` names: the disk is needed.
    pub(crate) fn drop_partials(
        &self,
        is_running: impl Fn(&Digest) -> bool,
    ) -> Result<(), CacheError> {
        self.drop_partials_if(|_, digest| !is_running(digest))
    }

    /// The same for those nobody has gone on with in a long time.
    pub(crate) fn drop_old_partials(
        &self,
        is_running: impl Fn(&Digest) -> bool,
    ) -> Result<(), CacheError> {
        self.drop_partials_if(|path, digest| {
            !is_running(digest) && !is_young(&path.with_extension(staged::JOURNAL))
        })
    }

    /// The bytes [`Self::drop_partials`] would give back.
    pub(crate) fn partials_size(
        &self,
        is_running: impl Fn(&Digest) -> bool,
    ) -> Result<u64, CacheError> {
        let mut size = 0;
        self.each_partial(|path, digest| {
            // One that goes meanwhile has given its space back.
            if !is_running(digest)
                && let Ok(metadata) = fs::metadata(path)
            {
                size += metadata.blocks() * BLOCK;
            }
            Ok(())
        })?;
        Ok(size)
    }

    fn drop_partials_if(&self, goes: impl Fn(&Path, &Digest) -> bool) -> Result<(), CacheError> {
        self.each_partial(|path, digest| {
            if !goes(path, digest) {
                return Ok(());
            }
            remove_if_there(path)
        })
    }

    /// Visits each file of the downloads under way and cut off.
    fn each_partial(
        &self,
        mut visit: impl FnMut(&Path, &Digest) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let entries = fs::read_dir(&self.ingest).map_err(CacheError::io("list", &self.ingest))?;
        for entry in entries {
            let path = entry.map_err(CacheError::io("list", &self.ingest))?.path();
            if let Some(digest) = staged::digest_of(&path) {
                visit(&path, &digest)?;
            }
        }
        Ok(())
    }

    /// What can be built on of a download of `digest` that was cut off: the blob's size and the bytes that are there.
    pub(crate) fn partial(&self, digest: &Digest) -> Option<(u64, Spans)> {
        let journal = staged::journal_path(&self.ingest, digest);
        journal::read(&journal).filter(|(_, there)| !there.is_empty())
    }

    /// The file for a download of `digest`: a new one, or the one that was cut off, with the bytes that are there.
    pub(crate) fn stage_blob(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<(Staged, Spans), CacheError> {
        if let Some(size) = size
            && let Some((known, there)) = self.partial(digest)
            && known == size
            && let Ok(staged) = Staged::resume(&self.ingest, digest, size)
        {
            return Ok((staged, there));
        }
        Ok((
            Staged::create(&self.ingest, digest, size)?,
            Spans::default(),
        ))
    }

    /// Bytes of the file system that are free for us.
    pub(crate) fn free(&self) -> Result<u64, CacheError> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|error| CacheError::io("measure", &self.root)(error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    /// Puts an index that was built elsewhere into its place, for good once this returns.
    pub(crate) fn publish_index(&self, built: &Path) -> Result<(), CacheError> {
        self.put(built, self.index_path())
    }

    pub(crate) fn names_path(&self) -> PathBuf {
        self.root.join("names.jsonl")
    }

    /// The same for a synced copy of the names.
    pub(crate) fn publish_names(&self, written: &Path) -> Result<(), CacheError> {
        self.put(written, self.names_path())
    }

    fn put(&self, made: &Path, path: PathBuf) -> Result<(), CacheError> {
        fs::rename(made, &path).map_err(CacheError::io("publish", path))?;
        sync_folder(&self.root)
    }

    fn folder(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.to_string())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder(digest.algorithm()).join(digest.hex())
    }

    /// A stored blob's file and size, or `None` where there is none. An unreadable file is an error, not an absence.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<(File, u64)>, CacheError> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CacheError::io("open", path)(error)),
        };
        let size = file.metadata().map_err(CacheError::io("stat", path))?.len();
        Ok(Some((file, size)))
    }

    /// A stored blob's size, without opening it.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>, CacheError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::io("stat", path)(error)),
        }
    }

    /// A new empty file in `ingest/`, gone again when the [`Staged`] is dropped unpublished.
    pub(crate) fn stage(&self, digest: &Digest) -> Result<Staged, CacheError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = self.ingest.join(format!("{}.{serial}.new", digest.hex()));
        Staged::at(path)
    }

    /// Makes a synced staged file visible under its digest, for good once this returns.
    pub(crate) fn publish(&self, staged: &Staged, digest: &Digest) -> Result<(), CacheError> {
        let target = self.path(digest);
        fs::rename(staged.path(), &target).map_err(CacheError::io("publish", &target))?;
        sync_folder(&self.folder(digest.algorithm()))
    }

    /// Takes a blob out of sight. The space is given back by [`Withdrawn::delete`], which may take a while for a large file.
    /// `None` if there was no such file.
    pub(crate) fn withdraw(&self, digest: &Digest) -> Result<Option<Withdrawn>, CacheError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = self.path(digest);
        let aside = self
            .ingest
            .join(format!("{}.{serial}.evicted", digest.hex()));
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(Some(Withdrawn(aside))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::io("evict", path)(error)),
        }
    }

    /// Every stored blob, in no order. Files whose names are no digests are passed over, and those that go meanwhile.
    pub(crate) fn walk(
        &self,
    ) -> Result<impl Iterator<Item = Result<(Digest, fs::Metadata), CacheError>>, CacheError> {
        let mut folders = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = self.folder(algorithm);
            let entries = fs::read_dir(&folder).map_err(CacheError::io("list", &folder))?;
            folders.push((algorithm, folder, entries));
        }
        Ok(folders
            .into_iter()
            .flat_map(|(algorithm, folder, entries)| {
                entries.filter_map(move |entry| {
                    let entry = match entry {
                        Ok(entry) => entry,
                        Err(error) => return Some(Err(CacheError::io("list", &folder)(error))),
                    };
                    let digest = format!("{algorithm}:{}", entry.file_name().to_str()?)
                        .parse()
                        .ok()?;
                    match entry.metadata() {
                        Ok(metadata) => Some(Ok((digest, metadata))),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                        Err(error) => Some(Err(CacheError::io("stat", entry.path())(error))),
                    }
                })
            }))
    }
}

fn sync_folder(folder: &Path) -> Result<(), CacheError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(CacheError::io("sync", folder))
}

/// Deletes a file; one that has gone already is no trouble.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CacheError::io("delete", path)(error))
        }
        _ => Ok(()),
    }
}

fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < PARTIAL_KEPT_FOR))
}

/// A blob out of sight whose space is still taken.
#[must_use = "the space is only given back by `delete`"]
#[derive(Debug)]
pub(crate) struct Withdrawn(PathBuf);

impl Withdrawn {
    pub(crate) fn delete(self) -> Result<(), CacheError> {
        fs::remove_file(&self.0).map_err(CacheError::io("delete", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_while_the_folder_is_read_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let paths: Vec<PathBuf> = (0..3_u8)
            .map(|number| disk.path(&Digest::of(Algorithm::Sha256, &[number])))
            .collect();
        for path in &paths {
            fs::write(path, "").unwrap();
        }
        let mut walk = disk.walk().unwrap();
        walk.next().unwrap().unwrap();
        // The names that follow have been read with the first.
        for path in &paths {
            fs::remove_file(path).unwrap();
        }
        assert_eq!(walk.map(Result::unwrap).count(), 0);
    }
}
