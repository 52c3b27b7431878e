//! A delta of many images: what is new and nothing else, for a site that has the rest.

use std::collections::BTreeSet;
use std::fs;

use integration_tests::images::{BigBlob, Blob};

use super::import::tags;
use super::*;

const IMAGES: usize = 100;
const CHANGED: [usize; 3] = [7, 42, 99];
const LAYER: u64 = 20_000;

/// What a blob takes beside its bytes at most: its header, the filler before a boundary, and the
/// padding.
const AROUND: u64 = 2 * 4096 + 512;

/// The text that a change of an image changes.
fn layers(number: usize, version: usize) -> Content {
    let shared = BigBlob::new("shared", LAYER);
    let own = BigBlob::new(&format!("{number} {version}"), LAYER);
    images::of_blobs(&[shared, own].map(Blob::from))
}

fn repository(number: usize) -> String {
    format!("team/app-{number:03}")
}

/// All digests of an image.
fn digests(content: &Content) -> BTreeSet<String> {
    let manifests = content.manifests.iter();
    let manifests = manifests.map(|manifest| manifest.digest.to_string());
    let blobs = content.blobs.iter().map(|blob| blob.digest().to_string());
    manifests.chain(blobs).collect()
}

async fn inspected(path: &str) -> Value {
    let text = said(&run(&["bundle", "inspect", path, "-o", "json"]).await, 0);
    serde_json::from_str(&text).expect("JSON")
}

/// A connected side with a hundred images, and where its files go.
struct Connected {
    registry: FakeRegistry,
    archway: Archway,
    folder: TempDir,
}

impl Connected {
    async fn new() -> Self {
        let registry = FakeRegistry::start().await;
        for number in 0..IMAGES {
            registry.push(&repository(number), "v1", &layers(number, 1));
        }
        let setup = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"");
        let folder = TempDir::new().expect("a folder");
        let names = (0..IMAGES).map(|number| format!("{UPSTREAM}/{}:v1\n", repository(number)));
        let list = folder.path().join("images.txt");
        fs::write(list, names.collect::<String>()).expect("a writable folder");
        let mut connected = Self {
            archway: setup.start().await,
            registry,
            folder,
        };
        connected.pull_all().await;
        connected
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("a plain path").to_owned()
    }

    async fn pull_all(&mut self) {
        for number in 0..IMAGES {
            let pulled = self.archway.client().pull(&repository(number), "v1").await;
            self.archway.stores_all(&pulled).await;
        }
        stop(&mut self.archway).await;
    }

    async fn change(mut self) -> Self {
        for number in CHANGED {
            self.registry
                .push(&repository(number), "v1", &layers(number, 2));
        }
        self.archway = self.archway.restart().await;
        self.pull_all().await;
        self
    }

    async fn export(&self, file: &str, more: &[&str]) -> String {
        let (list, file) = (self.path("images.txt"), self.path(file));
        let words = [
            "export",
            "--from-file",
            &list,
            "--platform",
            "all",
            "-o",
            &file,
        ];
        let words = [&words[..], more].concat();
        said(&self.archway.bundle_command(&words).await, 0)
    }
}

/// The digests that a change brings.
fn changed() -> BTreeSet<String> {
    let mut new = BTreeSet::new();
    for number in CHANGED {
        let old = digests(&layers(number, 1));
        new.extend(digests(&layers(number, 2)).difference(&old).cloned());
    }
    new
}

#[tokio::test]
async fn a_delta_of_three_images_in_a_hundred_has_their_bytes_and_needs_the_rest() {
    let connected = Connected::new().await;
    connected.export("base.tar", &[]).await;
    let connected = connected.change().await;
    let (base, delta) = (connected.path("base.tar"), connected.path("delta.tar"));
    let text = connected.export("delta.tar", &["--since", &base]).await;
    assert!(text.contains("100 images"), "{text}");

    let lock = inspected(&delta).await;
    let blobs = lock["lock"]["blobs"].as_array().expect("a list");
    let carried = blobs.iter().filter(|blob| blob["in"] == "bundle");
    let carried: Vec<&Value> = carried.collect();
    let digest = |blob: &&Value| blob["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(
        carried.iter().map(digest).collect::<BTreeSet<_>>(),
        changed()
    );
    let sizes = carried
        .iter()
        .map(|blob| blob["size"].as_u64().expect("a size"));
    let bytes: u64 = sizes.sum();
    said(&run(&["bundle", "split", "1GiB", &delta]).await, 0);
    let length = |file: &str| fs::metadata(connected.path(file)).expect("a file").len();
    let expected = bytes + length("delta.lock.json");
    // Beside both: what describes the three whole images to other tools, and headers.
    let around = (carried.len() as u64 + 8) * AROUND;
    let size = length("delta.tar");
    assert!(
        (expected..expected + around).contains(&size),
        "{size} {expected}"
    );

    let empty = site().await;
    let text = said(&empty.bundle_command(&["import", &delta]).await, 1);
    let missing = format!("leaves out {} of its", blobs.len() - carried.len());
    let base_id = inspected(&base).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for named in [
        &missing,
        "has not, sha256:",
        &base_id,
        &format!("{UPSTREAM}/team/app-"),
    ] {
        assert!(text.contains(named), "{named} is not in {text}");
    }
    assert_eq!(tags(&empty).await, Vec::<String>::new());
    imports_on(&base, &delta, carried.len()).await;
}

async fn imports_on(base: &str, delta: &str, new: usize) {
    let full = site().await;
    said(&full.bundle_command(&["import", base]).await, 0);
    let text = said(&full.bundle_command(&["import", delta]).await, 0);
    assert!(
        text.contains(&format!("100 images, {new} new of")),
        "{text}"
    );
    let full = full.restart().await;
    for number in [0, CHANGED[0], CHANGED[2]] {
        let version = if CHANGED.contains(&number) { 2 } else { 1 };
        let pulled = full.client().pull(&repository(number), "v1").await;
        let root = layers(number, version).root().digest;
        assert!(pulled.parts.contains(&root), "{number}");
    }
}
