//! One tag or digest, and how much of it is stored.

use std::time::{SystemTime, UNIX_EPOCH};

use cache::{Cache, CacheError, RepoKey};
use manifest_model::{Descriptor, Digest, ImageConfig, Manifest, Matcher, Platform};
use protocol::error_chain::ErrorChain;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Attached, descent::parts_of_index};

/// A tag or a digest of a repository and what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The upstream.
    pub upstream: String,
    /// The repository there.
    pub repository: String,
    /// The tag; none for a digest that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What the tag points at.
    pub digest: String,
    /// Whether that is an index.
    pub index: bool,
    /// When the upstream last confirmed the tag, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<u64>,
    /// When the upstream got it, in seconds since 1970; unknown unless it is asked (`pushed_at`) and says so.
    #[serde(default)]
    pub pushed: Option<u64>,
    /// When it was last asked for, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// How many clients have pulled it in the last 30 days; each address is one.
    #[serde(default)]
    pub clients: usize,
    /// Whether there may be more: that many are told apart at most.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clients_or_more: bool,
    /// Its images and their attestations, as the index lists them.
    pub parts: Vec<Part>,
    /// Signatures and the like that are kept under tags of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<Attached>,
}

/// One image of an index, or the only one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is for; none where neither the index nor a stored config says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its manifest.
    pub digest: String,
    /// For an attestation, the image it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attests: Option<String>,
    /// How much of it is stored.
    pub state: Completeness,
    /// Bytes stored of it.
    pub stored: u64,
    /// Bytes it has; unknown as long as its manifest is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// How much of an image is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// Nothing, as far as anybody knows.
    Absent,
    /// Its manifest, and perhaps more.
    Partial,
    /// All of it.
    Cached,
}

impl Completeness {
    /// The word in tables, JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Partial => "partial",
            Self::Cached => "cached",
        }
    }
}

impl Image {
    /// The image that is for exactly `wanted`: what its processor would run as well does not make it complete.
    pub fn part(&self, wanted: &Platform) -> Option<&Part> {
        let matcher = Matcher::strict(wanted);
        let fits = |part: &&Part| {
            part.attests.is_none()
                && part
                    .platform
                    .as_deref()
                    .and_then(|platform| platform.parse().ok())
                    .is_some_and(|platform| matcher.matches(&platform))
        };
        self.parts.iter().find(fits)
    }

    /// How much of it is here for `wanted`.
    pub fn completeness(&self, wanted: &Platform) -> Completeness {
        self.part(wanted)
            .map_or(Completeness::Absent, |part| part.state)
    }

    /// Whether some image of it does not say what it is for.
    pub fn has_unknown(&self) -> bool {
        self.parts
            .iter()
            .any(|part| part.attests.is_none() && part.platform.is_none())
    }

    /// The name people use: `HOST/REPOSITORY:TAG`.
    pub fn name(&self) -> String {
        let (upstream, repository) = (&self.upstream, &self.repository);
        match &self.tag {
            Some(tag) => format!("{upstream}/{repository}:{tag}"),
            None => format!("{upstream}/{repository}@{}", self.digest),
        }
    }

    /// Looks at what is stored of `digest`; `None` if the manifest itself is not. Blocks.
    pub(super) fn survey(
        cache: &Cache,
        repository: &RepoKey,
        tag: Option<(&str, SystemTime)>,
        digest: &Digest,
    ) -> Result<Option<Self>, CacheError> {
        let Some(manifest) = stored(cache, digest)? else {
            return Ok(None);
        };
        let parts = if manifest.is_index() {
            parts_of_index(cache, &manifest)?
        } else {
            vec![part_of(cache, &manifest, None)?]
        };
        let clients = cache.clients(repository, digest)?;
        Ok(Some(Self {
            upstream: repository.upstream().to_owned(),
            repository: repository.name().to_owned(),
            tag: tag.map(|(tag, _)| tag.to_owned()),
            digest: digest.to_string(),
            index: manifest.is_index(),
            confirmed: tag.map(|(_, confirmed)| seconds(confirmed)),
            pushed: None,
            used: cache.last_used(digest)?.map(seconds),
            clients: clients.count,
            clients_or_more: clients.or_more,
            parts,
            attached: Attached::survey(cache, repository, digest)?,
        }))
    }
}

/// Since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// A stored manifest that is what its digest says. Blocks.
pub fn stored(cache: &Cache, digest: &Digest) -> Result<Option<Manifest>, CacheError> {
    unless_unreadable(cache.peek_manifest(digest))
}

/// A file that cannot be read is nothing to tell of: it must not keep from sight what others hold.
fn unless_unreadable<T>(found: Result<Option<T>, CacheError>) -> Result<Option<T>, CacheError> {
    match found {
        Err(error @ CacheError::Io { .. }) => {
            warn!(error = %ErrorChain(&error), "a stored file is passed over");
            Ok(None)
        }
        found => found,
    }
}

pub(super) fn part_of(
    cache: &Cache,
    manifest: &Manifest,
    entry: Option<&Descriptor>,
) -> Result<Part, CacheError> {
    let own = manifest.bytes().len() as u64;
    let (mut here, mut size, mut whole) = (own, own, true);
    for link in manifest.links() {
        if let Some(stored) = cache.peek_size(&link.digest)? {
            here += stored;
            size += stored;
        } else {
            size += link.size;
            whole = false;
        }
    }
    let platform = match entry.and_then(platform_of_entry) {
        Some(platform) => Some(platform),
        None => platform_of_config(cache, manifest)?,
    };
    Ok(Part {
        platform,
        digest: manifest.digest().to_string(),
        attests: entry.and_then(Descriptor::attested).map(str::to_owned),
        state: if whole {
            Completeness::Cached
        } else {
            Completeness::Partial
        },
        stored: here,
        size: Some(size),
    })
}

pub(super) fn platform_of_entry(entry: &Descriptor) -> Option<String> {
    let platform = entry.platform.as_ref()?;
    Some(platform.to_string())
}

fn platform_of_config(cache: &Cache, manifest: &Manifest) -> Result<Option<String>, CacheError> {
    let Some(config) = manifest.config() else {
        return Ok(None);
    };
    let limit = ImageConfig::MAX_BYTES as u64;
    let bytes = unless_unreadable(cache.peek_bytes(&config.digest, limit))?;
    let config = bytes.and_then(|bytes| ImageConfig::parse(&bytes).ok());
    let platform = config.as_ref().and_then(ImageConfig::platform);
    Ok(platform.map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::support::{cache, index, store},
        *,
    };

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_passed_over() {
        let (cache, folder) = cache();
        let digest = store(&cache, &index("app", &[]), None).await;
        let path = folder.path().join("blobs/sha256").join(digest.hex());
        assert!(stored(&cache, &digest).unwrap().is_some());
        // A folder can be opened and not read, whoever tries.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(cache.peek_manifest(&digest).is_err());
        assert!(stored(&cache, &digest).unwrap().is_none());
    }
}
