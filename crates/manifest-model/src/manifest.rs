//! Manifests: the received bytes, and beside them a parsed view.
//!
//! The bytes are the truth, because their digest is the manifest's name. They are kept as they came
//! and never serialised again. The view holds the kind of manifest and its links, which is all a
//! proxy has to know.

mod children;

use std::sync::Arc;

use bytes::Bytes;

use self::children::{Children, View};
use crate::{
    Algorithm, Choice, Descriptor, Digest, Matcher, MediaType, choose,
    error::{Ambiguity, ManifestError},
    limits::MAX_MANIFEST_BYTES,
};

/// A manifest or an index, as it was received. A clone is a cheap handle to the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    bytes: Bytes,
    digest: Digest,
    view: View,
    /// The view of a client that minds the case of keys, where it is another one.
    other: Option<View>,
}

impl Manifest {
    /// Parses the body of a manifest and computes its digest with `algorithm`.
    ///
    /// The media type is a function of the bytes: the body's own `mediaType` if it names a format,
    /// else OCI's, or schema 1, by the fields of the body. `content_type` only lets a body pass in
    /// which no field says what it is.
    ///
    /// The view is lenient, because passing bytes on needs none: unknown fields are ignored and
    /// `null` counts as absent. A descriptor that cannot be read (a digest of an unknown algorithm,
    /// a value of the wrong type) is left out and counted as [`unreadable`](Self::unreadable). Where
    /// two clients could read the body in two ways, [`choice`](Self::choice) refuses to choose by it.
    ///
    /// Refused is what is larger than [`MAX_MANIFEST_BYTES`], not a JSON object, or of no
    /// recognisable kind.
    pub fn parse(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        algorithm: Algorithm,
    ) -> Result<Self, ManifestError> {
        check_size(&bytes)?;
        let (view, other) = children::read(&bytes, content_type)?;
        Ok(Self::new(bytes, algorithm, view, other))
    }

    /// The same for bytes that were asked for by their digest: they are the ones that were meant,
    /// even if they are of no recognisable kind. Such a manifest has no links.
    ///
    /// Refused is only what is larger than [`MAX_MANIFEST_BYTES`].
    pub fn of_digest(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        algorithm: Algorithm,
    ) -> Result<Self, ManifestError> {
        check_size(&bytes)?;
        let (view, other) = children::read(&bytes, content_type)
            .unwrap_or_else(|problem| (View::of_unknown(&problem), None));
        Ok(Self::new(bytes, algorithm, view, other))
    }

    fn new(bytes: Bytes, algorithm: Algorithm, view: View, other: Option<View>) -> Self {
        let other = other.filter(|other| *other != view);
        Self(Arc::new(Inner {
            digest: Digest::of(algorithm, &bytes),
            bytes,
            view,
            other,
        }))
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
        &self.0.view.media_type
    }

    /// Whether it is an index: a list of manifests, one for each platform.
    pub fn is_index(&self) -> bool {
        self.media_type().is_index()
    }

    /// The entries of an index, in its order. Empty for any other manifest.
    pub fn entries(&self) -> &[Descriptor] {
        if self.is_index() {
            &self.children().manifests
        } else {
            &[]
        }
    }

    /// The configuration of an image, which an index does not have.
    pub fn config(&self) -> Option<&Descriptor> {
        self.children().config.as_ref()
    }

    /// The layers of an image, lowest first. Those of schema 1 are only in [`links`](Self::links).
    pub fn layers(&self) -> &[Descriptor] {
        &self.children().layers
    }

    /// The manifest this one refers to, as a signature refers to its image.
    pub fn subject(&self) -> Option<&Descriptor> {
        self.children().subject.as_ref()
    }

    /// The `artifactType`, if it has one.
    pub fn artifact_type(&self) -> Option<&str> {
        self.children().artifact_type.as_deref()
    }

    /// Whether it is an index of artifacts, which is for no platform: it says so itself, or all it
    /// lists are artifacts. Attestations do not count.
    pub fn is_index_of_artifacts(&self) -> bool {
        let mut listed = self
            .entries()
            .iter()
            .filter(|entry| !entry.is_attestation());
        let is_listed = |entry: &Descriptor| entry.is_artifact() || entry.media_type.is_artifact();
        self.is_index()
            && (self.artifact_type().is_some()
                || listed.clone().next().is_some() && listed.all(is_listed))
    }

    /// Whether it is an artifact that has the form of an image: it has a type, and its config is
    /// not one of an image.
    pub fn is_artifact(&self) -> bool {
        let is_runnable = |config: &Descriptor| config.media_type.is_image_config();
        self.artifact_type().is_some() && !self.config().is_some_and(is_runnable)
    }

    /// Everything the manifest needs to be complete: the entries of an index, the configuration,
    /// the layers, the `fsLayers` of schema 1 and the `blobs` of an OCI artifact manifest. The
    /// subject is not among them, nor what is [`unreadable`](Self::unreadable).
    pub fn links(&self) -> impl Iterator<Item = &Descriptor> {
        let children = self.children();
        children
            .manifests
            .iter()
            .chain(&children.config)
            .chain(&children.layers)
            .chain(&children.blobs)
    }

    /// How many links could not be read. What they point to can be neither chosen nor stored.
    pub fn unreadable(&self) -> usize {
        self.children().unreadable
    }

    /// The entry of an index that containerd would choose, as [`choose`] does; an error where
    /// another client, which reads the index in another way, would choose another.
    pub fn choice(&self, matcher: &Matcher) -> Result<Choice<'_>, Ambiguity> {
        if let Some(ambiguity) = self.ambiguity() {
            return Err(ambiguity);
        }
        let choice = choose(self.entries(), matcher);
        match &self.0.other {
            Some(other) if !choice.is_alike(&choose(&other.children.manifests, matcher)) => {
                Err(Ambiguity::Spelling)
            }
            _ => Ok(choice),
        }
    }

    /// Why it is not certain what kind of manifest this is. Its bytes can be passed on all the
    /// same, since each client has its own rule.
    pub fn ambiguity(&self) -> Option<Ambiguity> {
        let Inner { view, other, .. } = &*self.0;
        if view.is_two_kinds {
            return Some(Ambiguity::Kind);
        }
        let other = other.as_ref()?;
        let is_alike = !other.is_two_kinds
            && other.media_type == view.media_type
            && other.children.config == view.children.config;
        (!is_alike).then_some(Ambiguity::Spelling)
    }

    fn children(&self) -> &Children {
        &self.0.view.children
    }
}

fn check_size(bytes: &[u8]) -> Result<(), ManifestError> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { size: bytes.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
