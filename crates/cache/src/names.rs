//! A copy of what no blob's file says: which repository has what, where tags point, and what upstreams call their manifests.
//!
//! The index is where this is kept. The copy is made now and then, and read only where the index was lost or damaged and is
//! built from the files, so that an upstream that cannot be asked just then is not missed. What has changed since is not in it:
//! what is new comes back as clients ask, at the price of one upstream request each, and a tag that the upstream has
//! dropped meanwhile is asked for again like any other.

mod file;

use std::sync::TryLockError;

use manifest_model::Digest;

use self::file::Writer;
pub(crate) use self::file::{Line, lines};
use crate::{
    Cache, RepoKey, TagRow,
    disk::{Disk, remove_if_there},
    error::CacheError,
    index::{Index, Outcome, to_ms},
};

/// Rows read from the index at once.
const PAGE: usize = 2000;

/// Links on one line at most.
const LINKS: usize = 100;

/// No media type in use is as long. What is longer is left out, and read from the manifest again.
const LONGEST_MEDIA_TYPE: usize = 255;

impl Cache {
    /// Copies links, tags and media types out of the index, unless nothing has changed since this was done last, or it is being
    /// done. Kept from going on, and on any error, it leaves the copy before in its place.
    ///
    /// `goes_on` is asked between small steps, where no lock of the index is held; it may block to pace the work.
    pub async fn copy_names(
        &self,
        goes_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), CacheError> {
        self.blocking(move |cache| {
            let _one_at_a_time = match cache.copying_names().try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Ok(()),
            };
            let index = cache.index();
            if !index.take_changed_names() {
                return Ok(());
            }
            let copied = copy(index, cache.blobs().disk(), &goes_on);
            if !matches!(copied, Ok(true)) {
                index.note_changed_names();
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
        let is_whole = put_links(index, &mut copy, goes_on)?
            && put_types(index, &mut copy, goes_on)?
            && put_tags(index, &mut copy, goes_on)?;
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

fn put_links(
    index: &Index,
    copy: &mut Writer,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let read = |last: Option<&(RepoKey, Digest)>| index.links_behind(last, PAGE);
    each_page(goes_on, read, |page| {
        for of_one in page.chunk_by(|one, next| one.0 == next.0) {
            for some in of_one.chunks(LINKS) {
                copy.put(&Line::Links {
                    repository: some[0].0.as_str().to_owned(),
                    digests: some.iter().map(|(_, digest)| *digest).collect(),
                })?;
            }
        }
        Ok(())
    })
}

fn put_types(
    index: &Index,
    copy: &mut Writer,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let read = |last: Option<&(Digest, String)>| {
        index.media_types_behind(last.map(|(digest, _)| digest), PAGE)
    };
    each_page(goes_on, read, |page| {
        for (digest, media_type) in page {
            if media_type.len() <= LONGEST_MEDIA_TYPE {
                copy.put(&Line::Type {
                    digest: *digest,
                    media_type: media_type.clone(),
                })?;
            }
        }
        Ok(())
    })
}

fn put_tags(
    index: &Index,
    copy: &mut Writer,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, CacheError> {
    let read = |last: Option<&TagRow>| index.tags(last.map(TagRow::key).as_deref(), PAGE);
    each_page(goes_on, read, |page| {
        for row in page {
            copy.put(&Line::Tag {
                repository: row.repository.as_str().to_owned(),
                tag: row.tag.as_str().to_owned(),
                digest: row.entry.digest,
                confirmed: to_ms(row.entry.confirmed),
            })?;
        }
        Ok(())
    })
}

/// Puts page after page, each read behind the last row of the one before. Whether that came to its end.
fn each_page<Row>(
    goes_on: &dyn Fn() -> bool,
    read: impl Fn(Option<&Row>) -> Outcome<Vec<Row>>,
    mut put: impl FnMut(&[Row]) -> Result<(), CacheError>,
) -> Result<bool, CacheError> {
    let mut page = Vec::new();
    while goes_on() {
        page = read(page.last())?;
        put(&page)?;
        if page.len() < PAGE {
            return Ok(true);
        }
    }
    Ok(false)
}
