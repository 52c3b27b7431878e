//! The lock: what a bundle holds, as canonical JSON.
//!
//! Keys are sorted and nothing is optional space, so equal locks are equal bytes. A reader keeps
//! the bytes it was given, since their digest is the bundle's id, and ignores keys it does not
//! know; an unknown [`FORMAT`] is refused.

mod texts;

use std::{collections::HashSet, fmt};

use manifest_model::{Algorithm, Descriptor, Digest, Platform, Tag};
use protocol::image_name::ImageName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::texts::{as_optional_text, optional_tag, parsed};
pub(crate) use self::texts::{as_text, whole_name};
use crate::series::SeriesName;

/// The format this crate writes, and the only one it reads.
pub const FORMAT: &str = "archway.bundle/1";

/// The most bytes of a lock. A site of 10,000 images has some 40 MB.
pub const MAX_LOCK_BYTES: u64 = 64 << 20;

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// All blobs, in the order of the file: manifests, then configs, then layers.
    pub blobs: Vec<Blob>,
    /// When the export began, in RFC 3339. Nothing depends on it: a site's clock may be wrong.
    pub created: String,
    /// [`FORMAT`].
    pub format: String,
    /// The images, by name.
    pub images: Vec<Image>,
    /// What `index.json` lists.
    #[serde(default, skip_serializing_if = "IndexContent::is_default")]
    pub index: IndexContent,
    /// The platforms that were asked for.
    pub platforms: Vec<PlatformName>,
    /// The ids of the bundles whose blobs a delta leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Digest>,
    /// The number of this bundle in its series: one more with each export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The series whose older bundles a site refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesName>,
}

/// What `index.json` lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexContent {
    /// The images that run from this file alone.
    #[default]
    Images,
    /// These and what is attached to them, which some tools would take for images.
    All,
}

impl IndexContent {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An image, under the name by which clients pull it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Signatures, SBOMs and what else refers to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<Attached>,
    /// The manifests of its index; empty for the manifest of one platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Child>,
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// What `manifest.json` says of it, for tools that know no OCI layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerImage>,
    /// The media type of its manifest or index.
    pub media_type: String,
    /// Its whole name, with a tag or a digest: `docker.io/library/hello:1.0`.
    #[serde(
        serialize_with = "as_text",
        deserialize_with = "whole_name",
        rename = "name"
    )]
    pub name: ImageName,
    /// The size of its manifest or index in bytes.
    pub size: u64,
    /// Whether this file alone holds all of it for each platform asked for. Only such images are
    /// in `index.json`: other tools claim to have loaded what is listed there.
    pub whole: bool,
}

/// A manifest of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its digest.
    pub digest: Digest,
    /// Its platform; absent where the index gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// Whether it is carried.
    pub presence: Presence,
}

/// Whether a child is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// It is, with all its blobs, in this bundle or one that it requires.
    #[serde(rename = "here")]
    Here,
    /// It is for a platform that was not asked for, or an attestation that was not stored.
    #[serde(rename = "left out")]
    LeftOut,
}

/// Something that refers to an image or to one of its children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its artifact type, else the media type of its config.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its media type, where it is no OCI manifest.
    #[serde(
        default = "oci_manifest",
        skip_serializing_if = "is_oci_manifest",
        rename = "mediaType"
    )]
    pub media_type: String,
    /// What it refers to.
    pub subject: Digest,
    /// The tag it was found under, as `sha256-HEX.sig`, where it is no referrer.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_optional_text",
        deserialize_with = "optional_tag"
    )]
    pub tag: Option<Tag>,
}

/// The end of cosign's tags for signatures.
const SIGNATURE_TAG: &str = ".sig";
/// What the types of signatures begin with.
const SIGNATURE_KINDS: [&str; 3] = [
    "application/vnd.dev.cosign.artifact.sig.",
    "application/vnd.dev.sigstore.bundle",
    "application/vnd.cncf.notary.signature",
];

impl Attached {
    /// Whether it is a signature: by cosign's tag, or by a type of cosign, sigstore or notation.
    pub fn is_signature(&self) -> bool {
        let tag = self.tag.as_ref();
        let is_of = |kind: &&str| self.kind.starts_with(kind);
        tag.is_some_and(|tag| tag.as_str().ends_with(SIGNATURE_TAG))
            || SIGNATURE_KINDS.iter().any(is_of)
    }
}

/// The image for one platform as docker's archive format wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerImage {
    /// The image config.
    pub config: Digest,
    /// The layers, lowest first.
    pub layers: Vec<Digest>,
}

