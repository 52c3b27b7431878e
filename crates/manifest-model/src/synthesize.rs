//! An index made here, of images that were pushed under names of their own.
//!
//! Whoever has the same images under the same names makes the same bytes, so that replicas agree on the digest without
//! talking to each other: fixed order of fields, sorted entries, no time, no space. Nothing that was received is ever
//! changed by this; the result is a manifest like any other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Algorithm, Descriptor, Digest, Manifest, ManifestError, MediaType, Platform};

/// The annotation that tells an index made here from one that was pushed; its value is `true`.
pub const SYNTHETIC: &str = "io.archway.synthetic";

/// The annotation that names what it was made of: `NAME:TAG@DIGEST`, sorted, joined by commas.
pub const SOURCES: &str = "io.archway.sources";

/// One source of an index to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is called at its registry: `team/hello:arm64`.
    pub name: String,
    /// What that name led to.
    pub root: Digest,
    /// The images it brings, each with its platform, and the attestations about them. No index is among them.
    pub entries: Vec<Descriptor>,
}

/// Why there is no index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SynthesisError {
    /// No source brings an image.
    #[error("there is no image to list")]
    Empty,
    /// Two images for one platform: taking either would be a guess.
    #[error("two images for {platform}: {} and {}", candidates[0], candidates[1])]
    Ambiguous {
        /// The platform.
        platform: Platform,
        /// The images, as `NAME:TAG@DIGEST`.
        candidates: [String; 2],
    },
    /// An image whose platform nobody said.
    #[error("nothing says which platform {0} is for")]
    NoPlatform(Digest),
    /// What was made is no manifest a client would take.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// The OCI index of all images the sources bring, in an order that does not depend on theirs.
///
/// Platforms are written normalised. The same image from two sources counts once; two images for one platform are
/// refused. Attestations come last.
pub fn synthesize(sources: &[Source]) -> Result<Manifest, SynthesisError> {
    let mut entries = images(sources)?;
    entries.extend(attestations(sources));
    let index = Index {
        schema_version: 2,
        media_type: MediaType::OciIndex.as_str(),
        manifests: entries.into_iter().map(Entry::from).collect(),
        annotations: annotations(sources),
    };
    let bytes = serde_json::to_vec(&index).expect("strings and numbers are JSON");
    let manifest = Manifest::parse(bytes.into(), None, Algorithm::Sha256)?;
    Ok(manifest)
}

/// What an index says it was made of, as `NAME:TAG@DIGEST`; `None` for one that was pushed.
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

/// The order of the fields is that of the bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Entry>,
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl From<Descriptor> for Entry {
    fn from(entry: Descriptor) -> Self {
        Self {
            media_type: entry.media_type.as_str().to_owned(),
            digest: entry.digest.to_string(),
            size: entry.size,
            platform: entry.platform,
            annotations: entry.annotations,
        }
    }
}

fn images(sources: &[Source]) -> Result<Vec<Descriptor>, SynthesisError> {
    let mut found: Vec<(Descriptor, Platform, &Source)> = Vec::new();
    for source in sources {
        for entry in source.entries.iter().filter(|entry| !is_aside(entry)) {
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
        (for_a, order(a), &from_a.name).cmp(&(for_b, order(b), &from_b.name))
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
    let mut found: Vec<_> = all.filter(|entry| is_aside(entry)).cloned().collect();
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    found.dedup_by(|b, a| a.digest == b.digest);
    found
}

/// Whether an entry accompanies an image rather than being one.
fn is_aside(entry: &Descriptor) -> bool {
    entry.is_attestation() || entry.platform.as_ref().is_some_and(Platform::is_unknown)
}

/// Total, so that equal entries are all that can change places.
fn order(entry: &Descriptor) -> impl Ord {
    (
        entry.digest.to_string(),
        entry.media_type.as_str().to_owned(),
        entry.size,
        entry.annotations.clone(),
        entry.platform.clone(),
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
