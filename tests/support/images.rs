//! Small deterministic images, indexes and artifacts, made in memory, each in the form a kind of
//! registry content really has; and [`blob`]s of any size.
//!
//! A [`Content`] is all that a registry has to hold for one name: manifests (the root last) and
//! blobs.

pub mod blob;

use bytes::Bytes;
use manifest_model::{Algorithm, Digest};
use serde_json::{Value, json};

pub use blob::{BigBlob, Blob, noise};

/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A manifest or index, exactly as it is served.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The `Content-Type` it is served with.
    pub media_type: String,
    /// The bytes its digest is made of.
    pub bytes: Bytes,
    /// Its SHA-256 digest.
    pub digest: Digest,
    /// `os/arch[/variant]` as its index names it; empty where the index names none.
    pub platform: String,
}

impl Stored {
    /// Keeps `bytes` as they are.
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(Algorithm::Sha256, &bytes),
            platform: String::new(),
            bytes,
        }
    }

    fn of_json(media_type: &str, value: &Value) -> Self {
        Self::new(media_type, value.to_string())
    }

    fn for_platform(mut self, platform: &str) -> Self {
        platform.clone_into(&mut self.platform);
        self
    }

    /// The descriptor an index holds of it.
    pub fn descriptor(&self) -> Value {
        let mut value = json!({
            "mediaType": self.media_type,
            "digest": self.digest.to_string(),
            "size": self.bytes.len(),
        });
        if !self.platform.is_empty() {
            value["platform"] = platform_object(&self.platform);
        }
        value
    }
}

/// Everything one name of a registry leads to.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// All manifests and indexes; the last one is the root.
    pub manifests: Vec<Stored>,
    /// All configs and layers.
    pub blobs: Vec<Blob>,
}

impl Content {
    /// What the tag points to.
    pub fn root(&self) -> &Stored {
        self.manifests.last().expect("content has a root")
    }

    /// The manifest that the index lists for `platform`, written as the index does.
    pub fn child(&self, platform: &str) -> &Stored {
        self.manifests
            .iter()
            .find(|stored| stored.platform == platform)
            .unwrap_or_else(|| panic!("no {platform} in this content"))
    }

    /// The same content under another root, whose bytes are these.
    #[must_use]
    pub fn under(mut self, media_type: &str, root: impl Into<Bytes>) -> Self {
        self.manifests.push(Stored::new(media_type, root));
        self
    }

    fn absorb(&mut self, other: Self) {
        self.manifests.extend(other.manifests);
        self.blobs.extend(other.blobs);
    }

    fn with_root(mut self, root: Stored) -> Self {
        self.manifests.push(root);
        self
    }
}

/// How an image and its index spell things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// OCI media types.
    Oci,
    /// Docker's, schema 2.
    Docker,
}

/// The platforms of [`multi_platform`] and [`docker_list`], in the order of their index.
pub const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"];

/// One image of one platform: a config and two layers that differ with `name` and `platform`.
pub fn single(name: &str, platform: &str, flavor: Flavor) -> Content {
    let config = json!({
        "config": { "Labels": { "name": name } },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    let config = Blob::from(merged(config, &platform_object(platform)).to_string());
    let layers = [("base", 3_000), ("app", 9_000)]
        .map(|(part, size)| Blob::from(noise(&format!("{name}/{platform}/{part}"), size)));
    let (manifest_type, config_type, layer_type) = match flavor {
        Flavor::Oci => (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER),
        Flavor::Docker => (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER),
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": config.descriptor(config_type),
        "layers": layers.each_ref().map(|layer| layer.descriptor(layer_type)),
    });
    Content {
        manifests: vec![Stored::of_json(manifest_type, &manifest).for_platform(platform)],
        blobs: [vec![config], layers.to_vec()].concat(),
    }
}

/// An OCI index of images for [`PLATFORMS`].
pub fn multi_platform(name: &str) -> Content {
    index_of(name, &PLATFORMS, Flavor::Oci)
}

/// A Docker manifest list of images for [`PLATFORMS`].
pub fn docker_list(name: &str) -> Content {
    index_of(name, &PLATFORMS, Flavor::Docker)
}

/// An index of one image for each of `platforms`.
pub fn index_of(name: &str, platforms: &[&str], flavor: Flavor) -> Content {
    let mut content = Content::default();
    for platform in platforms {
        content.absorb(single(name, platform, flavor));
    }
    let index_type = match flavor {
        Flavor::Oci => OCI_INDEX,
        Flavor::Docker => DOCKER_LIST,
    };
    let root = index(index_type, &content.manifests);
    content.with_root(root)
}

/// What a current `BuildKit` pushes: two images and an attestation manifest for each of them.
pub fn attested(name: &str) -> Content {
    let mut content = Content::default();
    let mut entries = Vec::new();
    for platform in ["linux/amd64", "linux/arm64/v8"] {
        let image = single(name, platform, Flavor::Oci);
        entries.push(image.root().descriptor());
        let statement = Blob::from(format!("{{\"_type\":\"in-toto\",\"of\":\"{platform}\"}}"));
        let attestation = attestation(&statement);
        entries.push(merged(
            attestation.descriptor(),
            &json!({
                "platform": { "architecture": "unknown", "os": "unknown" },
                "annotations": {
                    "vnd.docker.reference.digest": image.root().digest.to_string(),
                    "vnd.docker.reference.type": "attestation-manifest",
                },
            }),
        ));
        content.absorb(image);
        content.manifests.push(attestation);
        content.blobs.extend([empty_config(), statement]);
    }
    let root = index_of_entries(OCI_INDEX, &entries);
    content.with_root(root)
}

fn attestation(statement: &Blob) -> Stored {
    Stored::of_json(
        OCI_MANIFEST,
        &json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": empty_config().descriptor(OCI_CONFIG),
            "layers": [statement.descriptor("application/vnd.in-toto+json")],
        }),
    )
}

