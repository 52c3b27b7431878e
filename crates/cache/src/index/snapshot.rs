//! A snapshot of the rows that no blob's file can restore: links, tags, and the media types that
//! upstreams gave.
//!
//! The caller writes it now and then and at shutdown, and
//! [`Owned::remove`](crate::inspect::Owned::remove) after its work. It is read only when the index
//! is lost or damaged and is built from the files, so that the cache can answer while an upstream
//! is down. It lacks the latest changes: new links and tags come back as clients ask, at one
//! upstream request each, and a tag that its upstream has removed meanwhile is looked up again like
//! any other.

mod file;
mod restore;

use std::sync::Arc;

use manifest_model::Digest;
use parking_lot::Mutex;

use self::file::{Line, SnapshotWriter};
pub(super) use self::restore::restore;
use super::{
    keys::to_ms,
    links::Links,
    media_types::MediaTypes,
    store::{Outcome, Store},
    tags::{TagRow, Tags},
};
use crate::{
    RepoKey,
    disk::{Disk, delete_if_present},
    error::CacheError,
};

/// How many rows are read from the index at once.
const PAGE_SIZE: usize = 2000;

/// The bound on the links in one line.
const MAX_LINKS_PER_LINE: usize = 100;

/// No media type in use is as long. A longer one is left out and read from the manifest again.
const MAX_MEDIA_TYPE_LENGTH: usize = 255;

/// The tables that the snapshot copies.
#[derive(Clone, Copy)]
pub(super) struct SnapshotTables<'a> {
    pub(super) links: &'a Links,
    pub(super) media_types: &'a MediaTypes,
    pub(super) tags: &'a Tags,
}

/// The writer of snapshots, one at a time.
#[derive(Debug)]
pub(super) struct Snapshots {
    store: Arc<Store>,
    writing: Mutex<()>,
}

impl Snapshots {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            writing: Mutex::default(),
        }
    }

    /// Writes a snapshot, unless the last one is current or another is being written.
    pub(super) fn write_if_stale(
        &self,
        tables: SnapshotTables<'_>,
        disk: &Disk,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), CacheError> {
        let Some(_one_at_a_time) = self.writing.try_lock() else {
            return Ok(());
        };
        if !self.store.take_snapshot_is_stale() {
            return Ok(());
        }
        let written = write(tables, disk, goes_on);
        if !matches!(written, Ok(true)) {
            self.store.mark_snapshot_stale();
        }
        written.map(drop)
    }
}

/// Writes a snapshot. `false` if `goes_on` ended it early; then the last one stays, as it does
/// after an error.
pub(super) fn write(
    tables: SnapshotTables<'_>,
    disk: &Disk,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let new = disk.snapshot_path().with_extension("new");
    let written = SnapshotWriter::create(&new).and_then(|mut file| {
        let is_whole = put_links(tables.links, &mut file, goes_on)?
            && put_media_types(tables.media_types, &mut file, goes_on)?
            && put_tags(tables.tags, &mut file, goes_on)?;
        if is_whole {
            file.finish()?;
            disk.publish_snapshot(&new)?;
        }
        Ok(is_whole)
    });
    if !matches!(written, Ok(true)) {
        delete_if_present(&new)?;
    }
    written
}

fn put_links(
    links: &Links,
    file: &mut SnapshotWriter,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let read = |last: Option<&(RepoKey, Digest)>| links.page(last, PAGE_SIZE);
    each_page(goes_on, read, |page| {
        for of_one in page.chunk_by(|one, next| one.0 == next.0) {
            for some in of_one.chunks(MAX_LINKS_PER_LINE) {
                file.put(&Line::Links {
                    repository: some[0].0.as_str().to_owned(),
                    digests: some.iter().map(|(_, digest)| *digest).collect(),
                })?;
            }
        }
        Ok(())
    })
}

fn put_media_types(
    media_types: &MediaTypes,
    file: &mut SnapshotWriter,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let read = |last: Option<&(Digest, String)>| {
        media_types.page(last.map(|(digest, _)| digest), PAGE_SIZE)
    };
    each_page(goes_on, read, |page| {
        for (digest, media_type) in page {
            if media_type.len() <= MAX_MEDIA_TYPE_LENGTH {
                file.put(&Line::Type {
                    digest: *digest,
                    media_type: media_type.clone(),
                })?;
            }
        }
        Ok(())
    })
}

fn put_tags(
    tags: &Tags,
    file: &mut SnapshotWriter,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let read = |last: Option<&TagRow>| tags.page(last.map(TagRow::key).as_deref(), PAGE_SIZE);
    each_page(goes_on, read, |page| {
        for row in page {
            file.put(&Line::Tag {
                repository: row.repository.as_str().to_owned(),
                tag: row.tag.as_str().to_owned(),
                digest: row.entry.digest,
                confirmed: to_ms(row.entry.confirmed),
            })?;
        }
        Ok(())
    })
}

/// Puts page after page, each read behind the last row of the one before. `false` if `goes_on`
/// ended it early.
fn each_page<Row>(
    goes_on: &dyn Fn() -> bool,
    read: impl Fn(Option<&Row>) -> Outcome<Vec<Row>>,
    mut put: impl FnMut(&[Row]) -> Result<(), CacheError>,
) -> Result<bool, CacheError> {
    let mut page = Vec::new();
    while goes_on() {
        page = read(page.last())?;
        put(&page)?;
        if page.len() < PAGE_SIZE {
            return Ok(true);
        }
    }
    Ok(false)
}
