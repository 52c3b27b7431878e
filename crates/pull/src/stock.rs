//! What is stored of an image of which something is missing, for the answer to a client of an
//! offline upstream: the name that the whole image has, and the platforms that are here.
//!
//! Owns the way from a child or a layer to the image's name. Asks nobody and decides nothing; it is
//! for answers that are errors, and looks at a bounded number of files.

use std::{sync::Arc, time::Duration};

use cache::{Cache, RepoKey};
use manifest_model::{Choice, Descriptor, Digest, Manifest, Matcher, Platform, Reference, Tag};
use slots::{SlotCounts, Slots};

use crate::{Repository, announced::AnnouncedSizes, manifests::Manifests};

/// The most tags of a repository that are looked through for a digest.
const MAX_TAGS: usize = 1000;

/// The most indexes of a repository that are read to find the one that lists a digest.
const MAX_INDEXES: usize = 32;

/// The most entries of an index whose files are looked for, and the most files in all.
const MAX_ENTRIES: usize = 64;
const MAX_FILES: usize = 1000;

/// How many looks there are at once, each at so many files, and how long one waits for its turn.
const MAX_LOOKS: usize = 16;
const LOOK_WAIT: Duration = Duration::from_millis(500);

/// The most tags named beside one that is missing.
const MAX_NEIGHBOURS: usize = 8;

/// What a client asked for and an offline upstream's store lacks.
#[derive(Clone, Copy, Debug)]
pub enum Missing<'a> {
    /// A manifest, or its child for a platform.
    Manifest(&'a Reference),
    /// A blob.
    Blob(&'a Digest),
}

/// What is stored of the image that something is missing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// The image: by the tag that leads to it, else by its digest; `None` for a blob that no
    /// remembered manifest names.
    pub image: Option<Reference>,
    /// The platform that the missing part is for, where an index tells.
    pub platform: Option<Platform>,
    /// The platforms of the image that are stored with all their layers, as its index names them.
    pub platforms: Vec<Platform>,
    /// The bundle that left the missing platform out, if one did.
    pub left_out_by: Option<Digest>,
    /// Some tags of the repository, where nothing of the image is stored.
    pub tags: Vec<Tag>,
    /// Nobody has looked: too many look at once.
    pub is_unseen: bool,
}

/// Looks into what is stored.
#[derive(Debug)]
pub(super) struct Stocks {
    cache: Cache,
    manifests: Arc<Manifests>,
    announced: AnnouncedSizes,
    looks: Slots,
}

impl Stock {
    /// What is known without a look.
    fn unseen(missing: Missing<'_>) -> Self {
        let image = match missing {
            Missing::Manifest(reference) => Some(reference.clone()),
            Missing::Blob(_) => None,
        };
        Self {
            image,
            is_unseen: true,
            ..Self::default()
        }
    }
}

impl Stocks {
    pub(super) fn new(cache: Cache, manifests: Arc<Manifests>, announced: AnnouncedSizes) -> Self {
        Self {
            cache,
            manifests,
            announced,
            looks: Slots::new(MAX_LOOKS, SlotCounts::default()),
        }
    }

    /// What is stored of the image that `missing` is part of. For a tag, `wanted` is the platform whose
    /// image is missing, where that is known.
    pub(super) async fn of(
        &self,
        repository: &Repository,
        missing: Missing<'_>,
        wanted: Option<&Platform>,
    ) -> Stock {
        match self.looks.take(repository.claim(), LOOK_WAIT).await {
            Some(_look) => self.seen(repository, missing, wanted).await,
            None => Stock::unseen(missing),
        }
    }

    async fn seen(
        &self,
        repository: &Repository,
        missing: Missing<'_>,
        wanted: Option<&Platform>,
    ) -> Stock {
        let (root, platform) = match missing {
            Missing::Manifest(Reference::Tag(tag)) => {
                let entry = self.cache.tag(&repository.key, tag);
                let root = match entry {
                    Some(entry) => self.stored(repository, &entry.digest).await,
                    None => None,
                };
                let stock = Stock {
                    image: Some(Reference::Tag(tag.clone())),
                    left_out_by: root.as_ref().and_then(|root| self.left_out(root, wanted?)),
                    ..Stock::default()
                };
                return self.with_contents(repository, stock, root).await;
            }
            Missing::Manifest(Reference::Digest(digest)) | Missing::Blob(digest) => {
                self.root_of(repository, digest).await
            }
        };
        let image = match (&root, missing) {
            (Some(root), _) => Some(self.name_of(repository, root.digest())),
            (None, Missing::Manifest(reference)) => Some(reference.clone()),
            (None, Missing::Blob(_)) => None,
        };
        let left_out_by = match missing {
            Missing::Manifest(Reference::Digest(digest)) => self.cache.left_out_by(digest),
            Missing::Manifest(Reference::Tag(_)) | Missing::Blob(_) => None,
        };
        let stock = Stock {
            image,
            platform,
            left_out_by,
            ..Stock::default()
        };
        self.with_contents(repository, stock, root).await
    }