/// A blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Where its bytes are.
    #[serde(rename = "in")]
    pub place: Place,
    /// Where its bytes begin, counted from the first blob's; absent for those of a base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Its size in bytes.
    pub size: u64,
}

/// Where the bytes of a blob are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In this file.
    Bundle,
    /// At the site already, by a bundle in [`Lock::requires`] or by its inventory.
    Base,
}

/// A platform in its text form, as a lock holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlatformName(pub Platform);

impl PlatformName {
    /// The platform of an entry of an index, unless it could not be read back, which would make the
    /// lock no lock.
    pub fn of_entry(entry: &Descriptor) -> Option<Self> {
        let platform = entry.platform.clone();
        let platform = platform.filter(|one| one.to_string().parse::<Platform>().is_ok());
        platform.map(Self)
    }
}

impl fmt::Display for PlatformName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for PlatformName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PlatformName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer).map(Self)
    }
}

/// Why a lock is refused.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is longer than any lock.
    #[error("the lock has {size} bytes; at most {MAX_LOCK_BYTES} are read")]
    TooLong {
        /// Its length as the file claims it.
        size: u64,
    },
    /// It is no lock.
    #[error("the lock is not valid")]
    Json(#[from] serde_json::Error),
    /// It is of a version that this program does not know.
    #[error("the bundle has the format \"{found}\"; this version reads \"{FORMAT}\"")]
    Format {
        /// The format it names.
        found: String,
    },
    /// A digest is named twice among the blobs.
    #[error("the lock lists the blob {0} twice")]
    Twice(Digest),
    /// Something refers to a blob that is not listed.
    #[error("the lock lists no blob {digest}, which {name} needs")]
    Missing {
        /// The digest.
        digest: Digest,
        /// The image.
        name: String,
    },
    /// A series without a sequence, or the other way round.
    #[error("the lock has a series without a sequence, or a sequence without a series")]
    Series,
    /// The sizes add up to more than a file can hold.
    #[error("the sizes in the lock are impossible")]
    Sizes,
}

impl Lock {
    /// Parses and judges a lock: its format, that each blob is listed once, and that all that
    /// images refer to is listed.
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        if bytes.len() as u64 > MAX_LOCK_BYTES {
            return Err(LockError::TooLong {
                size: bytes.len() as u64,
            });
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.format != FORMAT {
            return Err(LockError::Format { found: head.format });
        }
        let lock: Self = serde_json::from_slice(bytes)?;
        lock.check()?;
        Ok(lock)
    }

    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // By way of `Value`, whose maps are sorted.
        let value = serde_json::to_value(self).expect("a lock is JSON");
        let mut bytes = serde_json::to_vec(&value).expect("a lock is JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The id of the bundle with this lock.
    pub fn id(bytes: &[u8]) -> Digest {
        Digest::of(Algorithm::Sha256, bytes)
    }

    /// The blobs whose bytes are in the file, in its order.
    pub fn carried(&self) -> impl Iterator<Item = &Blob> {
        self.blobs.iter().filter(|blob| blob.place == Place::Bundle)
    }

    pub(crate) fn check(&self) -> Result<(), LockError> {
        if self.series.is_some() != self.sequence.is_some() {
            return Err(LockError::Series);
        }
        let mut listed = HashSet::with_capacity(self.blobs.len());
        for blob in &self.blobs {
            if !listed.insert(blob.digest) {
                return Err(LockError::Twice(blob.digest));
            }
        }
        for image in &self.images {
            if let Some(digest) = image.needs().find(|digest| !listed.contains(digest)) {
                return Err(LockError::Missing {
                    digest,
                    name: image.name.to_string(),
                });
            }
        }
        Ok(())
    }
}

impl Image {
    /// The digests that the lock itself says it needs: its manifest, the children that are here,
    /// what is attached. Their configs and layers follow from their bytes.
    pub fn needs(&self) -> impl Iterator<Item = Digest> {
        let here = |child: &&Child| child.presence == Presence::Here;
        let children = self.children.iter().filter(here).map(|child| child.digest);
        let attached = self.attached.iter().map(|attached| attached.digest);
        [self.digest].into_iter().chain(children).chain(attached)
    }
}

/// The media type of most of what is attached.
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn oci_manifest() -> String {
    OCI_MANIFEST.to_owned()
}

fn is_oci_manifest(media_type: &str) -> bool {
    media_type == OCI_MANIFEST
}

#[cfg(test)]
mod tests;
