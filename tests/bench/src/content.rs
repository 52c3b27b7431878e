//! What is served: blobs that cannot be compressed, and a manifest that names them. The same at
//! every run.

use std::sync::Arc;

use manifest_model::{Algorithm, Digest};

/// The repository it all lies in.
pub(crate) const REPOSITORY: &str = "bench/app";
/// The tag of the manifest.
pub(crate) const TAG: &str = "latest";
/// The media type of the manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes with their digest.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) digest: Digest,
    pub(crate) bytes: Arc<Vec<u8>>,
}

impl Object {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: Digest::of(Algorithm::Sha256, &bytes),
            bytes: Arc::new(bytes),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Its path as a blob.
    pub(crate) fn blob_path(&self) -> String {
        format!("/v2/{REPOSITORY}/blobs/{}", self.digest)
    }
}

/// All there is.
pub(crate) struct Content {
    /// 5 KiB, the size of an image's configuration.
    pub(crate) small: Object,
    /// 64 MiB.
    pub(crate) middle: Object,
    /// 512 MiB.
    pub(crate) large: Object,
    pub(crate) manifest: Object,
}

impl Content {
    pub(crate) fn make() -> Self {
        let small = Object::new(noise(5 << 10, 1));
        let middle = Object::new(noise(64 << 20, 2));
        let large = Object::new(noise(512 << 20, 3));
        let manifest = manifest(&small, &[&middle, &large]);
        Self {
            small,
            middle,
            large,
            manifest,
        }
    }

    pub(crate) fn blobs(&self) -> [&Object; 3] {
        [&self.small, &self.middle, &self.large]
    }

    /// What is asked for where small answers count: a name, the path and what lies there.
    pub(crate) fn small_asks(&self) -> [(&'static str, String, &Object); 3] {
        let [by_digest, by_tag] = self.manifest_paths();
        [
            ("manifest by digest", by_digest, &self.manifest),
            ("manifest by tag", by_tag, &self.manifest),
            ("5 KiB blob", self.small.blob_path(), &self.small),
        ]
    }

    /// The paths of the manifest: by digest and by tag.
    pub(crate) fn manifest_paths(&self) -> [String; 2] {
        let digest = self.manifest.digest;
        [
            format!("/v2/{REPOSITORY}/manifests/{digest}"),
            format!("/v2/{REPOSITORY}/manifests/{TAG}"),
        ]
    }
}

/// Ten layers, as an image of some size has, so that the manifest has the length of a real one.
fn manifest(config: &Object, layers: &[&Object]) -> Object {
    let layers: Vec<String> = (0..10)
        .map(|index| {
            let layer = layers[index % layers.len()];
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)
        })
        .collect();
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{},"layers":[{}]}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", config),
        layers.join(",")
    );
    Object::new(text.into_bytes())
}

fn descriptor(media_type: &str, object: &Object) -> String {
    format!(
        r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#,
        object.digest,
        object.len()
    )
}

/// Xorshift: as good as random for what stores and moves it.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed);
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
