//! Building the index from the files.
//!
//! Sizes, last uses (the files' times) and the media types of manifests come back. Links and tags do not: no file says which
//! repository it came from. They return as clients ask, at the price of one upstream request each; the bytes stay.

use std::{fs::Metadata, time::SystemTime};

use manifest_model::{Digest, Manifest};
use redb::{Durability, ReadableTable, WriteTransaction};
use tracing::info;

use super::{BLOBS, Class, DigestKey, Index, MEDIA_TYPES, Outcome, record, to_ms};
use crate::{disk::Disk, error::CacheError, sniff};

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

pub(super) fn rebuild(index: Index, disk: &Disk) -> Result<Index, CacheError> {
    let mut batch = Vec::new();
    let mut done = 0;
    for file in disk.walk()? {
        let (digest, metadata) = file?;
        batch.push(found(disk, digest, &metadata)?);
        if batch.len() == BATCH {
            done += batch.len();
            insert(&index, &batch)?;
            batch.clear();
            info!(files = done, "building the cache index");
        }
    }
    done += batch.len();
    insert(&index, &batch)?;
    if done > 0 {
        info!(files = done, "the cache index was built from the files");
    }
    Ok(index)
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
    /// Adds the files that have no row, or as many as are seen before `is_stopped`. The answer is their number. Others may use the
    /// index and the directory meanwhile.
    pub(crate) fn adopt(
        &self,
        disk: &Disk,
        is_stopped: impl Fn() -> bool,
    ) -> Result<u64, CacheError> {
        let (mut adopted, mut batch) = (0, Vec::new());
        for file in disk.walk()?.take_while(|_| !is_stopped()) {
            let (digest, metadata) = file?;
            if self.size(&digest)?.is_some() {
                continue;
            }
            batch.push(found(disk, digest, &metadata)?);
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

fn found(disk: &Disk, digest: Digest, metadata: &Metadata) -> Result<Found, CacheError> {
    let size = metadata.len();
    let manifest = match disk.find(&digest)? {
        Some((file, _)) => sniff::manifest(file, size, digest.algorithm()),
        None => None,
    };
    Ok(Found {
        digest,
        size,
        used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        manifest,
    })
}
