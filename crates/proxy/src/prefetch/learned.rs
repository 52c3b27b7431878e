//! Which platforms are pulled where: weights that decay, in the cache's index.
//!
//! Owns the spelling of places and kinds there, which stays as it is: older indexes hold it.

use std::{fmt, sync::Arc, time::Duration};

use cache::RepoKey;
use manifest_model::{Choice, Descriptor, Manifest, Matcher, Platform, Tag};
use moka::sync::Cache;
use protocol::error_chain::ErrorChain;
use pull::{Repository, Tasks};
use tracing::warn;

use super::{MAX_REMEMBERED, settings::Settings};

/// One pull of one image is many requests: they count once.
pub(super) const ONE_PULL: Duration = Duration::from_mins(1);

/// The longest name of a platform. Real ones have a tenth of it, but an index can hold
/// anything there.
const MAX_PLATFORM_NAME: usize = 256;

/// The spelling of [`ImageKind::Any`].
const ANY: &str = "*";

/// The spelling of [`Pulled::Tag`].
const TAG: &str = "tag";

/// The spelling of [`Pulled::Layer`]. No tag begins with it: the place is that of no tag.
const LAYER: &str = "@layer";

/// The platform that an image is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ImageKind {
    /// Any platform: no index lists the image.
    Any,
    /// The platform of this name, as its index spells it.
    Platform(Arc<str>),
}

impl ImageKind {
    fn of_text(text: &str) -> Self {
        match text {
            ANY => Self::Any,
            name => Self::Platform(name.into()),
        }
    }

    /// The kind of an index entry, unless it names no platform, or one whose name is too long to be
    /// remembered.
    pub(super) fn of_entry(entry: &Descriptor) -> Option<Self> {
        let name = entry.platform.as_ref()?.to_string();
        (name.len() <= MAX_PLATFORM_NAME).then(|| Self::of_text(&name))
    }

    /// The kind of the entry of `index` that a client of `platform` would choose.
    pub(crate) fn chosen(index: &Manifest, platform: &Platform) -> Option<Self> {
        match index.choice(&Matcher::new(platform)) {
            Ok(Choice::Manifest(entry) | Choice::Index(entry)) => Self::of_entry(entry),
            Ok(Choice::Unverified(_) | Choice::None) | Err(_) => None,
        }
    }

    /// The platform it names; `None` for images of any.
    pub(crate) fn platform(&self) -> Option<Platform> {
        match self {
            Self::Any => None,
            Self::Platform(name) => name.parse().ok(),
        }
    }
}

impl fmt::Display for ImageKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Any => ANY,
            Self::Platform(name) => name,
        })
    }
}

/// The place where a pull is counted, and the kind of thing pulled there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pulled {
    /// A tag, at its own place.
    Tag(RepoKey, Tag),
    /// A layer, of any image of a repository.
    Layer(RepoKey),
    /// An image, in its repository.
    Image(RepoKey, ImageKind),
    /// An image, anywhere at its upstream.
    ImageAt(Box<str>, ImageKind),
}

impl Pulled {
    /// The place in the index.
    fn place(&self) -> String {
        match self {
            Self::Tag(repository, tag) => place_of_tag(repository, tag),
            Self::Layer(repository) => place_of_layers(repository),
            Self::Image(repository, _) => repository.to_string(),
            Self::ImageAt(upstream, _) => upstream.to_string(),
        }
    }

    /// The kind at that place.
    fn kind(&self) -> String {
        match self {
            Self::Tag(..) => TAG.to_owned(),
            Self::Layer(_) => LAYER.to_owned(),
            Self::Image(_, kind) | Self::ImageAt(_, kind) => kind.to_string(),
        }
    }
}

fn place_of_tag(repository: &RepoKey, tag: &Tag) -> String {
    format!("{repository}:{tag}")
}

fn place_of_layers(repository: &RepoKey) -> String {
    format!("{repository}{LAYER}")
}

/// The pulls counted so far. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LearnedPulls {
    cache: cache::Cache,
    /// Pulls that were counted a moment ago.
    counted: Cache<Pulled, ()>,
    settings: Settings,
    tasks: Tasks,
}

