//! The images the clients pull: small, but whole. Real tar layers with the diff ids that containerd
//! and docker check when they unpack, configs, and an index over three platforms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::images::noise;
use manifest_model::{Algorithm, Digest};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cell::{output, write};
use crate::tools;

/// The tag every image has.
pub(crate) const TAG: &str = "1.0";

/// Layers above this size do not arrive in one piece, so that cutting and copying in parts is seen
/// too.
const BASE_BYTES: usize = 300_000;

/// The two ways an image for several platforms is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Oci,
    Docker,
}

/// One image for several platforms, and everything it consists of.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) kind: Kind,
    /// Its last path component.
    pub(crate) name: &'static str,
    pub(crate) index: Digest,
    /// By architecture.
    pub(crate) children: BTreeMap<&'static str, Child>,
    /// Every blob and manifest.
    blobs: BTreeMap<Digest, Vec<u8>>,
}

/// The manifest of one platform.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) manifest: Digest,
    pub(crate) layers: BTreeSet<Digest>,
    manifest_size: usize,
    variant: &'static str,
}

struct MediaTypes {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

impl Kind {
    fn media_types(self) -> MediaTypes {
        match self {
            Self::Oci => MediaTypes {
                index: "application/vnd.oci.image.index.v1+json",
                manifest: "application/vnd.oci.image.manifest.v1+json",
                config: "application/vnd.oci.image.config.v1+json",
                layer: "application/vnd.oci.image.layer.v1.tar+gzip",
            },
            Self::Docker => MediaTypes {
                index: "application/vnd.docker.distribution.manifest.list.v2+json",
                manifest: "application/vnd.docker.distribution.manifest.v2+json",
                config: "application/vnd.docker.container.image.v1+json",
                layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
            },
        }
    }
}

impl Image {
    /// One for all platforms, `oci` or `docker`.
    pub(crate) fn new(kind: Kind) -> Self {
        let name = match kind {
            Kind::Oci => "oci",
            Kind::Docker => "docker",
        };
        Self::of(kind, name, &["amd64", "arm64", "arm"])
    }

    /// One whose index lists these architectures and no others.
    pub(crate) fn of(kind: Kind, name: &'static str, architectures: &[&'static str]) -> Self {
        let mut image = Self::without_index(kind, name, architectures);
        let manifests = image.entries();
        image.add_index(&manifests);
        image
    }

    /// One as buildx makes it: for all platforms, and with an attestation of each.
    pub(crate) fn attested() -> Self {
        let mut image = Self::without_index(Kind::Oci, "attested", &["amd64", "arm64", "arm"]);
        let mut manifests = image.entries();
        let children: Vec<Digest> = image
            .children
            .values()
            .map(|child| child.manifest)
            .collect();
        manifests.extend(
            children
                .into_iter()
                .map(|child| image.add_attestation(child)),
        );
        image.add_index(&manifests);
        image
    }

