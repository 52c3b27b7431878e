//! The content a manifest points to, read from its JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    Descriptor, MediaType,
    error::{DescriptorError, ManifestError},
    json::{self, Reader, Spelling, has_value},
};

/// The media type of a schema 1 layer; the manifest itself does not state it.
const SCHEMA1_LAYER_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The media type of an OCI artifact manifest. Only a release candidate of the image specification
/// had this kind, but clients still push it.
const OCI_ARTIFACT_TYPE: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// A manifest in one reading: its kind, and what it points to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) media_type: MediaType,
    pub(super) children: Children,
    /// Whether one client could read it as an index and another as an image.
    pub(super) is_two_kinds: bool,
}

impl View {
    /// The view of bytes that are no recognisable manifest, and why. Their type, too, is a function
    /// of the bytes.
    pub(super) fn of_unknown(problem: &ManifestError) -> Self {
        let media_type = match problem {
            ManifestError::NotObject | ManifestError::Unrecognised => "application/json",
            ManifestError::NotJson | ManifestError::TooLarge { .. } => "application/octet-stream",
        };
        Self {
            media_type: MediaType::Other(media_type.into()),
            children: Children::default(),
            is_two_kinds: false,
        }
    }
}

/// The descriptors of a manifest, by the field that held them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Children {
    pub(super) manifests: Vec<Descriptor>,
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Vec<Descriptor>,
    /// The `blobs` of an artifact manifest or the `fsLayers` of schema 1.
    pub(super) blobs: Vec<Descriptor>,
    pub(super) subject: Option<Descriptor>,
    pub(super) artifact_type: Option<Box<str>>,
    /// The descriptors that could not be read and are in none of the fields above, but the subject.
    pub(super) unreadable: usize,
}

/// The fields this crate reads, of all kinds of manifests. A `null` counts as present.
struct RawManifest<'a> {
    schema_version: Option<&'a RawValue>,
    media_type: Option<&'a RawValue>,
    artifact_type: Option<&'a RawValue>,
    manifests: Option<&'a RawValue>,
    config: Option<&'a RawValue>,
    layers: Option<&'a RawValue>,
    fs_layers: Option<&'a RawValue>,
    blobs: Option<&'a RawValue>,
    subject: Option<&'a RawValue>,
    signatures: Option<&'a RawValue>,
}

/// Reads the body of a manifest by the rules of [`Manifest::parse`](super::Manifest::parse): as Go
/// does, and as others do where that is not the same.
pub(super) fn read(
    body: &[u8],
    content_type: Option<&MediaType>,
) -> Result<(View, Option<View>), ManifestError> {
    // Like Go, which puts U+FFFD in place of what is not UTF-8.
    let text = String::from_utf8_lossy(body);
    let mut reader = Reader::new(Spelling::Last);
    let view = view(&mut reader, &text, content_type)?;
    if !reader.is_contested {
        return Ok((view, None));
    }
    let other = self::view(&mut Reader::new(Spelling::Exact), &text, content_type)?;
    Ok((view, Some(other)))
}

fn view(
    reader: &mut Reader,
    text: &str,
    content_type: Option<&MediaType>,
) -> Result<View, ManifestError> {
    let raw = RawManifest::read(reader, text).map_err(|()| {
        let json: Result<&RawValue, _> = serde_json::from_str(text);
        if json.is_ok() {
            ManifestError::NotObject
        } else {
            ManifestError::NotJson
        }
    })?;
    let media_type = raw.media_type(content_type)?;
    Ok(View {
        is_two_kinds: raw.is_two_kinds(&media_type),
        media_type,
        children: raw.children(reader),
    })
}

impl<'a> RawManifest<'a> {
    fn read(reader: &mut Reader, text: &'a str) -> Result<Self, ()> {
        let fields = [
            "schemaVersion",
            "mediaType",
            "artifactType",
            "manifests",
            "config",
            "layers",
            "fsLayers",
            "blobs",
            "subject",
            "signatures",
        ];
        let [
            schema_version,
            media_type,
            artifact_type,
            manifests,
            config,
            layers,
            fs_layers,
            blobs,
            subject,
            signatures,
        ] = reader.object(text, fields)?;
        Ok(Self {
            schema_version,
            media_type,
            artifact_type,
            manifests,
            config,
            layers,
            fs_layers,
            blobs,
            subject,
            signatures,
        })
    }

