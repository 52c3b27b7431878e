//! Building the index from the files.
//!
//! Sizes and last uses (the files' times) come back. No blob's file says which repository it came from: links, tags and what
//! upstreams called the manifests come from their copy (`names`).

use std::{error::Error, fs::Metadata, time::SystemTime};

use manifest_model::{Digest, Manifest};
use redb::{Durability, ReadableTable, WriteTransaction};
use tracing::{info, warn};

use super::{
    BLOBS, Class, DigestKey, Index, MEDIA_TYPES, Outcome, open_store, record, restore::restore,
    shut, to_ms,
};
use crate::{
    disk::{Disk, remove_if_there},
    error::CacheError,
    sniff,
};

/// Rows per transaction, and between two lines of progress.
const BATCH: usize = 20_000;

/// Files added to a running index by one transaction: others wait for it.
const SMALL_BATCH: usize = 1000;

struct Found {
    digest: Digest,
    size: u64,
    used: SystemTime,
    manifest: Option<Manifest>,
}

/// Builds the index beside its place and moves it there when it is whole: one that was cut off would be taken for all there is.
pub(super) fn rebuild(disk: &Disk) -> Result<Index, CacheError> {
    let path = disk.index_path();
    let new = path.with_extension("new");
    remove_if_there(&new)?;
    let store = open_store(&new).map_err(|error| shut(new.clone(), error))?;
    let index = Index::new(store);
    fill(&index, disk)?;
    restore(&index, disk)?;
    drop(index);
    disk.publish_index(&new)?;
    let store = open_store(&path).map_err(|error| shut(path, error))?;
    Ok(Index::new(store))
}

fn fill(index: &Index, disk: &Disk) -> Result<(), CacheError> {
    let mut batch = Vec::new();
    let mut done = 0;
    for file in disk.walk()? {
        let (digest, metadata) = file?;
        batch.extend(found(disk, digest, &metadata));
        if batch.len() == BATCH {
            done += batch.len();
            insert(index, &batch)?;
            batch.clear();
            info!(files = done, "building the cache index");
        }
    }
    done += batch.len();
    insert(index, &batch)?;
    if done > 0 {
        info!(files = done, "the cache index was built from the files");
    }
    Ok(())
}

fn insert(index: &Index, batch: &[Found]) -> Outcome<()> {
    index.write(Durability::Immediate, |transaction| {
        for found in batch {
            insert_one(transaction, found)?;
        }
        Ok(())
    })
}

fn insert_one(transaction: &WriteTransaction, found: &Found) -> Outcome<()> {
    let class = if found.manifest.is_some() {
        Class::Manifest
    } else {
        Class::Blob
    };
    record(
        transaction,
        &found.digest,
        found.size,
        class,
        to_ms(found.used),
    )?;
    if let Some(manifest) = &found.manifest {
        let mut media_types = transaction.open_table(MEDIA_TYPES)?;
        media_types.insert(
            DigestKey::of(&found.digest).as_slice(),
            manifest.media_type().as_str(),
        )?;
    }
    Ok(())
}

impl Index {
    /// Adds the files that have no row, or as many as are seen while it `goes_on`, asked before each. The answer is their number.
    /// Others may use the index and the directory meanwhile.
    pub(crate) fn adopt(&self, disk: &Disk, goes_on: impl Fn() -> bool) -> Result<u64, CacheError> {
        let (mut adopted, mut batch) = (0, Vec::new());
        for file in disk.walk()?.take_while(|_| goes_on()) {
            let (digest, metadata) = file?;
            if self.size(&digest)?.is_some() {
                continue;
            }
            batch.extend(found(disk, digest, &metadata));
            if batch.len() == SMALL_BATCH {
                adopted += self.adopt_some(disk, &batch)?;
                batch.clear();
            }
        }
        Ok(adopted + self.adopt_some(disk, &batch)?)
    }

    fn adopt_some(&self, disk: &Disk, batch: &[Found]) -> Result<u64, CacheError> {
        if batch.is_empty() {
            return Ok(0);
        }
        let mut adopted = 0;
        self.write(Durability::Immediate, |transaction| {
            for found in batch {
                let key = DigestKey::of(&found.digest);
                let known = transaction
                    .open_table(BLOBS)?
                    .get(key.as_slice())?
                    .is_some();
                // Rows outlive their files, so one that has neither was evicted since the directory was read.
                if !known && matches!(disk.find(&found.digest), Ok(Some(_))) {
                    insert_one(transaction, found)?;
                    adopted += 1;
                }
            }
            Ok(())
        })?;
        Ok(adopted)
    }
}

/// What a file is; none where it has gone meanwhile, or cannot be opened: that says nothing of the others.
fn found(disk: &Disk, digest: Digest, metadata: &Metadata) -> Option<Found> {
    let size = metadata.len();
    let file = disk.find(&digest).unwrap_or_else(|error| {
        warn!(
            error = &error as &dyn Error,
            "a blob is left out of the cache index until it can be opened"
        );
        None
    });
    let (file, _) = file?;
    Some(Found {
        digest,
        size,
        used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        manifest: sniff::manifest(file, size, digest.algorithm()),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use manifest_model::Algorithm;
    use tempfile::TempDir;

    use super::*;

    fn put(folder: &TempDir, bytes: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        let path = folder.path().join("blobs/sha256").join(digest.hex());
        fs::write(path, bytes).unwrap();
        digest
    }

    #[test]
    fn an_index_whose_building_was_cut_off_is_built_again() {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let blob = put(&folder, b"a blob");
        let other = folder.path().join("blobs/sha512");
        fs::remove_dir(&other).unwrap();
        assert!(Index::open(&disk).is_err(), "it cannot list all files");
        fs::create_dir(&other).unwrap();
        let (index, _) = Index::open(&disk).unwrap();
        assert_eq!(index.size(&blob).unwrap(), Some(6));
        assert!(!folder.path().join("index.new").exists());
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_left_out_alone() {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let blob = put(&folder, b"a blob");
        // A link to itself cannot be opened, whoever tries.
        let shut = Digest::of(Algorithm::Sha256, b"shut");
        let path = folder.path().join("blobs/sha256").join(shut.hex());
        symlink(&path, &path).unwrap();
        let (index, _) = Index::open(&disk).unwrap();
        assert_eq!(index.size(&blob).unwrap(), Some(6));
        assert_eq!(index.size(&shut).unwrap(), None);
        assert_eq!(index.adopt(&disk, || true).unwrap(), 0);
        fs::remove_file(&path).unwrap();
        put(&folder, b"shut");
        assert_eq!(index.adopt(&disk, || true).unwrap(), 1);
    }
}
