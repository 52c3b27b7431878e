//! The content a manifest points to, read from its JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Descriptor, MediaType,
    error::{DescriptorError, ManifestError},
    json,
};

/// The media type of a schema 1 layer; the manifest itself does not state it.
const SCHEMA1_LAYER_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The media type of an OCI artifact manifest. Only a release candidate of the image specification
/// had this kind, but clients still push it.
const OCI_ARTIFACT_TYPE: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// The descriptors of a manifest, by the field that held them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Children {
    pub(super) manifests: Vec<Descriptor>,
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Vec<Descriptor>,
    /// The `blobs` of an artifact manifest or the `fsLayers` of schema 1.
    pub(super) blobs: Vec<Descriptor>,
    pub(super) subject: Option<Descriptor>,
    pub(super) artifact_type: Option<Box<str>>,
}

/// The fields this crate reads, of all kinds of manifests. A `null` counts as present.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    schema_version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    media_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    artifact_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    manifests: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    config: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    layers: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    fs_layers: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    blobs: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    subject: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    signatures: Option<&'a RawValue>,
}

/// An element of `fsLayers`.
#[derive(Deserialize)]
struct FsLayer<'a> {
    #[serde(borrow, rename = "blobSum")]
    blob_sum: Option<&'a RawValue>,
}

/// Reads the body of a manifest by the rules of [`Manifest::parse`](super::Manifest::parse).
pub(super) fn read(
    body: &[u8],
    content_type: Option<&MediaType>,
) -> Result<(MediaType, Children), ManifestError> {
    let text = std::str::from_utf8(body).map_err(|_| ManifestError::NotJson)?;
    let raw: RawManifest<'_> = json::object(text).map_err(|()| {
        let json: Result<&RawValue, _> = serde_json::from_str(text);
        if json.is_ok() {
            ManifestError::NotObject
        } else {
            ManifestError::NotJson
        }
    })?;
    let media_type = raw.media_type(content_type)?;
    raw.check_shape(&media_type)?;
    Ok((media_type, raw.children()?))
}

impl RawManifest<'_> {
    /// The body's own media type, else the `Content-Type` or a guess.
    ///
    /// The `Content-Type` of an index or an image wins over a guess, and must then fit the fields.
    /// Any other one counts only without a guess: another server may send the same bytes with
    /// another header.
    fn media_type(&self, content_type: Option<&MediaType>) -> Result<MediaType, ManifestError> {
        let own: String = string(self.media_type, "mediaType")?;
        if !own.is_empty() {
            let Ok(own) = own.parse();
            return Ok(own);
        }
        match (content_type, self.guess()) {
            // `check_shape` compares these with the fields.
            (Some(given), _) if given.is_index() || given.is_image() => Ok(given.clone()),
            (Some(given), Some(guess)) if given.is_schema1() && guess.is_schema1() => {
                Ok(given.clone())
            }
            (_, Some(guess)) => Ok(guess),
            (Some(given), None) if given.names_a_format() => Ok(given.clone()),
            (_, None) => Err(ManifestError::Unrecognised),
        }
    }

    /// Guesses the kind from the fields. Only OCI manifests, artifact manifests and schema 1 may
    /// lack a media type of their own. A `null` field counts only if no other field decides.
    fn guess(&self) -> Option<MediaType> {
        let version1 = self
            .schema_version
            .is_some_and(|version| version.get() == "1");
        if self.fs_layers.is_some() || version1 {
            let signed = self.signatures.is_some();
            return Some(if signed {
                MediaType::DockerSchema1Signed
            } else {
                MediaType::DockerSchema1
            });
        }
        self.guess_by(has_value)
            .or_else(|| self.guess_by(|field| field.is_some()))
    }

    /// Guesses by the first field that `counts`.
    fn guess_by(&self, counts: impl Fn(Option<&RawValue>) -> bool) -> Option<MediaType> {
        if counts(self.manifests) {
            Some(MediaType::OciIndex)
        } else if counts(self.config) || counts(self.layers) {
            Some(MediaType::OciManifest)
        } else {
            counts(self.blobs).then(|| MediaType::Other(OCI_ARTIFACT_TYPE.into()))
        }
    }

    /// Refuses a body that one client would read as an index and another as an image.
    fn check_shape(&self, media_type: &MediaType) -> Result<(), ManifestError> {
        let (index, image) = (has_value(self.manifests), has_value(self.layers));
        let ambiguous = if media_type.is_schema1() {
            false
        } else if media_type.is_index() {
            image || has_value(self.config)
        } else if media_type.is_image() {
            index
        } else {
            index && image
        };
        if ambiguous {
            Err(ManifestError::Ambiguous)
        } else {
            Ok(())
        }
    }

    fn children(&self) -> Result<Children, ManifestError> {
        let mut blobs = list(self.blobs, "blobs", Descriptor::from_json)?;
        blobs.extend(list(self.fs_layers, "fsLayers", schema1_layer)?);
        let artifact_type: String = string(self.artifact_type, "artifactType")?;
        Ok(Children {
            manifests: list(self.manifests, "manifests", Descriptor::from_json)?,
            config: one(self.config, "config")?,
            layers: list(self.layers, "layers", Descriptor::from_json)?,
            blobs,
            subject: one(self.subject, "subject")?,
            artifact_type: Some(artifact_type)
                .filter(|kind| !kind.is_empty())
                .map(String::into_boxed_str),
        })
    }
}

/// Whether a field is present and not `null`.
fn has_value(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get() != "null")
}

fn string(raw: Option<&RawValue>, field: &'static str) -> Result<String, ManifestError> {
    json::field(raw, field).map_err(|field| ManifestError::Field { field })
}

fn one(raw: Option<&RawValue>, field: &'static str) -> Result<Option<Descriptor>, ManifestError> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) => match Descriptor::from_json(text) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(source) => Err(ManifestError::Descriptor { field, source }),
        },
    }
}

/// Reads each element of a list with `read`; an absent or `null` list is empty.
fn list(
    raw: Option<&RawValue>,
    field: &'static str,
    read: impl Fn(&str) -> Result<Descriptor, DescriptorError>,
) -> Result<Vec<Descriptor>, ManifestError> {
    let elements: Option<Vec<&RawValue>> = match raw {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| ManifestError::Field { field })?,
        None => None,
    };
    let elements = elements.unwrap_or_default();
    let entry = |(index, raw): (usize, &&RawValue)| {
        read(raw.get()).map_err(|source| ManifestError::Entry {
            field,
            index,
            source,
        })
    };
    elements.iter().enumerate().map(entry).collect()
}

fn schema1_layer(text: &str) -> Result<Descriptor, DescriptorError> {
    let raw: FsLayer<'_> = json::object(text).map_err(|()| DescriptorError::Malformed)?;
    let digest: String =
        json::field(raw.blob_sum, "blobSum").map_err(|field| DescriptorError::Field { field })?;
    Ok(Descriptor {
        media_type: MediaType::Other(SCHEMA1_LAYER_TYPE.into()),
        digest: digest.parse()?,
        size: 0,
        platform: None,
        annotations: BTreeMap::new(),
    })
}
