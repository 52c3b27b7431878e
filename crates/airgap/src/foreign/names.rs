//! The name of an image in a layout, which each tool writes in its own way.

use std::collections::HashMap;

use manifest_model::{Digest, Reference, Tag};
use protocol::image_name::ImageName;

use crate::rename::NewPlace;

/// The whole name: of containerd, nerdctl and docker.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// A whole name, a name without a registry, or a tag alone.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The whole name of a manifest. One that lacks a registry or a repository gets those of `place`, with
/// its tag; one without anything is known by its digest there.
pub(super) fn of(
    annotations: &HashMap<String, String>,
    digest: Digest,
    place: Option<&NewPlace>,
) -> Option<ImageName> {
    let texts = [CONTAINERD_NAME, REF_NAME].map(|key| annotations.get(key));
    let texts = texts.into_iter().flatten();
    let names = texts
        .clone()
        .filter_map(|text| text.parse::<ImageName>().ok());
    if let Some(name) = names.into_iter().find(|name| name.host.is_some()) {
        return Some(name);
    }
    let tag = texts.clone().find_map(|text| tag(text));
    let reference = tag.map_or(Reference::Digest(digest), Reference::Tag);
    place.map(|place| place.name(reference))
}

/// Whether the layout gives a manifest any name.
pub(super) fn is_named(annotations: &HashMap<String, String>) -> bool {
    [CONTAINERD_NAME, REF_NAME]
        .iter()
        .any(|key| annotations.contains_key(*key))
}

/// The tag of `hello:1.0`, and `1.0` itself.
fn tag(text: &str) -> Option<Tag> {
    let last = text.rsplit('/').next()?;
    last.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    #[test]
    fn a_name_is_whole_or_made_so_by_the_place_it_goes_to() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        let place: NewPlace = "quay.io/team/app".parse().unwrap();
        let by_digest = format!("quay.io/team/app@{digest}");
        for (containerd, ref_name, alone, placed) in [
            (
                "docker.io/library/a:1",
                "1",
                Some("docker.io/library/a:1"),
                "docker.io/library/a:1",
            ),
            ("", "ghcr.io/b/c:2", Some("ghcr.io/b/c:2"), "ghcr.io/b/c:2"),
            ("", "3", None, "quay.io/team/app:3"),
            ("", "a:4", None, "quay.io/team/app:4"),
            ("", "", None, &by_digest),
        ] {
            let pairs = [(CONTAINERD_NAME, containerd), (REF_NAME, ref_name)];
            let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
            let annotations = pairs.map(|(key, text)| (key.to_owned(), text.to_owned()));
            let annotations: HashMap<_, _> = annotations.collect();
            let shown = |place| of(&annotations, digest, place).map(|name| name.to_string());
            assert_eq!(shown(None).as_deref(), alone);
            assert_eq!(shown(Some(&place)).as_deref(), Some(placed));
        }
    }
}