    fn without_index(kind: Kind, name: &'static str, architectures: &[&'static str]) -> Self {
        let mut image = Self {
            kind,
            name,
            index: Digest::of(Algorithm::Sha256, b""),
            children: BTreeMap::new(),
            blobs: BTreeMap::new(),
        };
        for &architecture in architectures {
            let variant = match architecture {
                "arm64" => "v8",
                "arm" => "v7",
                _ => "",
            };
            let child = image.add_child(architecture, variant);
            image.children.insert(architecture, child);
        }
        image
    }

    /// The entries of its platforms.
    fn entries(&self) -> Vec<Value> {
        let children = self.children.iter();
        children
            .map(|(name, child)| self.entry(name, child))
            .collect()
    }

    fn add_index(&mut self, manifests: &[Value]) {
        let media_types = self.kind.media_types();
        let index =
            json!({"schemaVersion": 2, "mediaType": media_types.index, "manifests": manifests});
        self.index = self.add(index.to_string().into_bytes()).0;
    }

    /// Adds the attestation of a child; its entry in the index.
    fn add_attestation(&mut self, child: Digest) -> Value {
        let media_types = self.kind.media_types();
        let predicate = "https://slsa.dev/provenance/v0.2";
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": predicate,
            "subject": [{"name": self.name, "digest": {"sha256": child.hex()}}],
            "predicate": {},
        });
        let statement = self.add(statement.to_string().into_bytes());
        let config = json!({
            "os": "unknown", "architecture": "unknown", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [statement.0.to_string()]},
        });
        let config = self.add(config.to_string().into_bytes());
        let mut layer = descriptor("application/vnd.in-toto+json", statement);
        layer["annotations"] = json!({"in-toto.io/predicate-type": predicate});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_types.manifest,
            "config": descriptor(media_types.config, config), "layers": [layer],
        });
        let manifest = self.add(manifest.to_string().into_bytes());
        let mut entry = descriptor(media_types.manifest, manifest);
        entry["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        entry["annotations"] = json!({
            "vnd.docker.reference.digest": child.to_string(),
            "vnd.docker.reference.type": "attestation-manifest",
        });
        entry
    }

    /// All digests the image consists of, the index too.
    pub(crate) fn digests(&self) -> BTreeSet<Digest> {
        self.blobs.keys().copied().collect()
    }

    /// The architectures whose layers are all among these.
    pub(crate) fn architectures_in(&self, present: &BTreeSet<Digest>) -> Vec<&'static str> {
        self.children
            .iter()
            .filter(|(_, child)| child.layers.is_subset(present))
            .map(|(architecture, _)| *architecture)
            .collect()
    }

    /// Writes the image where skopeo can copy it from without changing a byte; gives skopeo's name
    /// for it.
    pub(crate) fn store(&self, folder: &Path) -> String {
        match self.kind {
            Kind::Oci => self.store_layout(folder),
            Kind::Docker => self.store_folder(folder),
        }
    }

    fn store_layout(&self, folder: &Path) -> String {
        for (digest, bytes) in &self.blobs {
            write(&folder.join("blobs/sha256").join(digest.hex()), bytes);
        }
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": self.kind.media_types().index,
            "digest": self.index.to_string(),
            "size": self.blobs[&self.index].len(),
            "annotations": {"org.opencontainers.image.ref.name": TAG},
        }]});
        write(&folder.join("index.json"), index.to_string());
        write(
            &folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        );
        format!("oci:{}:{TAG}", folder.display())
    }

    /// The form of skopeo's `dir:`, which keeps Docker's media types.
    fn store_folder(&self, folder: &Path) -> String {
        let manifests: BTreeSet<Digest> =
            self.children.values().map(|child| child.manifest).collect();
        for (digest, bytes) in &self.blobs {
            let name = match digest {
                index if *index == self.index => "manifest.json".to_owned(),
                manifest if manifests.contains(manifest) => {
                    format!("{}.manifest.json", manifest.hex())
                }
                blob => blob.hex(),
            };
            write(&folder.join(name), bytes);
        }
        write(
            &folder.join("version"),
            "Directory Transport Version: 1.1\n",
        );
        format!("dir:{}", folder.display())
    }

    fn entry(&self, architecture: &str, child: &Child) -> Value {
        let mut platform = json!({"os": "linux", "architecture": architecture});
        if !child.variant.is_empty() {
            platform["variant"] = child.variant.into();
        }
        json!({
            "mediaType": self.kind.media_types().manifest,
            "digest": child.manifest.to_string(),
            "size": child.manifest_size,
            "platform": platform,
        })
    }

    fn add_child(&mut self, architecture: &str, variant: &'static str) -> Child {
        let media_types = self.kind.media_types();
        let seed = format!("{} {architecture}", self.name);
        let tars = [
            tar("base", &noise(&seed, BASE_BYTES)),
            tar("architecture", architecture.as_bytes()),
        ];
        let diff_ids: Vec<String> = tars.iter().map(|tar| digest(tar).to_string()).collect();
        let layers: Vec<(Digest, usize)> = tars.iter().map(|tar| self.add(gzip(tar))).collect();
        let mut config = json!({
            "os": "linux", "architecture": architecture,
            "config": {"Cmd": ["/none"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "base"}, {"created_by": "architecture"}],
        });
        if !variant.is_empty() {
            config["variant"] = variant.into();
        }
        let config = self.add(config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_types.manifest,
            "config": descriptor(media_types.config, config),
            "layers": layers.iter().map(|layer| descriptor(media_types.layer, *layer)).collect::<Vec<_>>(),
        });
        let (manifest, manifest_size) = self.add(manifest.to_string().into_bytes());
        Child {
            manifest,
            layers: layers.into_iter().map(|(digest, _)| digest).collect(),
            manifest_size,
            variant,
        }
    }

    fn add(&mut self, bytes: Vec<u8>) -> (Digest, usize) {
        let (digest, size) = (digest(&bytes), bytes.len());
        self.blobs.insert(digest, bytes);
        (digest, size)
    }
}

fn descriptor(media_type: &str, (digest, size): (Digest, usize)) -> Value {
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// A tar archive of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let folder = TempDir::new().expect("a folder in /tmp");
    write(&folder.path().join(name), content);
    let archive = folder.path().join("archive");
    output(
        Command::new(tools::system("tar"))
            .args([
                "--create",
                "--mtime=@0",
                "--owner=0",
                "--group=0",
                "--mode=0644",
                "--format=ustar",
                "--file",
            ])
            .args([
                &archive,
                &PathBuf::from("--directory"),
                &folder.path().to_owned(),
                &PathBuf::from(name),
            ]),
    );
    fs::read(archive).expect("what tar wrote")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let folder = TempDir::new().expect("a folder in /tmp");
    let path = folder.path().join("layer");
    write(&path, bytes);
    output(
        Command::new(tools::system("gzip"))
            .args(["--no-name", "--fast"])
            .arg(&path),
    );
    fs::read(path.with_extension("gz")).expect("what gzip wrote")
}