    /// The bundle that left out what a client of `wanted` would choose from an index.
    fn left_out(&self, index: &Manifest, wanted: &Platform) -> Option<Digest> {
        let (Choice::Manifest(entry) | Choice::Unverified(entry) | Choice::Index(entry)) =
            index.choice(&Matcher::new(wanted)).ok()?
        else {
            return None;
        };
        self.cache.left_out_by(&entry.digest)
    }

    async fn with_contents(
        &self,
        repository: &Repository,
        stock: Stock,
        root: Option<Manifest>,
    ) -> Stock {
        match root {
            Some(root) => Stock {
                platforms: self.platforms_of(repository, &root).await,
                ..stock
            },
            None => Stock {
                tags: self.tags(&repository.key, MAX_NEIGHBOURS),
                ..stock
            },
        }
    }

    /// The image that a blob is part of, and its platform.
    pub(super) async fn image_with(
        &self,
        repository: &Repository,
        blob: &Digest,
    ) -> (Option<Reference>, Option<Platform>) {
        let (root, platform) = self.root_of(repository, blob).await;
        let image = root.map(|root| self.name_of(repository, root.digest()));
        (image, platform)
    }

    /// The outermost stored manifest that leads to `digest`, and the platform on the way.
    async fn root_of(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> (Option<Manifest>, Option<Platform>) {
        let (mut root, mut platform) = (None, None);
        let mut below = *digest;
        // A layer, its image, an index, an index of that.
        for _ in 0..3 {
            let above = match self.announced.named_by(&repository.key, &below) {
                Some(above) => self.stored(repository, &above).await,
                None => None,
            };
            let above = match above {
                Some(above) => above,
                None => match self.index_with(repository, &below).await {
                    Some(index) => index,
                    None => break,
                },
            };
            platform = platform.or_else(|| named_platform(&above, &below));
            below = above.digest();
            root = Some(above);
        }
        (root, platform)
    }

    /// The index under some tag of the repository that lists `digest`, where nothing remembers it.
    async fn index_with(&self, repository: &Repository, digest: &Digest) -> Option<Manifest> {
        for row in self.rows(&repository.key, MAX_INDEXES) {
            let index = self.stored(repository, &row.entry.digest).await;
            if let Some(index) = index.filter(|index| entry_of(index, digest).is_some()) {
                return Some(index);
            }
        }
        None
    }

    /// The image's name: the first tag that leads to it, else its digest.
    fn name_of(&self, repository: &Repository, digest: Digest) -> Reference {
        let mut rows = self.rows(&repository.key, MAX_TAGS).into_iter();
        let row = rows.find(|row| row.entry.digest == digest);
        row.map_or(Reference::Digest(digest), |row| Reference::Tag(row.tag))
    }

    async fn platforms_of(&self, repository: &Repository, root: &Manifest) -> Vec<Platform> {
        let (mut platforms, mut files) = (Vec::new(), MAX_FILES);
        for entry in root.entries().iter().take(MAX_ENTRIES) {
            let Some(platform) = platform_of(entry) else {
                continue;
            };
            let Some(image) = self.stored(repository, &entry.digest).await else {
                continue;
            };
            let links = image.links().filter(|link| !link.is_foreign());
            let links: Vec<Digest> = links.map(|link| link.digest).collect();
            let Some(left) = files.checked_sub(links.len()) else {
                break;
            };
            files = left;
            let (cache, key) = (self.cache.clone(), repository.key.clone());
            let is_whole = tokio::task::spawn_blocking(move || {
                links.iter().all(|digest| cache.is_readable(&key, digest))
            });
            if is_whole.await.unwrap_or_default() && !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        platforms
    }

    fn tags(&self, repository: &RepoKey, limit: usize) -> Vec<Tag> {
        let rows = self.rows(repository, MAX_TAGS).into_iter();
        let tags = rows.map(|row| row.tag);
        let tags = tags.filter(|tag| tag.subject().is_none());
        tags.take(limit).collect()
    }

    /// Rows of the repository's tags; an unreadable index knows none.
    fn rows(&self, repository: &RepoKey, limit: usize) -> Vec<cache::TagRow> {
        let rows = self.cache.tags(Some(&format!("{repository}:")), limit);
        let mut rows = rows.unwrap_or_default();
        rows.retain(|row| row.repository == *repository);
        rows
    }

    /// What cannot be read is not stored.
    async fn stored(&self, repository: &Repository, digest: &Digest) -> Option<Manifest> {
        let stored = self.manifests.stored(repository, digest).await;
        stored.unwrap_or_default()
    }
}

fn entry_of<'a>(index: &'a Manifest, digest: &Digest) -> Option<&'a Descriptor> {
    index.entries().iter().find(|entry| entry.digest == *digest)
}

fn named_platform(index: &Manifest, child: &Digest) -> Option<Platform> {
    entry_of(index, child).and_then(platform_of)
}

/// The platform of an entry that clients may choose.
fn platform_of(entry: &Descriptor) -> Option<Platform> {
    let is_image = !entry.is_attestation() && !entry.is_artifact();
    entry.platform.clone().filter(|_| is_image)
}
