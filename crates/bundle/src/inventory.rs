//! What a site has, as a file that travels back to where bundles are made.

use std::collections::BTreeMap;

use manifest_model::Digest;
use protocol::image_name::ImageName;
use serde::{Deserialize, Serialize};

use crate::lock::{as_text, whole_name};

/// The format this crate writes, and the only one it reads.
pub const INVENTORY_FORMAT: &str = "archway.inventory/1";

/// The content of a site: digests and names, and nothing of its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// All stored blobs, manifests included, with their sizes; sorted.
    pub blobs: BTreeMap<Digest, u64>,
    /// The ids of the bundles that were imported and not removed.
    pub bundles: Vec<Digest>,
    /// [`INVENTORY_FORMAT`].
    pub format: String,
    /// The tags and what they mean, by name.
    pub images: Vec<NamedDigest>,
}

/// A name and the digest it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedDigest {
    /// The digest.
    pub digest: Digest,
    /// The whole name.
    #[serde(serialize_with = "as_text", deserialize_with = "whole_name")]
    pub name: ImageName,
}

/// Why an inventory is refused.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// It is none.
    #[error("this is no inventory")]
    Json(#[from] serde_json::Error),
    /// It is of a version that this program does not know.
    #[error("the inventory has the format \"{found}\"; this version reads \"{INVENTORY_FORMAT}\"")]
    Format {
        /// The format it names.
        found: String,
    },
}

impl Inventory {
    /// Parses an inventory.
    pub fn parse(bytes: &[u8]) -> Result<Self, InventoryError> {
        let inventory: Self = serde_json::from_slice(bytes)?;
        if inventory.format != INVENTORY_FORMAT {
            return Err(InventoryError::Format {
                found: inventory.format,
            });
        }
        Ok(inventory)
    }

    /// Its bytes; equal inventories are equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("an inventory is JSON");
        bytes.push(b'\n');
        bytes
    }
}
