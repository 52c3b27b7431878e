//! What an export is asked to carry.

use std::collections::HashSet;

use manifest_model::{Digest, Platform};

use crate::lock::IndexContent;

/// What to carry of each image.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The platforms; none means all of them.
    pub platforms: Vec<Platform>,
    /// What of the things attached to images is carried.
    pub attached: AttachedScope,
    /// Whether an image without a signature is an error.
    pub require_signatures: bool,
    /// What `index.json` lists.
    pub index: IndexContent,
    /// The platform of `manifest.json`; none of the selected ones if absent.
    pub docker: Option<Platform>,
    /// Blobs that the site has.
    pub base: HashSet<Digest>,
    /// The bundles that brought them.
    pub requires: Vec<Digest>,
}

/// What is carried of that which is attached to images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachedScope {
    /// All of it.
    #[default]
    All,
    /// Signatures alone.
    Signatures,
    /// Nothing.
    None,
}