/// An index whose only entry is an index of [`PLATFORMS`].
pub fn nested(name: &str) -> Content {
    let content = multi_platform(name);
    let root = index(OCI_INDEX, std::slice::from_ref(content.root()));
    content.with_root(root)
}

/// An index whose only entry says no platform: its config says it.
pub fn platformless(name: &str, platform: &str) -> Content {
    let mut content = single(name, platform, Flavor::Oci);
    content.manifests[0].platform.clear();
    let root = index(OCI_INDEX, &content.manifests);
    content.with_root(root)
}

/// An artifact manifest of `kind`, about `subject` where there is one, as signatures and SBOMs are.
pub fn artifact(name: &str, kind: &str, subject: Option<&Stored>) -> Content {
    let payload = Blob::from(noise(&format!("{name}/{kind}"), 500));
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": empty_config().descriptor("application/vnd.oci.empty.v1+json"),
        "layers": [payload.descriptor(kind)],
        "annotations": { "org.example.name": name },
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.descriptor();
    }
    Content {
        manifests: vec![Stored::of_json(OCI_MANIFEST, &manifest)],
        blobs: vec![empty_config(), payload],
    }
}

/// An index with one artifact in it, as registries without the referrers API have it under a tag.
pub fn artifacts(name: &str) -> Content {
    let content = artifact(name, "application/vnd.example.sbom", None);
    let root = index(OCI_INDEX, &content.manifests);
    content.with_root(root)
}

/// A manifest no serialiser would give back: tabs, CRLF, escapes, unknown fields, a trailing
/// newline.
pub fn odd(name: &str) -> Content {
    let mut content = single(name, "linux/amd64", Flavor::Oci);
    let plain = content.manifests.pop().expect("single has a manifest");
    let body: Value = serde_json::from_slice(&plain.bytes).expect("it was made from JSON");
    let text = format!(
        "{{\r\n\t\"x-unknown\" : [ 1.0, 1e3, {{ }} ],\n\n   \"schemaVersion\":2 ,\"mediaType\": \"{}\",\r\n\
         \t\"layers\"  :{},\n\"config\":\t{}, \"annotations\": {{ \"k\\u00e9y\": \"\\u0041\\/b\" }}\n}}\n\n",
        OCI_MANIFEST, body["layers"], body["config"],
    );
    content.with_root(Stored::new(OCI_MANIFEST, text))
}

/// An OCI manifest with `blobs` as its layers: what a repository links without a real image.
pub fn of_blobs(blobs: &[Blob]) -> Content {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": empty_config().descriptor(OCI_CONFIG),
        "layers": blobs.iter().map(|blob| blob.descriptor(OCI_LAYER)).collect::<Vec<_>>(),
    });
    Content {
        manifests: vec![Stored::of_json(OCI_MANIFEST, &manifest)],
        blobs: [vec![empty_config()], blobs.to_vec()].concat(),
    }
}

/// The same with a single blob.
pub fn of_blob(blob: &Blob) -> Content {
    of_blobs(std::slice::from_ref(blob))
}

/// An OCI index of [`of_blobs`] for each platform: images of any size.
pub fn index_of_blobs(images: &[(&str, &[Blob])]) -> Content {
    let mut content = Content::default();
    for (platform, blobs) in images {
        let mut image = of_blobs(blobs);
        (*platform).clone_into(&mut image.manifests[0].platform);
        content.absorb(image);
    }
    let root = index(OCI_INDEX, &content.manifests);
    content.with_root(root)
}

/// `os/arch[/variant]` as the object of the image specification.
pub fn platform_object(platform: &str) -> Value {
    let mut parts = platform.split('/');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (os, architecture, variant) = (next(), next(), next());
    let mut object = json!({ "os": os, "architecture": architecture });
    if let Some(variant) = variant {
        object["variant"] = variant.into();
    }
    object
}

fn index(media_type: &str, entries: &[Stored]) -> Stored {
    let entries: Vec<_> = entries.iter().map(Stored::descriptor).collect();
    index_of_entries(media_type, &entries)
}

fn index_of_entries(media_type: &str, entries: &[Value]) -> Stored {
    Stored::of_json(
        media_type,
        &json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries }),
    )
}

fn empty_config() -> Blob {
    Blob::from("{}".to_owned())
}

fn merged(mut object: Value, more: &Value) -> Value {
    let (object_map, more) = (object.as_object_mut(), more.as_object());
    object_map
        .expect("an object")
        .extend(more.expect("an object").clone());
    object
}
