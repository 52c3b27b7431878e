//! The small documents of a bundle beside its lock: what tells other tools how to read it.

use std::collections::{HashMap, HashSet};

use manifest_model::Digest;
use serde_json::{Value, json};

use crate::lock::{Attached, Image, IndexContent, Lock};

/// Names of images in `index.json`, as containerd and docker read them.
const NAME_ANNOTATIONS: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];

/// What something attached refers to, as containerd reads it.
const SUBJECT_ANNOTATION: &str = "io.containerd.manifest.subject";

/// `oci-layout`.
pub(crate) const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// `index.json`: the images that other tools can load from this file alone.
pub(crate) fn index(lock: &Lock) -> Vec<u8> {
    let mut manifests: Vec<Value> = whole(lock).map(descriptor).collect();
    if lock.index == IndexContent::All {
        manifests.extend(attachments(lock));
    }
    bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }))
}

/// `manifest.json`, for `docker load` with the classic store and `podman load`.
pub(crate) fn docker_archive(lock: &Lock) -> Vec<u8> {
    let entry = |image: &Image| {
        let docker = image.docker.as_ref()?;
        Some(json!({
            "Config": path(&docker.config),
            "RepoTags": tags(image),
            "Layers": docker.layers.iter().map(path).collect::<Vec<_>>(),
        }))
    };
    bytes(&Value::Array(whole(lock).filter_map(entry).collect()))
}

/// The path of a blob in the layout.
pub(crate) fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn whole(lock: &Lock) -> impl Iterator<Item = &Image> {
    lock.images.iter().filter(|image| image.whole)
}

fn descriptor(image: &Image) -> Value {
    let name = image.name.to_string();
    let annotations: serde_json::Map<String, Value> = NAME_ANNOTATIONS
        .iter()
        .map(|&key| (key.to_owned(), Value::from(name.clone())))
        .collect();
    json!({
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": image.size,
        "annotations": annotations,
    })
}

/// What is attached and carried, each once and without a name, which would make it an image. The
/// subject tells newer containerd the same.
fn attachments(lock: &Lock) -> Vec<Value> {
    let sizes: HashMap<Digest, u64> = lock
        .carried()
        .map(|blob| (blob.digest, blob.size))
        .collect();
    let mut seen = HashSet::new();
    let attached = lock.images.iter().flat_map(|image| &image.attached);
    let carried = attached.filter_map(|attached| {
        let size = sizes.get(&attached.digest)?;
        seen.insert(attached.digest)
            .then(|| attachment(attached, *size))
    });
    carried.collect()
}

fn attachment(attached: &Attached, size: u64) -> Value {
    let mut descriptor = json!({
        "mediaType": attached.media_type,
        "digest": attached.digest,
        "size": size,
        "annotations": { SUBJECT_ANNOTATION: attached.subject },
    });
    if !attached.kind.is_empty() {
        descriptor["artifactType"] = Value::from(attached.kind.clone());
    }
    descriptor
}

/// Docker's format has no digests: an image that was asked for by digest gets no name.
fn tags(image: &Image) -> Vec<String> {
    match image.name.reference {
        manifest_model::Reference::Tag(_) => vec![image.name.to_string()],
        manifest_model::Reference::Digest(_) => Vec::new(),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("it is JSON")
}
