//! The cache directory: where files are, and how they enter and leave it. `home` says whose it
//! may be; `private` makes every file and folder.
//!
//! ```text
//! lock                 held while a process owns the directory; shared by readers of the index
//! index.redb           see `index`
//! index.new            the index while it is built from the files
//! names.jsonl          see `index::snapshot`; names.new while it is written
//! wishes.json          of the wish list (`wishes`), which knows its place alone; wishes.new while it
//!                      is written, wishes.damaged.json if it could not be read
//! blobs/sha256/<hex>   whole and verified; never changed in place
//! ingest/              files on their way in or out; a start deletes all it cannot resume
//!   sha256-<hex>.part      a running or interrupted download
//!   sha256-<hex>.journal   which of its bytes are written
//! ```

mod carried;
pub mod home;
mod ingest;
mod journal;
pub mod lock;
pub mod private;
mod staged;

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use manifest_model::{Algorithm, Digest};

#[cfg(fuzzing)]
pub(crate) use self::journal::fuzz_journal;
use self::{carried::Carried, ingest::Ingest};
pub use self::{
    carried::{BlobProof, CarriedBlob},
    journal::{Journal, JournalRecord},
    staged::{Blocks, Staged, delete_if_present},
};
use crate::error::CacheError;

/// A stored blob.
#[derive(Debug)]
pub struct FoundBlob {
    /// The file it is in.
    pub file: File,
    /// Where it begins in the file: at 0 in one of its own.
    pub start: u64,
    /// Its size.
    pub size: u64,
    /// What its bytes are still to be proved by: of a file of its own they were, when it came.
    pub proof: Option<BlobProof>,
}

/// The cache directory, owned by this process alone.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    /// Files on their way in or out.
    pub ingest: Ingest,
    carried: Carried,
    damaged: AtomicU64,
    /// The system releases it when the process ends, however it ends.
    _lock: File,
}

