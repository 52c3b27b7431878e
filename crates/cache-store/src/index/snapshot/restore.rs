//! Restoring links, tags and media types of stored blobs from the snapshot into a new index.

use std::{error::Error, io, path::Path};

use manifest_model::{Digest, Tag};
use redb::{Durability, ReadableTable, WriteTransaction};
use tracing::{info, warn};

use super::file::{self, Line};
use crate::{
    RepoKey,
    disk::Disk,
    error::CacheError,
    index::{
        attached, bundles,
        keys::DigestKey,
        links::{self, CONFIRMED, LINKS},
        media_types, pairs,
        rows::BLOBS,
        store::{Outcome, Store},
        tags,
    },
};

/// How many lines one transaction restores, and how many are between two lines of progress.
const BATCH_SIZE: usize = 5000;

/// Restores the rows of all blobs that are stored. Without a readable snapshot there is nothing to
/// restore, and the cache is as good as its files.
pub(in crate::index) fn restore(store: &Store, disk: &Disk) -> Result<(), CacheError> {
    let Some(lines) = lines_of(&disk.snapshot_path()) else {
        return Ok(());
    };
    let (mut restored, mut batch) = (0, Vec::with_capacity(BATCH_SIZE));
    let mut is_confirmed = false;
    for line in lines {
        is_confirmed |= matches!(line, Line::Confirmed { .. });
        batch.push(line);
        if batch.len() == BATCH_SIZE {
            restored += restore_batch(store, &batch)?;
            batch.clear();
            info!(rows = restored, "restoring links and tags");
        }
    }
    restored += restore_batch(store, &batch)?;
    if !is_confirmed {
        // The snapshot of an older version, which had links alone.
        store.write(Durability::Immediate, links::confirm_unshared)?;
    }
    info!(rows = restored, "restored links and tags from the snapshot");
    Ok(())
}

fn lines_of(path: &Path) -> Option<impl Iterator<Item = Line> + use<>> {
    match file::read(path) {
        Ok(Some(lines)) => return Some(lines),
        Ok(None) => {
            warn!(path = %path.display(), "ignoring a damaged snapshot of links and tags");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let error = &error as &dyn Error;
            warn!(path = %path.display(), error, "cannot read the snapshot of links and tags");
        }
    }
    None
}

/// Returns the number of restored links and tags.
fn restore_batch(store: &Store, batch: &[Line]) -> Outcome<usize> {
    let mut restored = 0;
    store.write(Durability::Immediate, |transaction| {
        for line in batch {
            restored += restore_line(transaction, line)?;
            restore_of_bundle(transaction, line)?;
        }
        Ok(())
    })?;
    Ok(restored)
}

fn restore_line(transaction: &WriteTransaction, line: &Line) -> Outcome<usize> {
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
            if let Ok(repo) = repository.parse::<RepoKey>() {
                for digest in digests {
                    if is_stored(digest)? {
                        pairs::insert(transaction, LINKS, repo.as_str(), digest)?;
                        restored += 1;
                    }
                }
            }
        }
        Line::Confirmed { scope, digests } => {
            for digest in digests {
                if is_stored(digest)? {
                    pairs::insert(transaction, CONFIRMED, scope, digest)?;
                }
            }
        }
        Line::Type { digest, media_type } => {
            if is_stored(digest)? {
                media_types::restore(transaction, digest, media_type)?;
            }
        }
        Line::Tag {
            repository,
            tag,
            digest,
            confirmed,
        } => {
            if let (Ok(repo), Ok(tag)) = (repository.parse::<RepoKey>(), tag.parse::<Tag>())
                && is_stored(digest)?
            {
                tags::insert(transaction, &repo, &tag, digest, *confirmed)?;
                restored += 1;
            }
        }
        Line::Answer {
            repository,
            subject,
            question,
            body,
            at,
        } => {
            if let Ok(repo) = repository.parse::<RepoKey>() {
                let key = attached::answer_key(&repo, subject, question);
                let body = body.as_deref().unwrap_or_default();
                attached::restore(transaction, &key, *at, body.as_bytes())?;
            }
        }
        Line::Bundle(_) | Line::Carried { .. } | Line::Pins { .. } => {}
    }
    Ok(restored)
}

/// The same for what bundles have. A blob that is gone stays pinned: the bundle, imported again,
/// brings it.
fn restore_of_bundle(transaction: &WriteTransaction, line: &Line) -> Outcome<()> {
    match line {
        Line::Bundle(bundle) => bundles::put(transaction, bundle),
        Line::Carried { bundle, names } => bundles::add_names(transaction, bundle, names),
        Line::Pins { bundle, blobs } => blobs
            .iter()
            .try_for_each(|blob| bundles::pin(transaction, blob, bundle)),
        _ => Ok(()),
    }
}
