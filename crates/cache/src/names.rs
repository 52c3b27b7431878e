//! A copy of what no blob's file says: which repository has which manifests, and where tags point.
//!
//! The index is where this is kept. The copy is made now and then, and read only where the index was lost or damaged and is
//! built from the files, so that an upstream that cannot be asked just then is not missed. What a manifest links is not in it:
//! the manifest says so itself. Nor is a link of a blob that no manifest names, or what has changed since; those come back as
//! clients ask, at the price of one upstream request each.

mod file;

use std::sync::PoisonError;

use manifest_model::Digest;

use self::file::Writer;
pub(crate) use self::file::{Line, lines};
use crate::{
    Cache, RepoKey,
    disk::{Disk, remove_if_there},
    error::CacheError,
    index::{Index, to_ms},
};

/// Tags read from the index at once.
const PAGE: usize = 2000;

impl Cache {
    /// Copies repositories' manifests and tags out of the index, unless nothing has changed since this was done last. Kept from
    /// going on, and on any error, it leaves the copy before in its place.
    ///
    /// `goes_on` is asked between small steps, where no lock of the index is held; it may block to pace the work.
    pub async fn copy_names(
        &self,
        goes_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), CacheError> {
        self.blocking(move |cache| {
            let copying = cache.copying_names().lock();
            let _one_at_a_time = copying.unwrap_or_else(PoisonError::into_inner);
            let index = cache.index();
            if !index.take_changed_names() {
                return Ok(());
            }
            let copied = copy(index, cache.blobs().disk(), &goes_on);
            if !matches!(copied, Ok(true)) {
                index.names_change();
            }
            copied.map(drop)
        })
        .await
    }
}

/// Makes the copy anew. The answer is whether it came to its end; else the one before stays.
pub(crate) fn copy(
    index: &Index,
    disk: &Disk,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let new = disk.names_path().with_extension("new");
    let written = Writer::create(&new).and_then(|mut copy| {
        let is_whole =
            put_manifests(index, &mut copy, goes_on)? && put_tags(index, &mut copy, goes_on)?;
        if is_whole {
            copy.finish()?;
            disk.publish_names(&new)?;
        }
        Ok(is_whole)
    });
    if !matches!(written, Ok(true)) {
        remove_if_there(&new)?;
    }
    written
}

fn put_manifests(
    index: &Index,
    copy: &mut Writer,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let mut after = None;
    while let Some((repository, manifests)) = index.next_repository(after.as_ref())? {
        for digest in manifests {
            if !goes_on() {
                return Ok(false);
            }
            copy.put(&manifest_line(index, &repository, digest)?)?;
        }
        after = Some(repository);
    }
    Ok(true)
}

fn manifest_line(index: &Index, repository: &RepoKey, digest: Digest) -> Result<Line, CacheError> {
    let media_type = index.media_type(&digest)?;
    Ok(Line::Manifest {
        repository: repository.as_str().to_owned(),
        digest,
        media_type: media_type.map(|known| known.as_str().to_owned()),
    })
}

fn put_tags(
    index: &Index,
    copy: &mut Writer,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let mut after: Option<String> = None;
    while goes_on() {
        let rows = index.tags(after.as_deref(), PAGE)?;
        for row in &rows {
            copy.put(&Line::Tag {
                repository: row.repository.as_str().to_owned(),
                tag: row.tag.as_str().to_owned(),
                digest: row.entry.digest,
                confirmed: to_ms(row.entry.confirmed),
            })?;
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = Some(last.key()),
            _ => return Ok(true),
        }
    }
    Ok(false)
}
