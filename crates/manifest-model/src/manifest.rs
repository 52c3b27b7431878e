//! Manifests: the received bytes, and beside them a parsed view.
//!
//! The bytes are the truth, because their digest is the manifest's name. They are kept as they came
//! and never serialised again. The view holds the kind of manifest and its links, which is all a
//! proxy has to know.

mod children;

use std::sync::Arc;

use bytes::Bytes;

use self::children::Children;
use crate::{
    Algorithm, Descriptor, Digest, MediaType, error::ManifestError, limits::MAX_MANIFEST_BYTES,
};

/// A manifest or an index, as it was received. A clone is a cheap handle to the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    bytes: Bytes,
    digest: Digest,
    media_type: MediaType,
    children: Children,
}

impl Manifest {
    /// Parses the body of a manifest and computes its digest with `algorithm`.
    ///
    /// The media type comes from the first of these that has one:
    /// 1. the body's own `mediaType`,
    /// 2. `content_type`, if it is a kind of index or image,
    /// 3. a guess from the fields of the body,
    /// 4. `content_type`, if it names a format at all (`application/json` does not).
    ///
    /// The view is lenient: unknown fields are ignored and `null` counts as absent. A body is
    /// refused if no client could use it, or if two clients could read it in two ways:
    /// - it is larger than [`MAX_MANIFEST_BYTES`], not a JSON object, or of no recognisable kind,
    /// - it is an index with `config` or `layers`, or an image with `manifests` (schema 1 is
    ///   exempt),
    /// - one of its descriptors has no valid digest, or a value of the wrong type.
    pub fn parse(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        algorithm: Algorithm,
    ) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { size: bytes.len() });
        }
        let (media_type, children) = children::read(&bytes, content_type)?;
        let digest = Digest::of(algorithm, &bytes);
        Ok(Self(Arc::new(Inner {
            bytes,
            digest,
            media_type,
            children,
        })))
    }

    /// The body, byte for byte as it was received.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The digest of [`bytes`](Self::bytes).
    ///
    /// For a signed manifest of schema 1 it differs from the registry's digest, which leaves the
    /// signatures out.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The kind of manifest; [`parse`](Self::parse) describes where it comes from.
    pub fn media_type(&self) -> &MediaType {
        &self.0.media_type
    }

    /// Whether it is an index: a list of manifests, one for each platform.
    pub fn is_index(&self) -> bool {
        self.0.media_type.is_index()
    }

    /// The entries of an index, in its order. Empty for any other manifest.
    pub fn entries(&self) -> &[Descriptor] {
        if self.is_index() {
            &self.0.children.manifests
        } else {
            &[]
        }
    }

    /// The configuration of an image, which an index does not have.
    pub fn config(&self) -> Option<&Descriptor> {
        self.0.children.config.as_ref()
    }

    /// The layers of an image, lowest first. Those of schema 1 are only in [`links`](Self::links).
    pub fn layers(&self) -> &[Descriptor] {
        &self.0.children.layers
    }

    /// The manifest this one refers to, as a signature refers to its image.
    pub fn subject(&self) -> Option<&Descriptor> {
        self.0.children.subject.as_ref()
    }

    /// The `artifactType`, if it has one.
    pub fn artifact_type(&self) -> Option<&str> {
        self.0.children.artifact_type.as_deref()
    }

    /// Everything the manifest needs to be complete: the entries of an index, the configuration,
    /// the layers, the `fsLayers` of schema 1 and the `blobs` of an OCI artifact manifest. The
    /// subject is not among them.
    pub fn links(&self) -> impl Iterator<Item = &Descriptor> {
        let children = &self.0.children;
        children
            .manifests
            .iter()
            .chain(&children.config)
            .chain(&children.layers)
            .chain(&children.blobs)
    }
}

#[cfg(test)]
mod tests;
