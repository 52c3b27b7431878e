//! One image of an index, and how much is stored of its manifest and of the blobs that it links.

use cache::{Cache, CacheError};
use manifest_model::{Descriptor, Digest, ImageConfig, Manifest, Platform};
use serde::{Deserialize, Serialize};

use super::{completeness::Completeness, stored::unless_unreadable, text};

/// One image or attestation of an index, or the only image of a tag without an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePart {
    /// Its platform; none where neither the index nor a stored config names one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::platform"
    )]
    pub platform: Option<Platform>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// For an attestation, the image it is about, as the index writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attests: Option<String>,
    /// The bundle that left it out, if it is absent for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out_by: Option<Digest>,
    /// How much of it is stored.
    pub state: Completeness,
    /// Bytes stored of it.
    pub stored: u64,
    /// Bytes of the whole; unknown while its manifest is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of foreign layers that are not stored, and not part of `size`: clients fetch them from
    /// their vendor.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub foreign: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde wants"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ImagePart {
    /// The part whose manifest is stored; `entry` is the index's descriptor of it. Blocks.
    pub(super) fn of_manifest(
        cache: &Cache,
        manifest: &Manifest,
        entry: Option<&Descriptor>,
    ) -> Result<Self, CacheError> {
        let own = manifest.bytes().len() as u64;
        let (mut here, mut size, mut foreign) = (own, own, 0);
        // What a link that cannot be read points to can never be stored.
        let mut whole = manifest.unreadable() == 0;
        for link in manifest.links() {
            if let Some(stored) = cache.peek_size(&link.digest)? {
                here += stored;
                size += stored;
            } else if link.is_foreign() {
                foreign += link.size;
            } else {
                size += link.size;
                whole = false;
            }
        }
        let platform = match entry.and_then(platform_of_entry) {
            Some(platform) => Some(platform),
            None => platform_of_config(cache, manifest)?,
        };
        Ok(Self {
            platform,
            digest: manifest.digest(),
            attests: entry.and_then(Descriptor::attested).map(str::to_owned),
            left_out_by: None,
            state: if whole {
                Completeness::Cached
            } else {
                Completeness::Partial
            },
            stored: here,
            size: Some(size),
            foreign,
        })
    }

    /// The part for an entry whose manifest is not stored.
    pub(super) fn absent(cache: &Cache, entry: &Descriptor) -> Self {
        Self {
            platform: platform_of_entry(entry),
            digest: entry.digest,
            attests: entry.attested().map(str::to_owned),
            left_out_by: cache.left_out_by(&entry.digest),
            state: Completeness::Absent,
            stored: 0,
            size: None,
            foreign: 0,
        }
    }

    /// The part for another entry that names the same manifest.
    pub(super) fn listed_again(&self, entry: &Descriptor) -> Self {
        Self {
            platform: platform_of_entry(entry).or_else(|| self.platform.clone()),
            attests: entry.attested().map(str::to_owned),
            ..self.clone()
        }
    }

    /// Whether it is an image, not an attestation about one.
    pub fn is_image(&self) -> bool {
        self.attests.is_none()
    }
}

fn platform_of_entry(entry: &Descriptor) -> Option<Platform> {
    entry.platform.as_ref().map(Platform::normalized)
}

fn platform_of_config(cache: &Cache, manifest: &Manifest) -> Result<Option<Platform>, CacheError> {
    let Some(config) = manifest.config() else {
        return Ok(None);
    };
    let limit = ImageConfig::MAX_BYTES as u64;
    let bytes = unless_unreadable(cache.peek_bytes(&config.digest, limit))?;
    let config = bytes.and_then(|bytes| ImageConfig::parse(&bytes).ok());
    let platform = config.and_then(|config| config.platform().cloned());
    // Not every config is an image's: an artifact's names no processor.
    let named = platform.filter(|platform| !platform.architecture.is_empty());
    Ok(named)
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn part(platform: &Platform) -> ImagePart {
        ImagePart {
            platform: Some(platform.normalized()),
            digest: Digest::of(Algorithm::Sha256, b"an image"),
            attests: None,
            left_out_by: None,
            state: Completeness::Absent,
            stored: 0,
            size: None,
            foreign: 0,
        }
    }

    #[test]
    fn the_json_of_a_part_reads_back_whatever_platform_its_index_names() {
        let named = |os: &str, architecture: &str, os_version: &str| Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            os_version: os_version.to_owned(),
            os_features: vec!["win32k".to_owned()],
            ..Platform::default()
        };
        for (platform, text) in [
            (named("linux", "x86_64", ""), "linux(+win32k)/amd64"),
            (
                named("windows", "amd64", "10.0.1"),
                "windows(10.0.1+win32k)/amd64",
            ),
            (named("Odd OS", "a/b/c/d", ""), "odd os(+win32k)/a/b/c/d"),
            (named("linux", "", ""), "linux(+win32k)"),
            (named("", "", ""), "linux(+win32k)"),
        ] {
            let part = part(&platform);
            let json = serde_json::to_value(&part).unwrap();
            assert_eq!(json["platform"], text);
            let read: ImagePart = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), json);
        }
    }
}
