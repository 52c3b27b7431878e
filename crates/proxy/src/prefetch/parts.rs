//! The platform of the children of indexes and the layers of images, remembered for the time of a
//! pull.

use std::time::Duration;

use cache::RepoKey;
use manifest_model::{Digest, Manifest};
use moka::sync::Cache;

use super::{MAX_REMEMBERED, learned::ImageKind};

/// How long a part is remembered: a pull takes minutes, not hours.
pub(crate) const PARTS_TTL: Duration = Duration::from_hours(1);

/// Layers and children remembered of one manifest.
const MAX_LINKS: usize = 256;

/// The images that each child and layer belongs to. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ImageParts(Cache<(RepoKey, Digest), PartOf>);

/// The images that a child or layer belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PartOf {
    /// Images of one kind.
    One(ImageKind),
    /// Images for several platforms: a pull of it does not show for which.
    Several,
}

impl PartOf {
    /// The part `before`, now also seen in an image of `kind`. A named platform outweighs
    /// [`ImageKind::Any`].
    fn with(kind: &ImageKind, before: Option<Self>) -> Self {
        match before {
            Some(Self::One(known)) if known == *kind || *kind == ImageKind::Any => Self::One(known),
            None | Some(Self::One(ImageKind::Any)) => Self::One(kind.clone()),
            Some(Self::One(_) | Self::Several) => Self::Several,
        }
    }
}

impl ImageParts {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(PARTS_TTL)
                .build(),
        )
    }

    pub(super) fn get(&self, repository: &RepoKey, digest: &Digest) -> Option<PartOf> {
        self.0.get(&(repository.clone(), *digest))
    }

    pub(super) fn note_children(&self, repository: &RepoKey, index: &Manifest) {
        for (child, kind) in kinds(index) {
            self.note(repository, child, &kind);
        }
    }

    pub(super) fn note_layers(&self, repository: &RepoKey, image: &Manifest, kind: &ImageKind) {
        for layer in image.layers().iter().take(MAX_LINKS) {
            self.note(repository, layer.digest, kind);
        }
    }

    fn note(&self, repository: &RepoKey, digest: Digest, kind: &ImageKind) {
        let key = (repository.clone(), digest);
        let part = PartOf::with(kind, self.0.get(&key));
        self.0.insert(key, part);
    }
}

/// The children of an index and their platforms, as the index spells them.
pub(crate) fn kinds(index: &Manifest) -> impl Iterator<Item = (Digest, ImageKind)> {
    let images = index
        .entries()
        .iter()
        .filter(|entry| !entry.is_attestation());
    images
        .take(MAX_LINKS)
        .filter_map(|entry| Some((entry.digest, ImageKind::of_entry(entry)?)))
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
        assert_eq!(kinds_of(&"a".repeat(256)), 0);
    }

    #[test]
    fn a_part_of_images_for_several_platforms_says_nothing_of_any() {
        let named = |name: &str| ImageKind::Platform(name.into());
        let (amd64, arm64) = (named("linux/amd64"), named("linux/arm64"));
        let any = ImageKind::Any;
        let of = |kinds: &[&ImageKind]| {
            let part = |before, kind: &&ImageKind| Some(PartOf::with(kind, before));
            kinds.iter().fold(None, part)
        };
        let one = |kind: &ImageKind| Some(PartOf::One(kind.clone()));
        assert_eq!(of(&[&amd64, &amd64]), one(&amd64));
        assert_eq!(of(&[&amd64, &any]), one(&amd64));
        assert_eq!(of(&[&any, &amd64]), one(&amd64));
        assert_eq!(of(&[&any]), one(&any));
        for kinds in [[&amd64, &arm64, &arm64], [&arm64, &amd64, &any]] {
            assert_eq!(of(&kinds), Some(PartOf::Several));
        }
    }
}