impl Disk {
    /// Takes the configured directory, creates it if need be, and deletes from `ingest/` all files
    /// that no download can resume from. A directory of another user is refused.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        Self::take(&home::home(root)?)
    }

    /// The same for a command: root may run it on the directory of any user.
    pub fn open_existing(root: &Path) -> Result<Self, CacheError> {
        if private::is_root() {
            Self::take(root)
        } else {
            Self::open(root)
        }
    }

    fn take(root: &Path) -> Result<Self, CacheError> {
        let ingest = root.join("ingest");
        for folder in ["blobs", "blobs/sha256", "blobs/sha512", "ingest"] {
            private::folder(&root.join(folder))?;
        }
        let lock = lock::own(root)?;
        Ok(Self {
            root: root.into(),
            ingest: Ingest::open(ingest)?,
            carried: Carried::default(),
            damaged: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The directory itself, for files of other parts that live as long as the cache.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Notes that a file has proved damaged.
    pub fn note_damage(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// How many files have proved damaged since the directory was opened.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Bytes of the file system that are free for this process.
    pub fn free(&self) -> Result<u64, CacheError> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|error| CacheError::io("measure", &self.root)(error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    /// Moves an index that was built elsewhere to its place. Durable when this returns.
    pub(crate) fn publish_index(&self, built: &Path) -> Result<(), CacheError> {
        self.put(built, self.index_path())
    }

    /// The index's snapshot. The file keeps the name that earlier versions gave it.
    pub fn snapshot_path(&self) -> PathBuf {
        self.root.join("names.jsonl")
    }

    /// Moves a synced snapshot to its place. Durable when this returns.
    pub(crate) fn publish_snapshot(&self, written: &Path) -> Result<(), CacheError> {
        self.put(written, self.snapshot_path())
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

    /// A stored blob, `None` if it is not stored. An unreadable file is an error, not an absence.
    pub fn find(&self, digest: &Digest) -> Result<Option<FoundBlob>, CacheError> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.find_carried(digest);
            }
            Err(error) => return Err(CacheError::io("open", path)(error)),
        };
        let size = file.metadata().map_err(CacheError::io("stat", path))?.len();
        Ok(Some(FoundBlob {
            file,
            start: 0,
            size,
            proof: None,
        }))
    }

    fn find_carried(&self, digest: &Digest) -> Result<Option<FoundBlob>, CacheError> {
        let Some(proof) = self.carried.find(digest) else {
            return Ok(None);
        };
        let CarriedBlob { file, start, size } = proof.blob();
        let file = file.try_clone();
        let file = file.map_err(CacheError::io("open again", self.path(digest)))?;
        Ok(Some(FoundBlob {
            file,
            start: *start,
            size: *size,
            proof: Some(proof).filter(|proof| !proof.is_known()),
        }))
    }

    /// Adds blobs that lie in files of others, where they are read from. A blob with a file of its own
    /// here is read from that.
    pub fn carry(&self, blobs: impl Iterator<Item = (Digest, CarriedBlob)>) {
        self.carried.add(blobs);
    }

    /// Deletes all blobs and the index, as for a new directory.
    pub fn clear(&self) -> Result<(), CacheError> {
        for file in [self.index_path(), self.snapshot_path()] {
            delete_if_present(&file)?;
        }
        let blobs = self.walk()?.collect::<Result<Vec<_>, _>>()?;
        blobs
            .iter()
            .try_for_each(|(digest, _)| delete_if_present(&self.path(digest)))
    }

    /// A stored blob's size, without opening it.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, CacheError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let carried = self.carried.find(digest);
                Ok(carried.map(|proof| proof.blob().size))
            }
            Err(error) => Err(CacheError::io("stat", path)(error)),
        }
    }

    /// The content of a stored blob of at most `max_size` bytes, by the file's own size.
    pub fn read_whole(&self, digest: &Digest, max_size: u64) -> Result<Option<Bytes>, CacheError> {
        let found = self.find(digest)?;
        let Some(found) = found.filter(|found| found.size <= max_size) else {
            return Ok(None);
        };
        let mut bytes = vec![0; usize::try_from(found.size).unwrap_or(0)];
        found
            .file
            .read_exact_at(&mut bytes, found.start)
            .map_err(CacheError::io("read", self.path(digest)))?;
        Ok(Some(bytes.into()))
    }

    /// Makes a synced staged file visible under its digest. Durable when this returns.
    pub fn publish(&self, staged: &Staged, digest: &Digest) -> Result<(), CacheError> {
        self.name(staged, digest)?;
        sync_folder(&self.folder(digest.algorithm()))
    }

    /// The same for many. An error leaves some of them visible, each of them whole.
    pub fn publish_all<'a>(
        &self,
        staged: impl Iterator<Item = (&'a Staged, &'a Digest)>,
    ) -> Result<(), CacheError> {
        let mut folders = HashSet::new();
        for (staged, digest) in staged {
            self.name(staged, digest)?;
            folders.insert(digest.algorithm());
        }
        folders
            .into_iter()
            .try_for_each(|algorithm| sync_folder(&self.folder(algorithm)))
    }

    fn name(&self, staged: &Staged, digest: &Digest) -> Result<(), CacheError> {
        let target = self.path(digest);
        fs::rename(staged.path(), &target).map_err(CacheError::io("publish", target))
    }

    /// Everything that was written to the directory's file system is durable when this returns: for
    /// many new files one call is far cheaper than one for each.
    pub fn sync_file_system(&self) -> Result<(), CacheError> {
        File::open(&self.root)
            .and_then(|root| Ok(rustix::fs::syncfs(root)?))
            .map_err(CacheError::io("sync", &self.root))
    }

    /// Takes a blob's name away; `None` if there is no such file. Its space stays taken until
    /// [`Unpublished::delete`], which may take a while for a large file.
    pub fn unpublish(&self, digest: &Digest) -> Result<Option<Unpublished>, CacheError> {
        let path = self.path(digest);
        let aside = self.ingest.way_out(digest);
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(Some(Unpublished(aside))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::io("remove", path)(error)),
        }
    }

    /// Every stored blob, unordered. Skips files whose names are no digests and files that
    /// disappear meanwhile.
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

/// A blob without a name whose space is still taken.
#[must_use = "only `delete` frees the space"]
#[derive(Debug)]
pub struct Unpublished(PathBuf);

impl Unpublished {
    /// Frees the space.
    pub fn delete(self) -> Result<(), CacheError> {
        fs::remove_file(&self.0).map_err(CacheError::io("delete", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_while_the_folder_is_read_is_skipped() {
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
        // The other names were read together with the first.
        for path in &paths {
            fs::remove_file(path).unwrap();
        }
        assert_eq!(walk.map(Result::unwrap).count(), 0);
    }
}
