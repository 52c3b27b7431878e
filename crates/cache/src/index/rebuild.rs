//! Building the index from the files.
//!
//! Sizes, last uses (the files' times) and the media types of manifests come back. Links and tags do not: no file says which
//! repository it came from. They return as clients ask, at the price of one upstream request each; the bytes stay.

use std::{io::Read, time::SystemTime};

use manifest_model::{Digest, Manifest};
use redb::Durability;
use tracing::info;

use super::{Class, DigestKey, Index, MEDIA_TYPES, Outcome, record, to_ms};
use crate::{disk::Disk, error::CacheError};

/// Rows per transaction, and between two lines of progress.
const BATCH: usize = 20_000;

/// Files above this are no manifests (distribution-spec: registries may refuse manifests over 4 MiB).
const LARGEST_MANIFEST: u64 = 4 * 1024 * 1024;

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
        let size = metadata.len();
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        batch.push(Found {
            digest,
            size,
            used,
            manifest: manifest(disk, &digest, size)?,
        });
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
        }
        Ok(())
    })
}

/// The file as a manifest, if it is one: an image's config is JSON too, but has neither layers nor manifests of its own.
fn manifest(disk: &Disk, digest: &Digest, size: u64) -> Result<Option<Manifest>, CacheError> {
    if size > LARGEST_MANIFEST {
        return Ok(None);
    }
    let Some((mut file, _)) = disk.find(digest)? else {
        return Ok(None);
    };
    let mut bytes = vec![0; 1];
    if file.read_exact(&mut bytes).is_err() || !(bytes[0] == b'{' || bytes[0].is_ascii_whitespace())
    {
        return Ok(None);
    }
    if file.read_to_end(&mut bytes).is_err() {
        return Ok(None);
    }
    let parsed = Manifest::parse(bytes.into(), None, digest.algorithm());
    Ok(parsed
        .ok()
        .filter(|manifest| manifest.links().next().is_some()))
}
