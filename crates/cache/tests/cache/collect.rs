//! The index follows the files, and running work is not disturbed.

use std::{fs, path::PathBuf};

use cache::{Collected, RepoKey, inspect::Directory};
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, cache, digest, lead, open, store, write};

fn repo() -> RepoKey {
    "registry.example/app".parse().unwrap()
}

fn file(folder: &TempDir, digest: &Digest) -> PathBuf {
    folder.path().join("blobs/sha256").join(digest.hex())
}

/// A manifest that names as many layers as asked for.
fn manifest(layers: usize) -> Manifest {
    let layer = |number: usize| {
        let digest = digest(&number.to_le_bytes());
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":8}}"#
        )
    };
    let layers: Vec<String> = (1..=layers).map(layer).collect();
    let body = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
        layer(0),
        layers.join(",")
    );
    Manifest::parse(body.into(), None, Algorithm::Sha256).unwrap()
}

#[tokio::test]
async fn a_link_waits_for_the_fill_that_is_under_way() {
    let (cache, _folder) = cache();
    let bytes = body(1000);
    let blob = digest(&bytes);
    let (mut fill, _follower) = lead(&cache, &blob);
    fill.start(Some(1000)).await.unwrap();
    cache.link(&repo(), &blob).await.unwrap();
    assert_eq!(cache.collect(|| true).await.unwrap(), Collected::default());
    assert!(cache.is_linked(&repo(), &blob));

    write(&fill, 0, &bytes).await;
    fill.commit().await.unwrap();
    assert_eq!(cache.collect(|| true).await.unwrap(), Collected::default());
    assert!(cache.is_linked(&repo(), &blob), "it is stored now");
}

#[tokio::test]
async fn a_link_to_what_is_neither_stored_nor_under_way_goes() {
    let (cache, _folder) = cache();
    let blob = digest(b"never came");
    cache.link(&repo(), &blob).await.unwrap();
    let collected = cache.collect(|| true).await.unwrap();
    assert_eq!(collected.links, 1);
    assert!(!cache.is_linked(&repo(), &blob));
}

#[tokio::test]
async fn what_was_recorded_just_now_is_left_to_its_writer_while_serving() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let blob = store(&cache, &body(1000)).await;
    // Between the row and the file, as seen from outside.
    fs::remove_file(file(&folder, &blob)).unwrap();
    assert_eq!(cache.collect(|| true).await.unwrap().rows, 0);
    drop(cache);

    let directory = Directory::at(folder.path()).unwrap();
    let collected = directory.own().unwrap().collect().unwrap();
    assert_eq!(collected.rows, 1, "nobody else is at work");
    assert_eq!(open(&folder, u64::MAX).usage().bytes, 0);
}

#[tokio::test]
async fn a_collection_that_is_stopped_leaves_the_rest_for_the_next() {
    let (cache, folder) = cache();
    cache.link(&repo(), &digest(b"never came")).await.unwrap();
    let bytes = body(1000);
    fs::write(file(&folder, &digest(&bytes)), bytes).unwrap();
    let stopped = cache.collect(|| false).await.unwrap();
    assert_eq!(stopped, Collected::default());
    let expected = Collected {
        adopted: 1,
        links: 1,
        ..Collected::default()
    };
    assert_eq!(cache.collect(|| true).await.unwrap(), expected);
}

#[tokio::test]
async fn a_tag_that_was_dropped_is_not_remembered() {
    let (cache, _folder) = cache();
    let tag = "v1".parse().unwrap();
    let gone = digest(b"a manifest that was evicted");
    cache.confirm_tag(&repo(), &tag, &gone).await.unwrap();
    assert!(cache.tag(&repo(), &tag).is_some());
    assert_eq!(cache.collect(|| true).await.unwrap().tags, 1);
    assert_eq!(cache.tag(&repo(), &tag), None);
}

#[tokio::test]
async fn more_than_one_step_is_collected() {
    const LAYERS: usize = 10_000;
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let (manifest, tag) = (manifest(LAYERS), "v1".parse().unwrap());
    cache
        .store_manifest(&repo(), &manifest, Some(&tag))
        .await
        .unwrap();
    // Every second layer is stored, and so is the config.
    for number in (0..=LAYERS).step_by(2) {
        let bytes = number.to_le_bytes();
        fs::write(file(&folder, &digest(&bytes)), bytes).unwrap();
    }
    let collected = cache.collect(|| true).await.unwrap();
    let half = LAYERS as u64 / 2;
    let expected = Collected {
        adopted: half + 1,
        links: half,
        ..Collected::default()
    };
    assert_eq!(collected, expected);
    let manifest_size = manifest.bytes().len() as u64;
    assert_eq!(cache.usage().bytes, manifest_size + 8 * (half + 1));
    assert_eq!(cache.collect(|| true).await.unwrap(), Collected::default());

    fs::remove_file(file(&folder, &manifest.digest())).unwrap();
    for number in (0..=LAYERS).step_by(2) {
        fs::remove_file(file(&folder, &digest(&number.to_le_bytes()))).unwrap();
    }
    drop(cache);
    let directory = Directory::at(folder.path()).unwrap();
    let before = directory.index_size();
    let collected = directory.own().unwrap().collect().unwrap();
    let expected = Collected {
        rows: half + 2,
        adopted: 0,
        tags: 1,
        links: half + 2,
    };
    assert_eq!(collected, expected);
    assert!(
        directory.index_size() < before,
        "the index gives space back"
    );
    let cache = open(&folder, u64::MAX);
    assert_eq!(cache.usage().bytes, 0);
    assert_eq!(cache.tag(&repo(), &tag), None);
}
