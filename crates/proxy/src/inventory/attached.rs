//! Signatures and the like, as registries without a referrers API keep them: under a tag made of the digest they are about.

use cache::{Cache, CacheError, RepoKey};
use manifest_model::{Digest, Tag};
use serde::{Deserialize, Serialize};

use super::image::{Completeness, part_of, stored};

/// What follows the digest in such a tag: nothing for the spec's own fallback, the rest is cosign's.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// Something attached to an image by a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its tag.
    pub tag: String,
    /// How much of it is stored.
    pub state: Completeness,
}

impl Attached {
    /// What is known to be attached to `digest`: tags somebody has asked for here.
    pub(super) fn survey(
        cache: &Cache,
        repository: &RepoKey,
        digest: &Digest,
    ) -> Result<Vec<Self>, CacheError> {
        let mut attached = Vec::new();
        for suffix in SUFFIXES {
            let Ok(tag) = format!("{}-{}{suffix}", digest.algorithm(), digest.hex()).parse::<Tag>()
            else {
                continue;
            };
            let Some(entry) = cache.tag(repository, &tag) else {
                continue;
            };
            let state = match stored(cache, &entry.digest)? {
                Some(manifest) => part_of(cache, &manifest, None)?.state,
                None => Completeness::Absent,
            };
            attached.push(Self {
                tag: tag.to_string(),
                state,
            });
        }
        Ok(attached)
    }

    /// Whether a tag is of this kind, so that it is listed with what it is about and not beside it.
    pub(super) fn is_name(tag: &Tag) -> bool {
        let name = SUFFIXES
            .iter()
            .rev()
            .find_map(|suffix| tag.as_str().strip_suffix(suffix))
            .unwrap_or_default();
        name.split_once('-')
            .is_some_and(|(algorithm, hex)| format!("{algorithm}:{hex}").parse::<Digest>().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_made_of_a_digest_are_attached_to_it() {
        let hex = "0".repeat(64);
        for (tag, expected) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.sig"), true),
            (format!("sha256-{hex}.other"), false),
            (format!("sha1-{hex}"), false),
            ("v1.sig".to_owned(), false),
        ] {
            assert_eq!(Attached::is_name(&tag.parse().unwrap()), expected, "{tag}");
        }
    }
}
