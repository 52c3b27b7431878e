//! `GET /_archway/v1/images/NAME`: one image, with all that it consists of.

use std::collections::BTreeMap;

use manifest_model::Digest;
use serde::{Deserialize, Serialize};

use crate::{EvictionClass, Time};

/// One image. `Image` is a row of `GET /_archway/v1/images`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDetail<Image> {
    /// What the list says of it.
    pub image: Image,
    /// The stored manifests of the image: its index, if it has one, then those below.
    pub manifests: Vec<ManifestDetail>,
    /// Other tags of the repository that point at the same digest, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_digest: Vec<String>,
}

/// One stored manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestDetail {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub size: u64,
    /// Its platform, where it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Time>,
    /// Its annotations: texts that its author chose.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it names, in its order: the manifests of an index, or config and layers.
    pub links: Vec<LinkedBlob>,
}

/// What a manifest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedBlob {
    /// What it is to the manifest.
    pub role: LinkRole,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes, as the manifest says.
    pub size: u64,
    /// Whether it is stored.
    pub stored: bool,
    /// Where it stands in the order of eviction; none if it is not stored, or pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<EvictionClass>,
    /// When it was last used, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Time>,
    /// Its platform, if it is a manifest of an index that tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// What a link is to its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkRole {
    /// A manifest of an index.
    Manifest,
    /// The config of an image.
    Config,
    /// A layer of an image.
    Layer,
}
