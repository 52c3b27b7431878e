//! Putting back into a new index what the copy of the names knows of the stored manifests.

use std::{error::Error, io};

use manifest_model::Digest;
use redb::{Durability, ReadableTable, WriteTransaction};
use tracing::{info, warn};

use super::{BLOBS, DigestKey, Index, LINKS, MEDIA_TYPES, Outcome, TAGS, link_key, tag_key};
use crate::{
    RepoKey,
    disk::Disk,
    error::CacheError,
    names::{self, Line},
    sniff,
};

/// Lines per transaction, and between two lines of progress.
const BATCH: usize = 10_000;

/// What a line says, and what the manifest it names links.
struct Known {
    line: Line,
    linked: Vec<Digest>,
}

/// Puts back the links and tags of what is stored. Without a copy that can be read there are none, and the cache is as good as
/// the files.
pub(super) fn restore(index: &Index, disk: &Disk) -> Result<(), CacheError> {
    let path = disk.names_path();
    let lines = match names::lines(&path) {
        Ok(Some(lines)) => lines,
        Ok(None) => {
            warn!(path = %path.display(), "the copy of links and tags is damaged and is not used");
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            warn!(path = %path.display(), error = &error as &dyn Error, "links and tags cannot be restored");
            return Ok(());
        }
    };
    let (mut restored, mut batch) = (0, Vec::new());
    for line in lines {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                warn!(path = %path.display(), error = &error as &dyn Error, "no more links and tags can be restored");
                break;
            }
        };
        let linked = linked_by(disk, &line)?;
        batch.push(Known { line, linked });
        if batch.len() == BATCH {
            restored += index.put_back(&batch)?;
            batch.clear();
            info!(names = restored, "restoring links and tags");
        }
    }
    restored += index.put_back(&batch)?;
    info!(
        names = restored,
        "links and tags were restored from their copy"
    );
    Ok(())
}

/// What a stored manifest links. One that is damaged, or is not there, links nothing.
fn linked_by(disk: &Disk, line: &Line) -> Result<Vec<Digest>, CacheError> {
    let Line::Manifest { digest, .. } = line else {
        return Ok(Vec::new());
    };
    let Some((file, size)) = disk.find(digest)? else {
        return Ok(Vec::new());
    };
    let manifest = sniff::manifest(file, size, digest.algorithm());
    let whole = manifest.filter(|manifest| manifest.digest() == *digest);
    Ok(whole.map_or(Vec::new(), |manifest| {
        manifest.links().map(|link| link.digest).collect()
    }))
}

impl Index {
    /// The answer is how many of the lines are about something stored.
    fn put_back(&self, batch: &[Known]) -> Outcome<u64> {
        let mut restored = 0;
        self.write(Durability::Immediate, |transaction| {
            for known in batch {
                restored += u64::from(put_back_one(transaction, known)?);
            }
            Ok(())
        })?;
        Ok(restored)
    }
}

/// Whether the line is about something stored, in words this version knows.
fn put_back_one(transaction: &WriteTransaction, known: &Known) -> Outcome<bool> {
    let (repository, digest) = match &known.line {
        Line::Manifest {
            repository, digest, ..
        }
        | Line::Tag {
            repository, digest, ..
        } => (repository, digest),
        Line::End(_) => return Ok(false),
    };
    let Ok(repo) = repository.parse::<RepoKey>() else {
        return Ok(false);
    };
    let key = DigestKey::of(digest);
    let is_stored = transaction
        .open_table(BLOBS)?
        .get(key.as_slice())?
        .is_some();
    if !is_stored {
        return Ok(false);
    }
    match &known.line {
        Line::Manifest { media_type, .. } => {
            let mut links = transaction.open_table(LINKS)?;
            for digest in known.linked.iter().chain([digest]) {
                links.insert(link_key(&repo, digest).as_slice(), ())?;
            }
            if let Some(media_type) = media_type {
                let mut media_types = transaction.open_table(MEDIA_TYPES)?;
                media_types.insert(key.as_slice(), media_type.as_str())?;
            }
        }
        Line::Tag { tag, confirmed, .. } => {
            let Ok(tag) = tag.parse() else {
                return Ok(false);
            };
            let mut tags = transaction.open_table(TAGS)?;
            tags.insert(tag_key(&repo, &tag).as_str(), (key.as_slice(), *confirmed))?;
        }
        Line::End(_) => {}
    }
    Ok(true)
}
