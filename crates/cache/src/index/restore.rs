//! Putting back into a new index what the copy of the names knows of what is stored.

use std::{error::Error, io, path::Path};

use manifest_model::Digest;
use redb::{Durability, ReadableTable, WriteTransaction};
use tracing::{info, warn};

use super::{BLOBS, DigestKey, Index, LINKS, MEDIA_TYPES, Outcome, TAGS, link_key, tag_key};
use crate::{
    RepoKey,
    disk::Disk,
    error::CacheError,
    names::{self, Line},
};

/// Lines per transaction, and between two lines of progress.
const BATCH: usize = 5000;

/// Puts back what is said of what is stored. Without a copy that can be read there is nothing to put back, and the cache is as
/// good as the files.
pub(super) fn restore(index: &Index, disk: &Disk) -> Result<(), CacheError> {
    let Some(lines) = lines_of(&disk.names_path()) else {
        return Ok(());
    };
    let (mut restored, mut batch) = (0, Vec::with_capacity(BATCH));
    for line in lines {
        batch.push(line);
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

fn lines_of(path: &Path) -> Option<impl Iterator<Item = Line> + use<>> {
    match names::lines(path) {
        Ok(Some(lines)) => return Some(lines),
        Ok(None) => {
            warn!(path = %path.display(), "the copy of links and tags is damaged and is not used");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let error = &error as &dyn Error;
            warn!(path = %path.display(), error, "the copy of links and tags cannot be read");
        }
    }
    None
}

impl Index {
    /// The answer is how many links and tags are of something stored.
    fn put_back(&self, batch: &[Line]) -> Outcome<usize> {
        let mut restored = 0;
        self.write(Durability::Immediate, |transaction| {
            for line in batch {
                restored += put_back_one(transaction, line)?;
            }
            Ok(())
        })?;
        Ok(restored)
    }
}

fn put_back_one(transaction: &WriteTransaction, line: &Line) -> Outcome<usize> {
    let blobs = transaction.open_table(BLOBS)?;
    let is_stored = |digest: &Digest| -> Outcome<bool> {
        Ok(blobs.get(DigestKey::of(digest).as_slice())?.is_some())
    };
    let mut restored = 0;
    match line {
        Line::Links {
            repository,
            digests,
        } => {
            let mut links = transaction.open_table(LINKS)?;
            if let Ok(repo) = repository.parse::<RepoKey>() {
                for digest in digests {
                    if is_stored(digest)? {
                        links.insert(link_key(&repo, digest).as_slice(), ())?;
                        restored += 1;
                    }
                }
            }
        }
        Line::Type { digest, media_type } => {
            let mut media_types = transaction.open_table(MEDIA_TYPES)?;
            if is_stored(digest)? {
                media_types.insert(DigestKey::of(digest).as_slice(), media_type.as_str())?;
            }
        }
        Line::Tag {
            repository,
            tag,
            digest,
            confirmed,
        } => {
            let mut tags = transaction.open_table(TAGS)?;
            if let (Ok(repo), Ok(tag)) = (repository.parse(), tag.parse())
                && is_stored(digest)?
            {
                let (name, key) = (tag_key(&repo, &tag), DigestKey::of(digest));
                tags.insert(name.as_str(), (key.as_slice(), *confirmed))?;
                restored += 1;
            }
        }
    }
    Ok(restored)
}
