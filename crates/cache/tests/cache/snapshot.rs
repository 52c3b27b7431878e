//! Links and tags outlive the index: they come back from the snapshot.

use std::{fs, path::PathBuf};

use cache::{
    Cache, RepoKey,
    inspect::{Directory, Removal},
};
use manifest_model::{Algorithm, Digest, Manifest, MediaType, Tag};
use tempfile::TempDir;

use crate::support::{body, digest, open, store};

const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn repo(name: &str) -> RepoKey {
    RepoKey::new("registry.example", &name.parse().unwrap())
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

/// An image of one layer, whose own bytes do not name its media type.
fn image(layer: &Digest) -> Manifest {
    let config = digest(b"config");
    let body = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"{config}","size":6}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"{layer}","size":1000}}]}}"#
    );
    Manifest::parse(body.into(), None, Algorithm::Sha256).unwrap()
}

async fn write_snapshot(cache: &Cache) {
    cache.write_snapshot(|| true).await.unwrap();
}

fn snapshot_of(folder: &TempDir) -> PathBuf {
    folder.path().join("names.jsonl")
}

/// The cache, opened again without its index.
fn without_index(folder: &TempDir) -> Cache {
    fs::remove_file(folder.path().join("index.redb")).unwrap();
    open(folder, u64::MAX)
}

/// A cache with one image of one layer as `app:latest`.
async fn with_image(folder: &TempDir) -> (Cache, Digest, Manifest) {
    let cache = open(folder, u64::MAX);
    let layer = store(&cache, &body(1000)).await;
    let image = image(&layer);
    let (app, latest) = (repo("app"), tag("latest"));
    let stored = cache.store_manifest(&app, &image, Some(&latest));
    stored.await.unwrap();
    (cache, layer, image)
}

#[tokio::test]
async fn tags_links_and_media_types_outlive_the_index() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, image) = with_image(&folder).await;
    let confirmed = cache.tag(&repo("app"), &tag("latest")).unwrap().confirmed;
    write_snapshot(&cache).await;
    drop(cache);

    let cache = without_index(&folder);
    let entry = cache.tag(&repo("app"), &tag("latest")).unwrap();
    assert_eq!(entry.digest, image.digest());
    assert_eq!(entry.confirmed, confirmed, "it was not confirmed anew");
    assert!(cache.is_linked(&repo("app"), &image.digest()));
    assert!(cache.is_linked(&repo("app"), &layer));
    let found = cache.manifest(&image.digest()).await.unwrap().unwrap();
    assert_eq!(found.media_type(), image.media_type());
}

/// Older versions kept the type that the first upstream gave to bytes that name none.
#[tokio::test]
async fn a_type_that_an_older_version_took_from_an_upstream_does_not_come_back() {
    let folder = TempDir::new().unwrap();
    let (cache, _, image) = with_image(&folder).await;
    write_snapshot(&cache).await;
    drop(cache);
    let written = fs::read_to_string(snapshot_of(&folder)).unwrap();
    let (lines, _) = written.trim_end().rsplit_once('\n').unwrap();
    let lines = lines.replace(image.media_type().as_str(), DOCKER) + "\n";
    assert!(lines.contains(DOCKER));
    let end = Digest::of(Algorithm::Sha256, lines.as_bytes());
    fs::write(
        snapshot_of(&folder),
        format!("{lines}{{\"end\":\"{end}\"}}\n"),
    )
    .unwrap();

    let cache = without_index(&folder);
    assert!(
        cache.is_linked(&repo("app"), &image.digest()),
        "the snapshot was read"
    );
    let found = cache.manifest(&image.digest()).await.unwrap().unwrap();
    assert_eq!(*found.media_type(), MediaType::OciManifest);
}

#[tokio::test]
async fn no_repository_gets_a_link_it_did_not_have() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, image) = with_image(&folder).await;
    let other = repo("other");
    // It links the image, but not the parts of the image.
    cache.link(&other, &image.digest()).await.unwrap();
    write_snapshot(&cache).await;
    drop(cache);

    let cache = without_index(&folder);
    assert!(cache.is_linked(&other, &image.digest()));
    assert!(!cache.is_linked(&other, &layer));
    assert_eq!(cache.tag(&other, &tag("latest")), None);
}

#[tokio::test]
async fn a_tag_whose_manifest_is_not_stored_any_more_stays_away() {
    let folder = TempDir::new().unwrap();
    let (cache, _, image) = with_image(&folder).await;
    write_snapshot(&cache).await;
    drop(cache);
    let file = folder
        .path()
        .join("blobs/sha256")
        .join(image.digest().hex());
    fs::remove_file(file).unwrap();

    let cache = without_index(&folder);
    assert_eq!(cache.tag(&repo("app"), &tag("latest")), None);
    assert!(!cache.is_linked(&repo("app"), &image.digest()));
}

