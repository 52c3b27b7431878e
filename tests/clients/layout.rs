//! Reading what the copying clients leave behind: OCI image layouts, and skopeo's `dir:`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use manifest_model::{Algorithm, Digest};
use serde_json::Value;

use crate::matrix::Recorded;

/// The image an OCI layout holds, and the architecture its config names.
pub(crate) fn recorded(folder: &Path) -> Recorded {
    let root = root(folder);
    let manifest = json(&blob(folder, &root));
    let config = manifest["config"]["digest"]
        .as_str()
        .expect("an image, not an index");
    let architecture = text(&json(&blob(folder, config))["architecture"]);
    Recorded {
        digests: BTreeSet::from([root]),
        architecture,
    }
}

/// The digest of the image or index an OCI layout holds. oras lists its parts beside it, without a
/// name.
pub(crate) fn root(folder: &Path) -> String {
    let index = json(&read(&folder.join("index.json")));
    let mut manifests = index["manifests"].as_array().expect("a list").clone();
    if manifests.len() > 1 {
        manifests.retain(|manifest| {
            manifest["annotations"]["org.opencontainers.image.ref.name"].is_string()
        });
    }
    assert_eq!(manifests.len(), 1, "one image in {index}");
    text(&manifests[0]["digest"])
}

/// What lies in an OCI layout, by the digests of the bytes themselves and not by the files' names.
pub(crate) fn blobs(folder: &Path) -> BTreeSet<Digest> {
    files(&folder.join("blobs/sha256"), |_| true)
}

/// What skopeo wrote into a `dir:`, likewise.
pub(crate) fn dir_blobs(folder: &Path) -> BTreeSet<Digest> {
    files(folder, |name| name != "version")
}

/// The manifest skopeo wrote into a `dir:`, and the architecture its config names.
pub(crate) fn dir_recorded(folder: &Path) -> Recorded {
    let manifest = read(&folder.join("manifest.json"));
    let config = text(&json(&manifest)["config"]["digest"]);
    let config = read(&folder.join(hex(&config)));
    Recorded {
        digests: BTreeSet::from([Digest::of(Algorithm::Sha256, &manifest).to_string()]),
        architecture: text(&json(&config)["architecture"]),
    }
}

fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> BTreeSet<Digest> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(&wanted)
        })
        .map(|path| Digest::of(Algorithm::Sha256, &read(&path)))
        .collect()
}

fn blob(folder: &Path, digest: &str) -> Vec<u8> {
    read(&folder.join("blobs/sha256").join(hex(digest)))
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").expect("a sha256 digest")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is text"))
        .to_owned()
}
