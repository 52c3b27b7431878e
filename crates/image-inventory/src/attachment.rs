//! Signatures, attestations and SBOMs as registries without a referrers API keep them: under a tag
//! made of the digest they are about.

use cache::{Cache, CacheError, RepoKey};
use manifest_model::{Digest, Tag};
use serde::{Deserialize, Serialize};

use super::{completeness::Completeness, part::ImagePart, stored::stored, text};

/// The ends of such a tag, behind the digest: none in the spec's own fallback, the others are
/// cosign's.
const SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// Something attached to an image by a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The tag it is kept under.
    #[serde(with = "text")]
    pub tag: Tag,
    /// How much of it is stored.
    pub state: Completeness,
}

impl Attachment {
    /// The known attachments of `digest`: those whose tags a client has asked for here. Blocks.
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
                Some(manifest) => ImagePart::of_manifest(cache, &manifest, None)?.state,
                None => Completeness::Absent,
            };
            attached.push(Self { tag, state });
        }
        Ok(attached)
    }

    /// Whether a tag belongs to an attachment, which is listed with its image and not on its own.
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
            assert_eq!(
                Attachment::is_name(&tag.parse().unwrap()),
                expected,
                "{tag}"
            );
        }
    }
}
