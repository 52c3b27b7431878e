//! Building the index from the files.
//!
//! Sizes and last uses (the files' times) come back. No blob's file names its repository: links,
//! tags and the media types that upstreams gave come from the `snapshot`.

use std::{error::Error, fs::Metadata, sync::Arc, time::SystemTime};

use manifest_model::{Digest, Manifest};
use redb::{Durability, WriteTransaction};
use tracing::{info, warn};

use super::{
    attached, eviction_order,
    keys::{to_ms, two_digests},
    media_types::{self, MediaTypes},
    rows::{self, BlobRows, Class},
    snapshot,
    store::{Outcome, Store},
    tables,
};
use crate::{
    disk::{Disk, delete_if_present},
    error::CacheError,
    manifest_file::{self, ManifestFile},
};

/// How many files one transaction adds, and how many are between two lines of progress.
const BATCH_SIZE: usize = 20_000;

/// How many files one transaction adds to an index in use. Other writers wait for it.
const SHARED_BATCH_SIZE: usize = 1000;

/// A stored file, as the index will know it.
struct FoundFile {
    digest: Digest,
    size: u64,
    used: SystemTime,
    manifest: Option<Manifest>,
}

/// Builds the index beside its place and moves it there once it is whole: an interrupted one would
/// be taken for all there is.
pub(super) fn rebuild(disk: &Disk) -> Result<Arc<Store>, CacheError> {
    let path = disk.index_path();
    let new = path.with_extension("new");
    delete_if_present(&new)?;
    let (store, _) =
        tables::open(&new).map_err(|error| CacheError::index_unavailable(new.clone(), error))?;
    fill(&store, disk)?;
    snapshot::restore(&store, disk)?;
    drop(store);
    disk.publish_index(&new)?;
    let (store, _) =
        tables::open(&path).map_err(|error| CacheError::index_unavailable(path, error))?;
    Ok(store)
}

fn fill(store: &Store, disk: &Disk) -> Result<(), CacheError> {
    let mut batch = Vec::new();
    let mut done = 0;
    for file in disk.walk()? {
        let (digest, metadata) = file?;
        batch.extend(look_at(disk, digest, &metadata));
        if batch.len() == BATCH_SIZE {
            done += batch.len();
            insert(store, &batch)?;
            batch.clear();
            info!(files = done, "building the cache index");
        }
    }
    done += batch.len();
    insert(store, &batch)?;
    if done > 0 {
        info!(files = done, "built the cache index from the files");
    }
    Ok(())
}

fn insert(store: &Store, batch: &[FoundFile]) -> Outcome<()> {
    store.write(Durability::Immediate, |transaction| {
        for found in batch {
            insert_one(transaction, found)?;
        }
        Ok(())
    })
}

fn insert_one(transaction: &WriteTransaction, found: &FoundFile) -> Outcome<()> {
    let class = if found.manifest.is_some() {
        eviction_order::manifest_class(found.size)
    } else {
        Class::Blob
    };
    let used = to_ms(found.used);
    rows::record(transaction, &found.digest, found.size, class, used)?;
    if let Some(manifest) = &found.manifest {
        media_types::record(transaction, manifest)?;
        attached::record_subject(transaction, manifest)?;
    }
    Ok(())
}

/// Adds the subjects of all stored manifests to an index of a version that did not know subjects.
pub(super) fn add_subjects(
    store: &Store,
    media_types: &MediaTypes,
    disk: &Disk,
) -> Result<(), CacheError> {
    let (mut last, mut keys) = (None, Vec::new());
    loop {
        let page = media_types.page(last.as_ref(), SHARED_BATCH_SIZE)?;
        let Some((reached, _)) = page.last() else {
            break;
        };
        last = Some(*reached);
        for (digest, media_type) in &page {
            let Ok(media_type) = media_type.parse();
            // One that cannot be read now costs a question to the upstream.
            if let Ok(ManifestFile::Whole(manifest)) =
                manifest_file::read(disk, digest, &media_type)
                && let Some(subject) = manifest.subject()
            {
                keys.push(two_digests(&subject.digest, digest));
            }
        }
    }
    info!(
        subjects = keys.len(),
        "adding subjects to the cache index of an earlier version"
    );
    // In one step: half of them would pass for all.
    Ok(store.write(Durability::Immediate, |transaction| {
        let mut table = transaction.open_table(attached::SUBJECTS)?;
        for key in &keys {
            table.insert(key.as_slice(), ())?;
        }
        Ok(())
    })?)
}