impl LearnedPulls {
    pub(super) fn new(cache: cache::Cache, settings: Settings, tasks: Tasks) -> Self {
        Self {
            cache,
            counted: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(ONE_PULL)
                .build(),
            settings,
            tasks,
        }
    }

    /// The time after which a pull counts half.
    fn half_life(&self) -> Duration {
        self.settings.current().half_life
    }

    /// Counts a pull of a tag.
    pub(super) fn count_tag(&self, repository: &RepoKey, tag: &Tag) {
        self.count(Pulled::Tag(repository.clone(), tag.clone()));
    }

    /// Counts a pull of a layer.
    pub(super) fn count_layer(&self, repository: &RepoKey) {
        self.count(Pulled::Layer(repository.clone()));
    }

    /// Whether a client has pulled a layer from a repository.
    pub(super) fn has_layers(&self, repository: &RepoKey) -> bool {
        let layer = Pulled::Layer(repository.clone());
        self.counted.contains_key(&layer) || !self.at(&place_of_layers(repository)).is_empty()
    }

    /// Counts a pull of an image, for its repository and for its upstream.
    pub(super) fn count_image(&self, repository: &Repository, kind: &ImageKind) {
        let key = repository.key();
        self.count(Pulled::Image(key.clone(), kind.clone()));
        self.count(Pulled::ImageAt(key.upstream().into(), kind.clone()));
    }

    fn count(&self, pulled: Pulled) {
        if self.counted.contains_key(&pulled) {
            return;
        }
        let (place, kind) = (pulled.place(), pulled.kind());
        self.counted.insert(pulled, ());
        let (cache, half_life) = (self.cache.clone(), self.half_life());
        self.tasks.spawn(async move {
            if let Err(error) = cache.learn(place, kind, half_life).await {
                warn!(error = %ErrorChain(&error), "a pull could not be counted");
            }
        });
    }

    /// Whether clients pull a tag.
    pub(super) fn has_tag(&self, repository: &RepoKey, tag: &Tag) -> bool {
        !self.at(&place_of_tag(repository, tag)).is_empty()
    }

    /// The kinds of images pulled from a repository; from one without pulls, those of its upstream.
    pub(crate) fn kinds(&self, repository: &RepoKey) -> Vec<ImageKind> {
        let known = self.at(repository.as_str());
        if known.is_empty() {
            self.at(repository.upstream())
        } else {
            known
        }
    }

    fn at(&self, place: &str) -> Vec<ImageKind> {
        match self.cache.learned().kinds(place, self.half_life()) {
            Ok(learned) => {
                let learned = learned.into_iter();
                learned
                    .map(|learned| ImageKind::of_text(&learned.kind))
                    .collect()
            }
            Err(error) => {
                warn!(error = %ErrorChain(&error), "the counted pulls cannot be read");
                Vec::new()
            }
        }
    }

    /// Removes pulls that have decayed.
    pub(super) async fn sweep(&self) {
        if let Err(error) = self.cache.sweep_learned(self.half_life()).await {
            warn!(error = %ErrorChain(&error), "the counted pulls cannot be swept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_places_and_kinds_in_the_index_stays() {
        let repository: RepoKey = "registry.example/team/app".parse().unwrap();
        let amd64 = ImageKind::of_text("linux/amd64");
        let tag = Pulled::Tag(repository.clone(), "v1".parse().unwrap());
        let image = Pulled::Image(repository.clone(), amd64.clone());
        let layer = Pulled::Layer(repository.clone());
        let anywhere = Pulled::ImageAt(repository.upstream().into(), ImageKind::Any);
        for (pulled, place, kind) in [
            (tag, "registry.example/team/app:v1", "tag"),
            (image, "registry.example/team/app", "linux/amd64"),
            (layer, "registry.example/team/app@layer", "@layer"),
            (anywhere, "registry.example", "*"),
        ] {
            assert_eq!((&*pulled.place(), &*pulled.kind()), (place, kind));
        }
        for kind in [ImageKind::Any, amd64] {
            assert_eq!(ImageKind::of_text(&kind.to_string()), kind);
        }
    }
}
