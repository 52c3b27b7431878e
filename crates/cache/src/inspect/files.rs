//! The files under `blobs/`, by name and size. None is opened.

use std::{
    ffi::OsStr,
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use cache_store::CacheError;
use manifest_model::{Algorithm, Digest};

use super::Directory;

/// A blob's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The digest that its name gives.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// Everything under `blobs/`.
#[derive(Debug, Default)]
pub struct Listing {
    /// The blobs, unordered.
    pub files: Vec<StoredFile>,
    /// Entries that no version of Archway has created: names that are no digests, folders, links.
    pub foreign: Vec<PathBuf>,
}

impl Directory {
    /// Lists the files. Skips those that disappear meanwhile.
    pub fn list(&self) -> Result<Listing, CacheError> {
        let mut listing = Listing::default();
        for entry in entries(&self.root.join("blobs"))? {
            let name = entry.file_name();
            let algorithm = name.to_str().and_then(|name| name.parse().ok());
            match algorithm {
                Some(algorithm) if entry.path().is_dir() => {
                    list_folder(&entry.path(), algorithm, &mut listing)?;
                }
                _ => listing.foreign.push(entry.path()),
            }
        }
        Ok(listing)
    }
}

fn list_folder(
    folder: &Path,
    algorithm: Algorithm,
    listing: &mut Listing,
) -> Result<(), CacheError> {
    for entry in entries(folder)? {
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(CacheError::io("stat", entry.path())(error)),
        };
        match digest(algorithm, &entry.file_name()) {
            Some(digest) if metadata.is_file() => listing.files.push(StoredFile {
                digest,
                size: metadata.len(),
                modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            }),
            _ => listing.foreign.push(entry.path()),
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, CacheError> {
    let entries = fs::read_dir(folder).map_err(CacheError::io("list", folder))?;
    let entries: Result<_, _> = entries.collect();
    entries.map_err(CacheError::io("list", folder))
}

fn digest(algorithm: Algorithm, name: &OsStr) -> Option<Digest> {
    format!("{algorithm}:{}", name.to_str()?).parse().ok()
}
