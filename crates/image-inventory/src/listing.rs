//! Pages of the cached images, filtered.

use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use cache::{Cache, CacheError, RepoKey, TagEntry, TagRow};
use config::UpstreamConfig;
use manifest_model::{Digest, Platform, Tag};
use protocol::host::{Host, HostPattern, glob};
use serde::{Deserialize, Serialize};
use upstream::Registry;

use super::{attachment::Attachment, completeness::Completeness, image::Image};

/// Tags read for one page: a filter that nothing passes must not walk through a whole cache at
/// once.
const MAX_ROWS: usize = 2000;

/// Images on one page.
const MAX_IMAGES: usize = 500;

/// Which images to list.
#[derive(Clone, Debug, Default)]
pub struct ListingQuery {
    /// Only names that match this pattern of `HOST/REPOSITORY:TAG`: `*` is any run of characters,
    /// `?` is one. Without either, only names that contain it.
    pub filter: Option<String>,
    /// Only images that are not completely cached for this platform.
    pub missing: Option<Platform>,
    /// Only images behind this key: the `next` of the page before.
    pub after: Option<String>,
    /// How many images to list, up to the bound of a page.
    pub limit: Option<usize>,
}

/// A page of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The images, in the order of their names.
    pub images: Vec<Image>,
    /// Where the next page begins; none on the last one. An empty page need not be the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The hosts and patterns of upstreams that are never asked: what is stored of them is all that
    /// clients can have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offline: Vec<String>,
    /// The hosts of upstreams of which no endpoint answers at the moment, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub down: BTreeMap<String, String>,
}

impl ListingQuery {
    /// Reads the page. Blocks.
    pub fn list(&self, cache: &Cache) -> Result<Listing, CacheError> {
        let limit = self.limit.unwrap_or(MAX_IMAGES).clamp(1, MAX_IMAGES);
        let rows = cache.tags(self.after.as_deref(), MAX_ROWS)?;
        let is_last = rows.len() < MAX_ROWS;
        let mut listing = Listing::default();
        let mut key = None;
        for row in &rows {
            if listing.images.len() == limit {
                listing.next = key;
                return Ok(listing);
            }
            if self.matches_filter(row)
                && let Some(image) = of_row(cache, row)?
                && self.lacks_platform(&image)
            {
                listing.images.push(image);
            }
            key = Some(row.key());
        }
        listing.next = key.filter(|_| !is_last);
        Ok(listing)
    }

    fn matches_filter(&self, row: &TagRow) -> bool {
        if Attachment::is_name(&row.tag) {
            return false;
        }
        let filter = self.filter.as_deref();
        filter.is_none_or(|filter| {
            let name = row.key();
            if filter.contains(['*', '?']) {
                glob::matches(filter.as_bytes(), name.as_bytes())
            } else {
                name.contains(filter)
            }
        })
    }

    fn lacks_platform(&self, image: &Image) -> bool {
        let missing = self.missing.as_ref();
        missing.is_none_or(|platform| image.completeness(platform) != Completeness::Cached)
    }
}

impl Listing {
    /// Fills in where each tag stands now, and which upstreams of the images are down.
    pub fn fill_in_state(&mut self, upstreams: &Registry) {
        let (config, now) = (upstreams.config(), SystemTime::now());
        let mut known: HashMap<Host, Option<UpstreamConfig>> = HashMap::new();
        for image in &mut self.images {
            let host = image.upstream.clone();
            let settings = known.entry(host.clone());
            if let Some(settings) = settings.or_insert_with(|| config.find(&host)) {
                image.judge_tag(settings, now);
            }
        }
        for host in known.into_keys() {
            let Ok(Some(upstream)) = upstreams.find(&host) else {
                continue;
            };
            let statuses = upstream.endpoint_statuses();
            let causes = statuses.iter().map(|one| one.outage.as_ref());
            // One that answers is enough.
            if let Some(causes) = causes.collect::<Option<Vec<_>>>()
                && let Some(cause) = causes.first()
            {
                self.down.insert(host.to_string(), cause.reason.to_string());
            }
        }
    }

    /// Whether the upstream `host` is never asked.
    pub fn is_offline(&self, host: &Host) -> bool {
        let mut patterns = self.offline.iter();
        patterns.any(|pattern| {
            pattern
                .parse()
                .is_ok_and(|pattern: HostPattern| pattern.matches(host))
        })
    }

    /// The image of one tag, if its manifest is stored and linked to the repository. Blocks.
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
            ..Self::default()
        })
    }

    /// The image of one digest, if its manifest is stored and linked to the repository. Blocks.
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
            ..Self::default()
        })
    }
}

pub(super) fn of_row(cache: &Cache, row: &TagRow) -> Result<Option<Image>, CacheError> {
    let TagEntry { digest, confirmed } = row.entry;
    Image::survey(cache, &row.repository, Some((&row.tag, confirmed)), &digest)
}
