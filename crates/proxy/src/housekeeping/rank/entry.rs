//! Which images are wanted here, by the indexes of a repository.

use std::{collections::HashMap, time::SystemTime};

use manifest_model::{Digest, Manifest};

use crate::prefetch::{ImageKind, PARTS_TTL, kinds};

/// An image, as the indexes of a repository list it.
#[derive(Debug, Default)]
pub(super) struct IndexedImage {
    pub(super) is_wanted: bool,
    /// When one of them was last asked for.
    index_used: Option<SystemTime>,
}

impl IndexedImage {
    /// Whether a client has asked for the image itself since `lately`, and not on the way from an
    /// index. On that way the index is asked for within the time for which a pull's parts are
    /// remembered, and the pull is learned.
    pub(super) fn is_asked_for_alone(&self, used: Option<SystemTime>, lately: SystemTime) -> bool {
        let by_index = |used: SystemTime| {
            let index = self.index_used.map(|index| index + PARTS_TTL);
            index.is_some_and(|until| used <= until)
        };
        used.is_some_and(|used| used >= lately && !by_index(used))
    }
}

/// Notes which entries of an index are wanted here. An image that several indexes list is wanted if
/// it is by one of them; an entry without a platform is not judged.
pub(super) fn judge(
    index: &Manifest,
    used: Option<SystemTime>,
    learned: &[ImageKind],
    seen: &mut HashMap<Digest, IndexedImage>,
) {
    let platforms: Vec<_> = learned.iter().filter_map(ImageKind::platform).collect();
    let chosen: Vec<ImageKind> = platforms
        .iter()
        .filter_map(|platform| ImageKind::chosen(index, platform))
        .collect();
    for (digest, kind) in kinds(index) {
        let fits =
            platforms.is_empty() || chosen.iter().chain(learned).any(|wanted| *wanted == kind);
        let entry: &mut IndexedImage = seen.entry(digest).or_default();
        entry.is_wanted |= fits;
        entry.index_used = entry.index_used.max(used);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use manifest_model::Algorithm;

    use super::*;

    /// Stands for [`ImageKind::Any`].
    const ANY: &str = "*";

    fn index(entries: &[(&str, &str)]) -> Manifest {
        let entry = |(name, architecture): &(&str, &str)| {
            let digest = Digest::of(Algorithm::Sha256, name.as_bytes());
            let platform = match *architecture {
                "" => String::new(),
                architecture => {
                    format!(r#","platform":{{"os":"linux","architecture":"{architecture}"}}"#)
                }
            };
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1{platform}}}"#
            )
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
            entries.join(",")
        );
        Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
    }

    fn judged(indexes: &[Manifest], learned: &[&str], name: &str) -> Option<bool> {
        let learned: Vec<_> = learned
            .iter()
            .map(|name| match *name {
                ANY => ImageKind::Any,
                name => ImageKind::Platform(name.into()),
            })
            .collect();
        let mut seen = HashMap::new();
        for index in indexes {
            judge(index, None, &learned, &mut seen);
        }
        let digest = Digest::of(Algorithm::Sha256, name.as_bytes());
        seen.get(&digest).map(|entry| entry.is_wanted)
    }

    #[test]
    fn an_entry_is_wanted_if_a_platform_that_is_pulled_would_choose_it() {
        let indexes = [index(&[("x", "amd64"), ("z", "s390x"), ("none", "")])];
        for (learned, name, expected) in [
            (&["linux/amd64"][..], "x", Some(true)),
            (&["linux/amd64"], "z", Some(false)),
            (&["linux/amd64/v3"], "x", Some(true)),
            (&["linux/amd64"], "none", None),
            (&[], "z", Some(true)),
            (&[ANY], "z", Some(true)),
            (&[ANY, "linux/amd64"], "z", Some(false)),
        ] {
            assert_eq!(
                judged(&indexes, learned, name),
                expected,
                "{learned:?} {name}"
            );
        }
    }

    #[test]
    fn one_index_that_wants_an_entry_is_enough() {
        let one = index(&[("shared", "s390x")]);
        let other = index(&[("shared", "amd64")]);
        for indexes in [[one.clone(), other.clone()], [other, one]] {
            assert_eq!(judged(&indexes, &["linux/amd64"], "shared"), Some(true));
        }
    }

    #[test]
    fn an_image_is_asked_for_alone_if_nobody_has_asked_for_its_index_as_lately() {
        let start = SystemTime::now();
        let at = |hours| start + Duration::from_hours(hours);
        let lately = at(10);
        for (index, image, expected) in [
            (Some(8), Some(12), true),
            (Some(12), Some(12), false),
            (Some(12), Some(13), false),
            (Some(13), Some(12), false),
            (Some(7), Some(9), false),
            (None, Some(12), true),
            (Some(8), None, false),
        ] {
            let entry = IndexedImage {
                is_wanted: false,
                index_used: index.map(at),
            };
            let is_alone = entry.is_asked_for_alone(image.map(at), lately);
            assert_eq!(is_alone, expected, "{index:?} {image:?}");
        }
    }

    #[test]
    fn the_last_use_of_any_of_its_indexes_counts() {
        let (early, late) = (SystemTime::UNIX_EPOCH, SystemTime::now());
        let index = index(&[("x", "amd64")]);
        let mut seen = HashMap::new();
        for used in [Some(early), Some(late), None] {
            judge(&index, used, &[], &mut seen);
        }
        let entry = seen.into_values().next().unwrap();
        assert_eq!(entry.index_used, Some(late));
    }
}
