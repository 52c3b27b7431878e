//! The platform vectors, as content a registry can serve: what containerd's own code chose, kept by
//! `manifest-model` beside its tests and proved here once more over HTTP.

use std::path::Path;

use manifest_model::Digest;
use serde_json::Value;

use crate::images::{Blob, Content, Stored};

/// One index, one wish, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Its name, good for a repository.
    pub id: String,
    /// The platform asked for, as a person would write it.
    pub requested: String,
    /// Which of containerd's matchers made the expectation.
    pub matcher: String,
    /// The index and all that hangs on it.
    pub content: Content,
    /// The manifest that has to be chosen; nothing where no entry fits.
    pub expected: Option<Digest>,
}

/// All vectors there are.
pub fn all() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/manifest-model/tests/data/platform-vectors.json");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    vectors.iter().map(vector).collect()
}

fn vector(value: &Value) -> Vector {
    let root = text(&value["root_digest"]);
    let mut content = Content::default();
    let mut root_stored = None;
    for (digest, body) in value["content"].as_object().expect("content by digest") {
        let bytes = text(body);
        let parsed: Value = serde_json::from_str(&bytes).expect("content is JSON");
        if parsed["schemaVersion"].is_null() {
            content.blobs.push(Blob::from(bytes));
            continue;
        }
        let stored = Stored::new(&text(&parsed["mediaType"]), bytes);
        if *digest == root {
            root_stored = Some(stored);
        } else {
            content.manifests.push(stored);
        }
    }
    let root_stored = root_stored.expect("content has the root");
    content.manifests.push(root_stored);
    let expected = value["expect"]["digest"].as_str();
    Vector {
        id: text(&value["id"]).to_lowercase(),
        requested: text(&value["requested"]),
        matcher: text(&value["matcher"]),
        content,
        expected: expected.map(|digest| digest.parse().expect("a digest")),
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
