//! Manifests: the bytes that were received, and beside them a view of what they say.
//!
//! The bytes are the truth, since their digest is the manifest's name; they are kept as they came and never written
//! anew. The view holds what a proxy has to know: what kind of manifest it is and what it links to.

mod children;
pub(crate) mod limits;

use std::sync::Arc;

use bytes::Bytes;

use crate::{Algorithm, Descriptor, Digest, ManifestError, MediaType};
use children::Children;
use limits::MAX_MANIFEST_BYTES;

/// A manifest or an index, as it was received. A clone shares everything with the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    bytes: Bytes,
    digest: Digest,
    media_type: MediaType,
    children: Children,
}

impl Manifest {
    /// Takes a body for a manifest and computes its digest with `algorithm`.
    ///
    /// Its media type is the body's own `mediaType`; without one `content_type`, if that is a kind of index or image; else it
    /// is guessed from the fields there are. Where those tell nothing, `content_type` counts if it names a format at all, as
    /// `application/json` does not.
    ///
    /// The view is lenient: unknown fields are ignored, `null` is as good as absent. Refused is what a client could not
    /// use, or what two clients could read as two different things:
    /// - a body that is larger than [`MAX_MANIFEST_BYTES`], no JSON object, or of no recognisable kind,
    /// - an index that has `config` or `layers`, an image that has `manifests` (schema 1 is let off),
    /// - a descriptor without a valid digest, or with a value of the wrong type.
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
    /// For a signed manifest of schema 1 that is not what registries call it by: they leave the signatures out.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// What kind of manifest it is.
    pub fn media_type(&self) -> &MediaType {
        &self.0.media_type
    }

    /// Whether it lists manifests and is no manifest of its own.
    pub fn is_index(&self) -> bool {
        self.0.media_type.is_index()
    }

    /// The entries of an index, in its order; of anything else there are none.
    pub fn entries(&self) -> &[Descriptor] {
        if self.is_index() {
            &self.0.children.manifests
        } else {
            &[]
        }
    }

    /// The configuration of an image.
    pub fn config(&self) -> Option<&Descriptor> {
        self.0.children.config.as_ref()
    }

    /// The layers of an image, lowest first. A manifest of schema 1 has none here: see [`links`](Self::links).
    pub fn layers(&self) -> &[Descriptor] {
        &self.0.children.layers
    }

    /// The manifest that this one is about.
    pub fn subject(&self) -> Option<&Descriptor> {
        self.0.children.subject.as_ref()
    }

    /// What kind of artifact it is, where it says so.
    pub fn artifact_type(&self) -> Option<&str> {
        self.0.children.artifact_type.as_deref()
    }

    /// Everything this manifest needs to be complete: the entries of an index, configuration, layers, the `fsLayers` of
    /// schema 1 and the `blobs` of an OCI artifact manifest. The subject is not among them.
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
