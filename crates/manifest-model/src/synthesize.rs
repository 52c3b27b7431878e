//! Synthesized indexes: indexes made here, of images that were pushed under names of their own.
//!
//! The same images under the same names give the same bytes, so replicas agree on the digest
//! without talking to each other: the fields have a fixed order, the entries are sorted, and there
//! is neither a timestamp nor whitespace. No received manifest is changed; the result is a manifest
//! of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Algorithm, Descriptor, Digest, Manifest, ManifestError, MediaType, Platform};

/// The annotation that marks a synthesized index; its value is `true`.
pub const SYNTHETIC: &str = "io.archway.synthetic";

/// The annotation that lists the sources: `NAME:TAG@DIGEST`, sorted, joined by commas.
pub const SOURCES: &str = "io.archway.sources";

/// One source of a synthesized index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name at the registry: `team/hello:arm64`.
    pub name: String,
    /// The digest that the name resolved to.
    pub root: Digest,
    /// Its images, each with its platform, and the attestations about them. An index is not
    /// allowed.
    pub entries: Vec<Descriptor>,
}

/// The reason why no index can be synthesized.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SynthesisError {
    /// No source has an image.
    #[error("no source has an image to list")]
    Empty,
    /// Two images are for one platform, and choosing either would be a guess.
    #[error("two images for {platform}: {} and {}", candidates[0], candidates[1])]
    Ambiguous {
        /// The platform both are for.
        platform: Platform,
        /// The images, as `NAME:TAG@DIGEST`.
        candidates: [String; 2],
    },
    /// An image has no platform.
    #[error("the platform of image {0} is unknown")]
    NoPlatform(Digest),
    /// The result is no valid manifest, for instance because it is too large.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Makes the OCI index of all images of the sources, in an order that does not depend on theirs.
///
/// Platforms are normalised. The same image from two sources counts once; two images for one
/// platform are refused. Attestations come last.
pub fn synthesize(sources: &[Source]) -> Result<Manifest, SynthesisError> {
    let mut entries = images(sources)?;
    entries.extend(attestations(sources));
    let index = SynthesizedIndex {
        schema_version: 2,
        media_type: MediaType::OciIndex.as_str(),
        manifests: entries.into_iter().map(SynthesizedEntry::from).collect(),
        annotations: annotations(sources),
    };
    let bytes = serde_json::to_vec(&index).expect("strings and numbers are JSON");
    let manifest = Manifest::parse(bytes.into(), None, Algorithm::Sha256)?;
    Ok(manifest)
}

/// The sources of a synthesized index, as `NAME:TAG@DIGEST`; `None` for one that was pushed.
pub fn synthesized_from(index: &Manifest) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Annotated {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let Annotated { annotations } = serde_json::from_slice(index.bytes()).ok()?;
    let is_synthetic = index.is_index() && annotations.contains_key(SYNTHETIC);
    let sources = annotations.get(SOURCES).filter(|_| is_synthetic)?;
    Some(sources.split(',').map(str::to_owned).collect())
}

/// The index as JSON. The order of the fields decides the bytes and so the digest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SynthesizedIndex {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<SynthesizedEntry>,
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SynthesizedEntry {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    artifact_type: Box<str>,
}

impl From<Descriptor> for SynthesizedEntry {
    fn from(entry: Descriptor) -> Self {
        Self {
            media_type: entry.media_type.as_str().to_owned(),
            digest: entry.digest.to_string(),
            size: entry.size,
            platform: entry.platform,
            annotations: entry.annotations,
            artifact_type: entry.artifact_type,
        }
    }
}

fn images(sources: &[Source]) -> Result<Vec<Descriptor>, SynthesisError> {
    let mut found: Vec<(Descriptor, Platform, &Source)> = Vec::new();
    for source in sources {
        for entry in source.entries.iter().filter(|entry| !is_companion(entry)) {
            let platform = entry
                .platform
                .as_ref()
                .ok_or(SynthesisError::NoPlatform(entry.digest))?
                .normalized();
            let entry = Descriptor {
                platform: Some(platform.clone()),
                ..entry.clone()
            };
            found.push((entry, platform, source));
        }
    }
    found.sort_by(|(a, for_a, from_a), (b, for_b, from_b)| {
        (for_a, sort_key(a), &from_a.name).cmp(&(for_b, sort_key(b), &from_b.name))
    });
    found.dedup_by(|(b, for_b, _), (a, for_a, _)| for_a == for_b && a.digest == b.digest);
    if found.is_empty() {
        return Err(SynthesisError::Empty);
    }
    for pair in found.windows(2) {
        let [(a, platform, from_a), (b, other, from_b)] = pair else {
            continue;
        };
        if platform == other {
            return Err(SynthesisError::Ambiguous {
                platform: platform.clone(),
                candidates: [(from_a, a), (from_b, b)]
                    .map(|(source, entry)| format!("{}@{}", source.name, entry.digest)),
            });
        }
    }
    Ok(found.into_iter().map(|(entry, ..)| entry).collect())
}

fn attestations(sources: &[Source]) -> Vec<Descriptor> {
    let all = sources.iter().flat_map(|source| &source.entries);
    let mut found: Vec<_> = all.filter(|entry| is_companion(entry)).cloned().collect();
    found.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    found.dedup_by(|b, a| a.digest == b.digest);
    found
}

/// Whether an entry accompanies an image instead of being one.
fn is_companion(entry: &Descriptor) -> bool {
    entry.is_attestation() || entry.platform.as_ref().is_some_and(Platform::is_unknown)
}

/// A key for sorting that covers every field, so that only equal entries can change places.
fn sort_key(entry: &Descriptor) -> impl Ord {
    (
        entry.digest.to_string(),
        entry.media_type.as_str().to_owned(),
        entry.size,
        entry.annotations.clone(),
        entry.platform.clone(),
        entry.artifact_type.clone(),
    )
}

fn annotations(sources: &[Source]) -> BTreeMap<&'static str, String> {
    let mut names: Vec<_> = sources
        .iter()
        .map(|source| format!("{}@{}", source.name, source.root))
        .collect();
    names.sort();
    names.dedup();
    BTreeMap::from([(SYNTHETIC, "true".to_owned()), (SOURCES, names.join(","))])
}

#[cfg(test)]
mod tests;
