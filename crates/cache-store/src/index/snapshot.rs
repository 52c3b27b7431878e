//! A snapshot of the rows that no blob's file can restore: links, tags, the media types that
//! upstreams gave, their answers about subjects, and what bundles brought and pin.
//!
//! The caller writes it now and then and at shutdown, and `archway cache rm` after its work. It is
//! read only when the index is lost or damaged and is built from the files, so that the cache can
//! answer while an upstream is down. It lacks the latest changes: new links and tags come back as
//! clients ask, at one upstream request each, and a tag that its upstream has removed meanwhile is
//! looked up again like any other.

mod file;
mod restore;

use std::sync::Arc;

use manifest_model::Digest;
use parking_lot::Mutex;

#[cfg(fuzzing)]
pub(crate) use self::file::fuzz_snapshot;
use self::file::{Line, SnapshotWriter};
pub(super) use self::restore::restore;
use super::{
    attached::{AnswerRow, Attached, decode_answer_key},
    bundles::Bundles,
    keys::to_ms,
    links::Links,
    media_types::MediaTypes,
    pairs::Pairs,
    store::{Outcome, Store},
    tags::{TagRow, Tags},
};
use crate::{
    disk::{Disk, delete_if_present},
    error::CacheError,
};

/// How many rows are read from the index at once.
const PAGE_SIZE: usize = 2000;

/// The bound on the links in one line.
const MAX_LINKS_PER_LINE: usize = 100;

/// The bound on the names of images in one line, which may have half a KiB each.
const MAX_NAMES_PER_LINE: usize = 50;

/// No media type in use is as long. A longer one is left out and read from the manifest again.
const MAX_MEDIA_TYPE_LENGTH: usize = 255;

/// Escaped, a longer answer might not fit into a line.
const MAX_ANSWER_LENGTH: usize = 24 * 1024;

/// The tables that the snapshot copies.
#[derive(Clone, Copy)]
pub(super) struct SnapshotTables<'a> {
    pub(super) attached: &'a Attached,
    pub(super) bundles: &'a Bundles,
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
        let links = &tables.links.linked;
        let is_whole = put_pairs(links, &mut file, goes_on, |repository, digests| {
            Line::Links {
                repository,
                digests,
            }
        })? && put_pairs(
            &tables.links.confirmed,
            &mut file,
            goes_on,
            |scope, digests| Line::Confirmed { scope, digests },
        )? && put_media_types(tables.media_types, &mut file, goes_on)?
            && put_tags(tables.tags, &mut file, goes_on)?
            && put_answers(tables.attached, &mut file, goes_on)?
            && put_bundles(tables.bundles, &mut file, goes_on)?;
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

fn put_pairs(
    pairs: &Pairs,
    file: &mut SnapshotWriter,
    goes_on: &dyn Fn() -> bool,
    line: impl Fn(String, Vec<Digest>) -> Line,
) -> Result<bool, CacheError> {
    let read = |last: Option<&(Arc<str>, Digest)>| pairs.page(last, PAGE_SIZE);
    each_page(goes_on, read, |page| {
        for of_one in page.chunk_by(|one, next| one.0 == next.0) {
            for some in of_one.chunks(MAX_LINKS_PER_LINE) {
                let digests = some.iter().map(|(_, digest)| *digest).collect();
                file.put(&line(some[0].0.to_string(), digests))?;
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

fn put_answers(
    attached: &Attached,
    file: &mut SnapshotWriter,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let read =
        |last: Option<&AnswerRow>| attached.page(last.map(|row| row.key.as_slice()), PAGE_SIZE);
    each_page(goes_on, read, |page| {
        for AnswerRow { key, answer } in page {
            let Some((repo, subject, question)) = decode_answer_key(key) else {
                continue;
            };
            let body = answer.body.as_deref().map(std::str::from_utf8);
            // The upstream is asked again for one that no line can hold.
            if let Ok(body) = body.transpose()
                && body.is_none_or(|body| body.len() <= MAX_ANSWER_LENGTH)
            {
                file.put(&Line::Answer {
                    repository: repo.as_str().to_owned(),
                    subject,
                    question: question.to_owned(),
                    body: body.map(str::to_owned),
                    at: to_ms(answer.at),
                })?;
            }
        }
        Ok(())
    })
}

fn put_bundles(
    bundles: &Bundles,
    file: &mut SnapshotWriter,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    for mut bundle in bundles.all()? {
        let (names, id) = (std::mem::take(&mut bundle.names), bundle.id);
        file.put(&Line::Bundle(bundle))?;
        for names in names.chunks(MAX_NAMES_PER_LINE) {
            let names = names.to_vec();
            file.put(&Line::Carried { bundle: id, names })?;
        }
    }
    let mut pins = bundles.pins()?;
    pins.sort_by_key(|(_, bundle)| *bundle);
    for of_one in pins.chunk_by(|one, next| one.1 == next.1) {
        for some in of_one.chunks(MAX_LINKS_PER_LINE) {
            if !goes_on() {
                return Ok(false);
            }
            let blobs = some.iter().map(|(blob, _)| *blob).collect();
            let bundle = some[0].1;
            file.put(&Line::Pins { bundle, blobs })?;
        }
    }
    Ok(true)
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
