//! The wish list of this site: notes what clients of offline upstreams did not get, and drops what has
//! come.
//!
//! Owns the judgement whether an image is here: it is, once the platform that was asked for is stored
//! whole. The list and its file are those of `wishes`.

use std::time::{Duration, SystemTime};

use cache::{Cache, CacheError};
use control::LiveConfig;
use manifest_model::{Matcher, Platform, Reference};
use protocol::{error_chain::ErrorChain, image_list::ListedImage, image_name::ImageName};
use pull::{Repository, repository_key};
use tracing::warn;
use wishes::{WishList, Wishes};

use image_inventory::{Completeness, Image, Listing};

/// The name of the list in the folder of the cache, and of one that could not be read.
const FILE: &str = "wishes.json";
const DAMAGED: &str = "wishes.damaged.json";

/// The wish list. Cheap to clone; all clones are the same list.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    wishes: Wishes,
    cache: Cache,
    config: LiveConfig,
}

impl Wanted {
    /// The list of the cache's folder. One that cannot be read is set aside, and an empty one begins.
    /// Blocks.
    pub(crate) fn open(cache: Cache, config: LiveConfig) -> Self {
        let path = cache.folder().join(FILE);
        let wishes = Wishes::open(path.clone()).unwrap_or_else(|error| {
            warn!(error = %ErrorChain(&error), "the wish list cannot be read; it begins anew");
            // Where even that fails, the next write takes its place.
            let _ = std::fs::rename(&path, cache.folder().join(DAMAGED));
            Wishes::empty(path)
        });
        Self {
            wishes,
            cache,
            config,
        }
    }

    /// Notes that a client did not get an image; false where it cannot be a line of the list. What is
    /// attached to an image comes with it, so its tag is no wish of its own.
    pub(crate) fn note(
        &self,
        repository: &Repository,
        image: &Reference,
        platform: Option<&Platform>,
    ) -> bool {
        if matches!(image, Reference::Tag(tag) if tag.subject().is_some()) {
            return false;
        }
        let name = ImageName {
            host: Some(repository.upstream().host().clone()),
            repository: repository.name().clone(),
            reference: image.clone(),
        };
        self.note_name(name, platform)
    }

    /// Notes what a rule would have made a tag of: its sources, as `NAME:TAG`.
    pub(crate) fn note_sources(&self, repository: &Repository, sources: &[String]) -> bool {
        let host = repository.upstream().host();
        let mut is_noted = false;
        for source in sources {
            if let Ok(name) = format!("{host}/{source}").parse() {
                is_noted |= self.note_name(name, None);
            }
        }
        is_noted
    }

    fn note_name(&self, name: ImageName, platform: Option<&Platform>) -> bool {
        let platform = platform.map(Platform::normalized);
        let image = ListedImage { name, platform };
        self.wishes.note(image, SystemTime::now())
    }

    /// What is wanted and still not here, of upstreams that are configured; with `since`, what was
    /// asked for within that time.
    pub(crate) async fn list(&self, since: Option<Duration>) -> WishList {
        self.forget_granted().await;
        let since = since.and_then(|since| SystemTime::now().checked_sub(since));
        self.wishes.list(since)
    }

    /// Drops the wishes for what is here by now.
    pub(crate) async fn forget_granted(&self) {
        let wanted = self.clone();
        let forget = move || wanted.wishes.forget(|image| wanted.is_done(image));
        // Cut by shutdown, it is done the next time.
        let _ = tokio::task::spawn_blocking(forget).await;
    }

    /// Writes the list to its file where it has changed.
    pub(crate) async fn save(&self) {
        let wishes = self.wishes.clone();
        let saved = tokio::task::spawn_blocking(move || wishes.save()).await;
        if let Ok(Err(error)) = saved {
            warn!(error = %ErrorChain(&error), "the wish list could not be written");
        }
    }

    /// How many wishes there are.
    pub(crate) fn count(&self) -> usize {
        self.wishes.count()
    }

    /// Whether a wish has nothing to be brought for. One that cannot be judged stays.
    fn is_done(&self, image: &ListedImage) -> bool {
        let (host, config) = (image.name.host.as_ref(), self.config.current());
        let is_configured = host.is_some_and(|host| config.upstreams.find(host).is_some());
        !is_configured || self.is_here(image).unwrap_or(false)
    }

    fn is_here(&self, image: &ListedImage) -> Result<bool, CacheError> {
        let Some(host) = &image.name.host else {
            return Ok(false);
        };
        let repository = repository_key(host, &image.name.repository);
        let listing = match &image.name.reference {
            Reference::Tag(tag) => Listing::of_tag(&self.cache, &repository, tag)?,
            Reference::Digest(digest) => Listing::of_digest(&self.cache, &repository, digest)?,
        };
        let stored = listing.images.first();
        Ok(stored.is_some_and(|stored| serves(stored, image.platform.as_ref())))
    }
}

/// Whether a client of `platform` gets all of its image. Without a platform any image does, and a
/// single image is for everybody.
fn serves(stored: &Image, platform: Option<&Platform>) -> bool {
    let images = stored.parts.iter().filter(|part| part.is_image());
    let is_whole = |state: Completeness| state == Completeness::Cached;
    let Some(platform) = platform.filter(|_| stored.index) else {
        return images.into_iter().any(|part| is_whole(part.state));
    };
    let matcher = Matcher::new(platform);
    let fitting = images.filter_map(|part| {
        let platform = part.platform.as_ref()?;
        matcher.matches(platform).then_some((platform, part.state))
    });
    let chosen = fitting.min_by(|(a, _), (b, _)| matcher.compare(a, b));
    chosen.is_some_and(|(_, state)| is_whole(state))
}
