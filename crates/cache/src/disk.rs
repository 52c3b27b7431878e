//! The directory: where a digest's file stands, how a file comes to stand there, and how it goes.
//!
//! ```text
//! lock                 held while a process owns the directory
//! index.redb           see `index`
//! blobs/sha256/<hex>   whole and verified; never changed in place
//! ingest/              downloads under way and files about to be deleted; emptied at start
//! ```

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use manifest_model::{Algorithm, Digest};

use crate::error::CacheError;

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
    /// Takes the directory, making it if need be, and empties `ingest/`.
    pub(crate) fn open(root: &Path) -> Result<Self, CacheError> {
        for folder in [
            root.to_path_buf(),
            root.join("blobs/sha256"),
            root.join("blobs/sha512"),
        ] {
            fs::create_dir_all(&folder).map_err(CacheError::io("create", &folder))?;
        }
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path).map_err(CacheError::io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::Locked { path: root.into() }),
            Err(TryLockError::Error(source)) => {
                return Err(CacheError::io("lock", lock_path)(source));
            }
        }
        let ingest = root.join("ingest");
        match fs::remove_dir_all(&ingest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CacheError::io("empty", ingest)(error));
            }
            _ => {}
        }
        fs::create_dir(&ingest).map_err(CacheError::io("create", &ingest))?;
        Ok(Self {
            root: root.into(),
            ingest,
            serial: AtomicU64::new(0),
            _lock: lock,
        })
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join("index.redb")
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

    /// A new empty file in `ingest/`, gone again when the [`Staged`] is dropped unpublished.
    pub(crate) fn stage(&self, digest: &Digest) -> Result<Staged, CacheError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = self.ingest.join(format!("{}.{serial}.part", digest.hex()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(CacheError::io("create", &path))?;
        Ok(Staged { path, file })
    }

    /// Makes a synced staged file visible under its digest, for good once this returns.
    pub(crate) fn publish(&self, staged: &Staged, digest: &Digest) -> Result<(), CacheError> {
        let target = self.path(digest);
        fs::rename(&staged.path, &target).map_err(CacheError::io("publish", &target))?;
        let folder = self.folder(digest.algorithm());
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(CacheError::io("sync", folder))
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

    /// Every stored blob, in no order. Files whose names are no digests are passed over.
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
                    Some(
                        entry
                            .metadata()
                            .map(|metadata| (digest, metadata))
                            .map_err(CacheError::io("stat", entry.path())),
                    )
                })
            }))
    }
}

/// A file in `ingest/` that nobody sees yet.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    file: File,
}

impl Staged {
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn sync(&self) -> Result<(), CacheError> {
        self.file
            .sync_all()
            .map_err(CacheError::io("sync", &self.path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Published files have moved on and are not found; what else fails here is swept at the next start.
        let _ = fs::remove_file(&self.path);
    }
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
