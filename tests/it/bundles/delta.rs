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

#[tokio::test]
async fn a_delta_of_three_images_in_a_hundred_has_their_bytes_and_needs_the_rest() {
    let registry = FakeRegistry::start().await;
    for number in 0..IMAGES {
        registry.push(&repository(number), "v1", &layers(number, 1));
    }
    let source = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"")
        .start()
        .await;
    let pull_all = async |archway: &Archway| {
        for number in 0..IMAGES {
            let pulled = archway.client().pull(&repository(number), "v1").await;
            archway.stores_all(&pulled).await;
        }
    };
    pull_all(&source).await;
    let mut source = source;
    stop(&mut source).await;
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| {
        let path = folder.path().join(name);
        path.to_str().expect("a plain path").to_owned()
    };
    let names = (0..IMAGES).map(|number| format!("{UPSTREAM}/{}:v1\n", repository(number)));
    fs::write(path("images.txt"), names.collect::<String>()).expect("a writable folder");
    let (list, base, delta) = (path("images.txt"), path("base.tar"), path("delta.tar"));
    let export = ["export", "--from-file", &list, "--platform", "all", "-o"];
    let words = [&export[..], &[&base]].concat();
    said(&source.bundle_command(&words).await, 0);

    for number in CHANGED {
        registry.push(&repository(number), "v1", &layers(number, 2));
    }
    let mut source = source.restart().await;
    pull_all(&source).await;
    stop(&mut source).await;
    let words = [&export[..], &[&delta, "--since", &base]].concat();
    let text = said(&source.bundle_command(&words).await, 0);
    assert!(text.contains("100 images"), "{text}");

    let mut new = BTreeSet::new();
    for number in CHANGED {
        let old = digests(&layers(number, 1));
        new.extend(digests(&layers(number, 2)).difference(&old).cloned());
    }
    let lock = inspected(&delta).await;
    let blobs = lock["lock"]["blobs"].as_array().expect("a list").iter();
    let carried: Vec<&Value> = blobs.filter(|blob| blob["in"] == "bundle").collect();
    let digest = |blob: &&Value| blob["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(carried.iter().map(digest).collect::<BTreeSet<_>>(), new);
    let sizes = carried
        .iter()
        .map(|blob| blob["size"].as_u64().expect("a size"));
    let bytes: u64 = sizes.sum();
    let words = ["bundle", "split", "1GiB", &delta];
    said(&run(&words).await, 0);
    let lock_bytes = fs::metadata(path("delta.lock.json")).expect("a lock").len();
    let size = fs::metadata(&delta).expect("it was written").len();
    // Beside both: what describes the three whole images to other tools, and headers.
    let around = (carried.len() as u64 + 8) * AROUND;
    assert!(size > bytes + lock_bytes, "{size} {bytes} {lock_bytes}");
    assert!(
        size < bytes + lock_bytes + around,
        "{size} {bytes} {lock_bytes}"
    );

    let empty = site().await;
    let text = said(&empty.bundle_command(&["import", &delta]).await, 1);
    let leaves_out = lock["lock"]["blobs"].as_array().expect("a list").len() - carried.len();
    assert!(
        text.contains(&format!("leaves out {leaves_out} of its")),
        "{text}"
    );
    let base_id = inspected(&base).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for named in [
        "has not, sha256:",
        &base_id,
        &format!("{UPSTREAM}/team/app-"),
    ] {
        assert!(text.contains(named), "{named} is not in {text}");
    }
    assert_eq!(tags(&empty).await, Vec::<String>::new());

    let full = site().await;
    said(&full.bundle_command(&["import", &base]).await, 0);
    let text = said(&full.bundle_command(&["import", &delta]).await, 0);
    assert!(
        text.contains(&format!("100 images, {} new of", carried.len())),
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