/// Adds the files without a row to an index in use, as long as `goes_on`, asked before each file.
/// Returns their number. Others may use index and directory meanwhile.
pub(super) fn adopt(
    store: &Store,
    rows: &BlobRows,
    disk: &Disk,
    goes_on: impl Fn() -> bool,
) -> Result<u64, CacheError> {
    let (mut adopted, mut batch) = (0, Vec::new());
    for file in disk.walk()?.take_while(|_| goes_on()) {
        let (digest, metadata) = file?;
        if rows.size(&digest)?.is_some() {
            continue;
        }
        batch.extend(look_at(disk, digest, &metadata));
        if batch.len() == SHARED_BATCH_SIZE {
            adopted += adopt_batch(store, disk, &batch)?;
            batch.clear();
        }
    }
    Ok(adopted + adopt_batch(store, disk, &batch)?)
}

fn adopt_batch(store: &Store, disk: &Disk, batch: &[FoundFile]) -> Result<u64, CacheError> {
    if batch.is_empty() {
        return Ok(0);
    }
    let mut adopted = 0;
    store.write(Durability::Immediate, |transaction| {
        for found in batch {
            let is_known = rows::find(transaction, &found.digest)?.is_some();
            // A row outlives its file: a file with neither was evicted since the walk saw it.
            if !is_known && matches!(disk.find(&found.digest), Ok(Some(_))) {
                insert_one(transaction, found)?;
                adopted += 1;
            }
        }
        Ok(())
    })?;
    Ok(adopted)
}

/// `None` for a file that is gone meanwhile or cannot be opened: the others are not affected.
fn look_at(disk: &Disk, digest: Digest, metadata: &Metadata) -> Option<FoundFile> {
    let size = metadata.len();
    let file = disk.find(&digest).unwrap_or_else(|error| {
        warn!(
            error = &error as &dyn Error,
            "leaving a blob out of the cache index until it can be opened"
        );
        None
    });
    let file = file?.file;
    Some(FoundFile {
        digest,
        size,
        used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        manifest: manifest_file::recognize(file, size, digest.algorithm()),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use manifest_model::Algorithm;
    use tempfile::TempDir;

    use super::*;
    use crate::index::Index;

    fn put(folder: &TempDir, bytes: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        let path = folder.path().join("blobs/sha256").join(digest.hex());
        fs::write(path, bytes).unwrap();
        digest
    }

    #[test]
    fn an_index_whose_building_was_interrupted_is_built_again() {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let blob = put(&folder, b"a blob");
        let other = folder.path().join("blobs/sha512");
        fs::remove_dir(&other).unwrap();
        assert!(Index::open(&disk).is_err(), "it cannot list all files");
        fs::create_dir(&other).unwrap();
        let (index, _) = Index::open(&disk).unwrap();
        assert_eq!(index.rows.size(&blob).unwrap(), Some(6));
        assert!(!folder.path().join("index.new").exists());
    }

    #[test]
    fn subjects_come_from_the_files_of_a_lost_index_and_of_an_earlier_version() {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let subject = Digest::of(Algorithm::Sha256, b"an image");
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let named = format!(r#"{{"mediaType":"{media_type}","digest":"{subject}","size":8}}"#);
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{named},"layers":[],"subject":{named}}}"#
        );
        let referrer = put(&folder, text.as_bytes());
        let referrers = || {
            let (index, _) = Index::open(&disk).unwrap();
            index.attached.referrers(&subject, |_| true).unwrap()
        };
        assert_eq!(referrers(), [referrer], "the index was lost");
        let without = || {
            let database = redb::Database::create(disk.index_path()).unwrap();
            let transaction = database.begin_write().unwrap();
            assert!(transaction.delete_table(attached::SUBJECTS).unwrap());
            transaction.commit().unwrap();
        };
        without();
        assert_eq!(referrers(), [referrer], "the version was older");
        without();
        assert!(Index::open_as_it_is(&disk.index_path()).unwrap().is_some());
        assert_eq!(referrers(), [referrer], "and its index was looked at first");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_left_out_alone() {
        let folder = TempDir::new().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let blob = put(&folder, b"a blob");
        // Nobody can open a link to itself.
        let shut = Digest::of(Algorithm::Sha256, b"shut");
        let path = folder.path().join("blobs/sha256").join(shut.hex());
        symlink(&path, &path).unwrap();
        let (index, _) = Index::open(&disk).unwrap();
        assert_eq!(index.rows.size(&blob).unwrap(), Some(6));
        assert_eq!(index.rows.size(&shut).unwrap(), None);
        assert_eq!(index.adopt(&disk, || true).unwrap(), 0);
        fs::remove_file(&path).unwrap();
        put(&folder, b"shut");
        assert_eq!(index.adopt(&disk, || true).unwrap(), 1);
    }
}