#[tokio::test]
async fn more_links_than_are_read_at_once_come_back() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, _) = with_image(&folder).await;
    let repositories: Vec<_> = (0..2100)
        .map(|number| repo(&format!("r{number}")))
        .collect();
    for repository in &repositories {
        cache.link(repository, &layer).await.unwrap();
    }
    write_snapshot(&cache).await;
    drop(cache);

    let cache = without_index(&folder);
    let linked = repositories
        .iter()
        .filter(|repo| cache.is_linked(repo, &layer));
    assert_eq!(linked.count(), repositories.len());
}

#[tokio::test]
async fn a_media_type_of_any_length_keeps_nothing_from_coming_back() {
    let folder = TempDir::new().unwrap();
    let (cache, _, image) = with_image(&folder).await;
    let long = format!("application/{}", "x".repeat(100_000))
        .parse()
        .unwrap();
    let body = br#"{"schemaVersion":2,"layers":[]}"#.to_vec();
    let odd = Manifest::parse(body.into(), Some(&long), Algorithm::Sha256).unwrap();
    cache
        .store_manifest(&repo("app"), &odd, None)
        .await
        .unwrap();
    write_snapshot(&cache).await;
    drop(cache);

    let cache = without_index(&folder);
    let entry = cache.tag(&repo("app"), &tag("latest")).unwrap();
    assert_eq!(entry.digest, image.digest());
    assert!(cache.is_linked(&repo("app"), &odd.digest()));
}

#[tokio::test]
async fn what_an_operator_has_removed_does_not_come_back() {
    let folder = TempDir::new().unwrap();
    let (cache, _, image) = with_image(&folder).await;
    let (app, v2, digest) = (repo("app"), tag("v2"), image.digest());
    cache.confirm_tag(&app, &v2, &digest).await.unwrap();
    write_snapshot(&cache).await;
    drop(cache);
    let owned = Directory::at(folder.path()).unwrap().own().unwrap();
    owned
        .remove(&[Removal::Tag(app.clone(), v2.clone())])
        .unwrap();
    drop(owned);

    let cache = without_index(&folder);
    assert_eq!(cache.tag(&app, &v2), None);
    assert!(cache.tag(&app, &tag("latest")).is_some());
}

#[tokio::test]
async fn a_damaged_snapshot_restores_nothing_and_keeps_nothing_from_opening() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, _) = with_image(&folder).await;
    write_snapshot(&cache).await;
    drop(cache);
    let text = fs::read_to_string(snapshot_of(&folder)).unwrap();
    assert!(text.contains("\"latest\""), "{text}");
    fs::write(
        snapshot_of(&folder),
        text.replace("\"latest\"", "\"stable\""),
    )
    .unwrap();

    let cache = without_index(&folder);
    assert_eq!(cache.tag(&repo("app"), &tag("latest")), None);
    assert_eq!(cache.tag(&repo("app"), &tag("stable")), None);
    assert!(cache.stored(&layer).unwrap().is_some());
}

#[tokio::test]
async fn a_snapshot_that_is_stopped_leaves_the_one_before_and_is_made_the_next_time() {
    let folder = TempDir::new().unwrap();
    let (cache, _, image) = with_image(&folder).await;
    write_snapshot(&cache).await;
    let before = fs::read(snapshot_of(&folder)).unwrap();
    let (app, v2, digest) = (repo("app"), tag("v2"), image.digest());
    cache.confirm_tag(&app, &v2, &digest).await.unwrap();

    cache.write_snapshot(|| false).await.unwrap();
    assert_eq!(fs::read(snapshot_of(&folder)).unwrap(), before);
    assert!(!folder.path().join("names.new").exists());
    write_snapshot(&cache).await;
    let after = fs::read_to_string(snapshot_of(&folder)).unwrap();
    assert!(after.contains("\"v2\""), "{after}");
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() {
    let folder = TempDir::new().unwrap();
    let (cache, _, _) = with_image(&folder).await;
    write_snapshot(&cache).await;
    fs::remove_file(snapshot_of(&folder)).unwrap();
    write_snapshot(&cache).await;
    assert!(!snapshot_of(&folder).exists());
    cache
        .remove_tag(&repo("app"), &tag("latest"))
        .await
        .unwrap();
    write_snapshot(&cache).await;
    assert!(snapshot_of(&folder).exists());
}