    /// The body's own media type, else one by its fields: a function of the bytes alone, since the
    /// same bytes come from several servers and from the disk.
    ///
    /// An own type that is none of a format, such as `text/html`, does not count: it would reach
    /// clients as a header. Where no field decides either, the `Content-Type` may say that this is
    /// a manifest at all, but never which.
    fn media_type(&self, content_type: Option<&MediaType>) -> Result<MediaType, ManifestError> {
        let own = json::text(self.media_type, "mediaType").unwrap_or_default();
        let is_typed = !own.is_empty();
        let Ok(own) = own.parse::<MediaType>();
        if own.names_a_format() {
            return Ok(own);
        }
        let is_said_to_be_one = is_typed || content_type.is_some_and(MediaType::names_a_format);
        self.guess()
            .or_else(|| is_said_to_be_one.then_some(MediaType::OciManifest))
            .ok_or(ManifestError::Unrecognised)
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

    /// Whether one client could read the body as an index and another as an image.
    fn is_two_kinds(&self, media_type: &MediaType) -> bool {
        let (index, image) = (has_value(self.manifests), has_value(self.layers));
        if media_type.is_schema1() {
            false
        } else if media_type.is_index() {
            image || has_value(self.config)
        } else if media_type.is_image() {
            index
        } else {
            index && image
        }
    }

    fn children(&self, reader: &mut Reader) -> Children {
        let artifact_type = json::text(self.artifact_type, "artifactType").unwrap_or_default();
        let mut children = Children {
            artifact_type: Some(artifact_type.into_boxed_str()).filter(|kind| !kind.is_empty()),
            ..Children::default()
        };
        let unreadable = &mut children.unreadable;
        children.manifests = list(reader, self.manifests, unreadable, Descriptor::from_json);
        children.layers = list(reader, self.layers, unreadable, Descriptor::from_json);
        children.blobs = list(reader, self.blobs, unreadable, Descriptor::from_json);
        let schema1 = list(reader, self.fs_layers, unreadable, schema1_layer);
        children.blobs.extend(schema1);
        children.config = one(reader, self.config, unreadable);
        children.subject = one(reader, self.subject, &mut 0);
        children
    }
}

/// Reads a descriptor that stands alone; one without a digest, as `{}`, points to nothing.
fn one(reader: &mut Reader, raw: Option<&RawValue>, unreadable: &mut usize) -> Option<Descriptor> {
    let raw = raw.filter(|raw| has_value(Some(raw)))?;
    if let Ok([digest]) = reader.object(raw.get(), ["digest"])
        && json::text(digest, "digest").is_ok_and(|digest| digest.is_empty())
    {
        return None;
    }
    let read = Descriptor::from_json(reader, raw.get());
    *unreadable += usize::from(read.is_err());
    read.ok()
}

/// Reads each element of a list with `read`; what is no list counts as one unreadable element.
fn list(
    reader: &mut Reader,
    raw: Option<&RawValue>,
    unreadable: &mut usize,
    read: impl Fn(&mut Reader, &str) -> Result<Descriptor, DescriptorError>,
) -> Vec<Descriptor> {
    let Some(raw) = raw else {
        return Vec::new();
    };
    let Ok(elements) = serde_json::from_str::<Option<Vec<&RawValue>>>(raw.get()) else {
        *unreadable += 1;
        return Vec::new();
    };
    let elements = elements.unwrap_or_default();
    let found: Vec<_> = elements
        .iter()
        .filter_map(|raw| read(reader, raw.get()).ok())
        .collect();
    *unreadable += elements.len() - found.len();
    found
}

/// Reads an element of `fsLayers`.
fn schema1_layer(reader: &mut Reader, text: &str) -> Result<Descriptor, DescriptorError> {
    let fields = reader.object(text, ["blobSum"]);
    let [digest] = fields.map_err(|()| DescriptorError::Malformed)?;
    let digest = json::text(digest, "blobSum").map_err(|field| DescriptorError::Field { field })?;
    Ok(Descriptor {
        media_type: MediaType::Other(SCHEMA1_LAYER_TYPE.into()),
        digest: digest.parse()?,
        size: 0,
        platform: None,
        annotations: BTreeMap::new(),
        artifact_type: Box::default(),
        has_urls: false,
    })
}
