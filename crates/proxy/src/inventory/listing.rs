//! Pages of images, filtered.

use cache::{Cache, CacheError, RepoKey, TagEntry, TagRow};
use manifest_model::{Digest, Platform, Tag};
use protocol::host::glob;
use serde::{Deserialize, Serialize};

use super::{Attached, Completeness, Image};

/// Tags looked at for one page: a filter that lets nothing through must not walk over a whole cache at once.
const MOST_ROWS: usize = 2000;

/// Images on one page at most.
const MOST_IMAGES: usize = 500;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Only names that match: `HOST/REPOSITORY:TAG`, where `*` is any run of characters and `?` one.
    pub filter: Option<String>,
    /// Only images that lack something for this platform.
    pub missing: Option<Platform>,
    /// Behind this key: the `next` of the page before.
    pub after: Option<String>,
    /// Images on the page; the bound is the listing's own.
    pub limit: Option<usize>,
}

/// A page of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The images, in the order of their names.
    pub images: Vec<Image>,
    /// Where the next page begins; none behind the last. A page may be empty and not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Request {
    /// The page. Blocks.
    pub fn list(&self, cache: &Cache) -> Result<Listing, CacheError> {
        let limit = self.limit.unwrap_or(MOST_IMAGES).clamp(1, MOST_IMAGES);
        let rows = cache.tags(self.after.as_deref(), MOST_ROWS)?;
        let is_last = rows.len() < MOST_ROWS;
        let mut listing = Listing::default();
        let mut key = None;
        for row in &rows {
            if listing.images.len() == limit {
                listing.next = key;
                return Ok(listing);
            }
            if self.is_meant(row)
                && let Some(image) = of_row(cache, row)?
                && self.is_shown(&image)
            {
                listing.images.push(image);
            }
            key = Some(row.key());
        }
        listing.next = key.filter(|_| !is_last);
        Ok(listing)
    }

    fn is_meant(&self, row: &TagRow) -> bool {
        if Attached::is_name(&row.tag) {
            return false;
        }
        let filter = self.filter.as_deref();
        filter.is_none_or(|filter| glob::matches(filter.as_bytes(), row.key().as_bytes()))
    }

    fn is_shown(&self, image: &Image) -> bool {
        let missing = self.missing.as_ref();
        missing.is_none_or(|platform| image.completeness(platform) != Completeness::Cached)
    }
}

impl Listing {
    /// The one image a name stands for, if its manifest is stored and the repository has it. Blocks.
    pub fn of_tag(cache: &Cache, repository: &RepoKey, tag: &Tag) -> Result<Self, CacheError> {
        let Some(entry) = cache.tag(repository, tag) else {
            return Ok(Self::default());
        };
        let row = TagRow {
            repository: repository.clone(),
            tag: tag.clone(),
            entry,
        };
        Ok(Self {
            images: of_row(cache, &row)?.into_iter().collect(),
            next: None,
        })
    }

    /// The same for a digest.
    pub fn of_digest(
        cache: &Cache,
        repository: &RepoKey,
        digest: &Digest,
    ) -> Result<Self, CacheError> {
        let images = if cache.is_linked(repository, digest) {
            Image::survey(cache, repository, None, digest)?
        } else {
            None
        };
        Ok(Self {
            images: images.into_iter().collect(),
            next: None,
        })
    }
}

pub(super) fn of_row(cache: &Cache, row: &TagRow) -> Result<Option<Image>, CacheError> {
    let TagEntry { digest, confirmed } = row.entry;
    Image::survey(
        cache,
        &row.repository,
        Some((row.tag.as_str(), confirmed)),
        &digest,
    )
}
