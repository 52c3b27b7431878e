//! What the children of indexes and the layers of images are for, remembered for as long as a pull takes.

use std::{sync::Arc, time::Duration};

use cache::RepoKey;
use manifest_model::{Descriptor, Digest, Manifest, Matcher, Platform, choose};
use moka::sync::Cache;

use super::{ANY, MOST};

/// How long a part is remembered: a pull takes minutes, not hours.
pub(super) const PARTS_HOLD: Duration = Duration::from_hours(1);

/// Layers and children remembered of one manifest.
const MOST_LINKS: usize = 256;

/// Bytes of a platform's name. Real ones have a tenth of it, and whoever pushes an index writes what they like.
const LONGEST_KIND: usize = 256;

/// The part each child and layer is.
#[derive(Debug)]
pub(super) struct Parts(Cache<(RepoKey, Digest), Part>);

/// What a child or layer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Images of one kind.
    One(Arc<str>),
    /// Those of several platforms: that it is pulled does not say for which.
    Several,
}

impl Part {
    /// What a part of an image of `kind` is, as far as was known `before`. A platform says more than none.
    fn of(kind: &Arc<str>, before: Option<Self>) -> Self {
        match before {
            None => Self::One(Arc::clone(kind)),
            Some(Self::One(known)) if *known == **kind || **kind == *ANY => Self::One(known),
            Some(Self::One(known)) if *known == *ANY => Self::One(Arc::clone(kind)),
            Some(Self::One(_) | Self::Several) => Self::Several,
        }
    }
}

impl Parts {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MOST)
                .time_to_live(PARTS_HOLD)
                .build(),
        )
    }

    pub(super) fn get(&self, repository: &RepoKey, digest: &Digest) -> Option<Part> {
        self.0.get(&(repository.clone(), *digest))
    }

    pub(super) fn note_children(&self, repository: &RepoKey, index: &Manifest) {
        for (child, kind) in kinds(index) {
            self.note(repository, child, &kind);
        }
    }

    pub(super) fn note_layers(&self, repository: &RepoKey, image: &Manifest, kind: &Arc<str>) {
        for layer in image.layers().iter().take(MOST_LINKS) {
            self.note(repository, layer.digest, kind);
        }
    }

    fn note(&self, repository: &RepoKey, digest: Digest, kind: &Arc<str>) {
        let key = (repository.clone(), digest);
        let part = Part::of(kind, self.0.get(&key));
        self.0.insert(key, part);
    }
}

/// The children of an index and their platforms, as the index spells them.
pub(super) fn kinds(index: &Manifest) -> impl Iterator<Item = (Digest, Arc<str>)> {
    let images = index
        .entries()
        .iter()
        .filter(|entry| !entry.is_attestation());
    images
        .take(MOST_LINKS)
        .filter_map(|entry| Some((entry.digest, kind(entry)?.into())))
}

/// The platform, as the index spells it, that a client of platform `hint` would choose.
pub(super) fn kind_for(index: &Manifest, hint: &Platform) -> Option<String> {
    use manifest_model::Choice::{Index, Manifest, None as Nothing, Unverified};
    match choose(index.entries(), &Matcher::new(hint)) {
        Manifest(entry) | Index(entry) => kind(entry),
        Unverified(_) | Nothing => None,
    }
}

/// What an index says an entry is for, unless that is too long to be remembered.
fn kind(entry: &Descriptor) -> Option<String> {
    let kind = entry.platform.as_ref()?.to_string();
    (kind.len() <= LONGEST_KIND).then_some(kind)
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    #[test]
    fn a_platform_whose_name_is_no_name_is_not_remembered() {
        let kinds_of = |architecture: &str| {
            let digest = Digest::of(Algorithm::Sha256, b"image");
            let text = format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"{architecture}"}}}}]}}"#
            );
            let index = Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
            kinds(&index).count()
        };
        assert_eq!(kinds_of("amd64"), 1);
        assert_eq!(kinds_of(&"a".repeat(LONGEST_KIND)), 0);
    }

    #[test]
    fn a_part_of_images_for_several_platforms_says_nothing_of_any() {
        let (amd64, arm64, any) = ("linux/amd64".into(), "linux/arm64".into(), ANY.into());
        let of = |kinds: &[&Arc<str>]| {
            let part = |before, kind: &&Arc<str>| Some(Part::of(kind, before));
            kinds.iter().fold(None, part)
        };
        let one = |kind: &Arc<str>| Some(Part::One(Arc::clone(kind)));
        assert_eq!(of(&[&amd64, &amd64]), one(&amd64));
        assert_eq!(of(&[&amd64, &any]), one(&amd64));
        assert_eq!(of(&[&any, &amd64]), one(&amd64));
        assert_eq!(of(&[&any]), one(&any));
        for kinds in [[&amd64, &arm64, &arm64], [&arm64, &amd64, &any]] {
            assert_eq!(of(&kinds), Some(Part::Several));
        }
    }
}
