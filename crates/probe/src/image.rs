//! What a name of the probe means: an index of one image for each architecture.
//!
//! All of it is made from the nonce, and the nonce is in every piece: a node that has one probe's
//! image in store has nothing of another's, so each pull brings all kinds of objects.

use manifest_model::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::{
    program::{ARCHITECTURES, Architecture},
    tar::{Entry, tar},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A user that is not root, since a pod may insist on that.
const USER: &str = "65532:65532";

/// A manifest or a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of the bytes.
    pub digest: Digest,
    /// What they are.
    pub media_type: &'static str,
    /// Some 100 bytes to 3 KiB.
    pub bytes: Vec<u8>,
}

/// The image of a nonce.
#[derive(Clone, Debug)]
pub struct ProbeImage {
    index: Part,
    manifests: Vec<Part>,
    blobs: Vec<Part>,
}

impl ProbeImage {
    /// The same for the same nonce.
    pub fn of(nonce: &str) -> Self {
        let (mut manifests, mut blobs, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for architecture in &ARCHITECTURES {
            let layer = layer(architecture, nonce);
            let config = config(architecture, nonce, &layer);
            let manifest = Part::json(
                MANIFEST,
                &json!({
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": config.descriptor(),
                    "layers": [layer.descriptor()],
                }),
            );
            let mut entry = manifest.descriptor();
            entry["platform"] = platform(architecture);
            entries.push(entry);
            manifests.push(manifest);
            blobs.extend([config, layer]);
        }
        let index = Part::json(
            INDEX,
            &json!({
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": entries,
            }),
        );
        Self {
            index,
            manifests,
            blobs,
        }
    }

    /// The index, which the tag means.
    pub fn index(&self) -> &Part {
        &self.index
    }

    /// A manifest by its digest, the index too.
    pub fn manifest(&self, digest: &Digest) -> Option<&Part> {
        let mut all = self.manifests.iter().chain([&self.index]);
        all.find(|part| part.digest == *digest)
    }

    /// A blob by its digest.
    pub fn blob(&self, digest: &Digest) -> Option<&Part> {
        self.blobs.iter().find(|part| part.digest == *digest)
    }
}

impl Part {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            digest: Digest::of(Algorithm::Sha256, &bytes),
            media_type,
            bytes,
        }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest.to_string(),
            "size": self.bytes.len(),
        })
    }
}

fn layer(architecture: &Architecture, nonce: &str) -> Part {
    let program = architecture.program();
    let files = [
        Entry {
            name: "probe",
            mode: 0o755,
            bytes: &program,
        },
        Entry {
            name: "nonce",
            mode: 0o644,
            bytes: nonce.as_bytes(),
        },
    ];
    Part::new(LAYER, tar(&files))
}

fn config(architecture: &Architecture, nonce: &str, layer: &Part) -> Part {
    let mut config = platform(architecture);
    config["config"] = json!({
        "Entrypoint": ["/probe"],
        "User": USER,
        "WorkingDir": "/",
        "Labels": { "archway.probe": nonce },
    });
    // The layer is not compressed, so its own digest is that of its content.
    config["rootfs"] = json!({ "type": "layers", "diff_ids": [layer.digest.to_string()] });
    Part::json(CONFIG, &config)
}

fn platform(architecture: &Architecture) -> Value {
    let mut platform = json!({ "architecture": architecture.name, "os": "linux" });
    if let Some(variant) = architecture.variant {
        platform["variant"] = variant.into();
    }
    platform
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, process::Command};

    use super::*;

    fn json(part: &Part) -> Value {
        serde_json::from_slice(&part.bytes).unwrap()
    }

    fn digest(value: &Value) -> Digest {
        value["digest"].as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn every_descriptor_leads_to_bytes_of_its_digest_and_size() {
        let image = ProbeImage::of("abc");
        let index = json(image.index());
        let entries = index["manifests"].as_array().unwrap();
        let platforms: Vec<_> = entries
            .iter()
            .map(|entry| entry["platform"].to_string())
            .collect();
        assert_eq!(
            platforms,
            [
                r#"{"architecture":"amd64","os":"linux"}"#,
                r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#,
            ]
        );
        for entry in entries {
            let manifest = image.manifest(&digest(entry)).unwrap();
            assert_eq!(entry["size"], manifest.bytes.len());
            assert_eq!(
                Digest::of(Algorithm::Sha256, &manifest.bytes),
                manifest.digest
            );
            let manifest = json(manifest);
            let config = image.blob(&digest(&manifest["config"])).unwrap();
            let layer = image.blob(&digest(&manifest["layers"][0])).unwrap();
            assert_eq!(manifest["layers"][0]["size"], layer.bytes.len());
            let config = json(config);
            assert_eq!(config["architecture"], entry["platform"]["architecture"]);
            assert_eq!(config["rootfs"]["diff_ids"][0], layer.digest.to_string());
        }
    }

    #[test]
    fn two_nonces_share_no_bytes() {
        let digests = |nonce: &str| -> HashSet<String> {
            let image = ProbeImage::of(nonce);
            let all = image
                .manifests
                .iter()
                .chain(&image.blobs)
                .chain([&image.index]);
            all.map(|part| part.digest.to_string()).collect()
        };
        assert_eq!(digests("a"), digests("a"));
        assert_eq!(digests("a").len(), 7);
        assert!(digests("a").is_disjoint(&digests("b")));
    }

    #[test]
    fn tar_reads_a_layer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer.tar");
        let layer = layer(&ARCHITECTURES[0], "abc");
        std::fs::write(&path, &layer.bytes).unwrap();
        let listed = Command::new("tar").arg("-tvf").arg(&path).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let lines: Vec<_> = listed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .collect();
        assert_eq!(
            (lines[0][0], lines[0][2], lines[0][5]),
            ("-rwxr-xr-x", "129", "probe")
        );
        assert_eq!(
            (lines[1][0], lines[1][2], lines[1][5]),
            ("-rw-r--r--", "3", "nonce")
        );
    }
}
