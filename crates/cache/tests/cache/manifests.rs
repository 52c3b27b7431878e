//! Manifests, links and tags.

use std::time::SystemTime;

use bytes::Bytes;
use cache::{Cache, ReadBy, RepoKey};
use manifest_model::{Algorithm, Manifest, Tag};

use crate::support::{cache, collect, digest};

fn repo(name: &str) -> RepoKey {
    RepoKey::new("registry.example", &name.parse().unwrap())
}

fn image() -> Manifest {
    let config = digest(b"config");
    let layer = digest(b"layer");
    let body = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":6}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":5}}]}}"#
    );
    Manifest::parse(Bytes::from(body), None, Algorithm::Sha256).unwrap()
}

async fn stored(cache: &Cache, tag: Option<&Tag>) -> Manifest {
    let manifest = image();
    cache
        .store_manifest(&repo("app"), &manifest, tag)
        .await
        .unwrap();
    manifest
}

#[tokio::test]
async fn a_manifest_comes_back_with_its_bytes_and_its_type() {
    let (cache, _folder) = cache();
    let manifest = stored(&cache, None).await;
    let found = cache.manifest(&manifest.digest()).await.unwrap().unwrap();
    assert_eq!(found.bytes(), manifest.bytes());
    assert_eq!(*found.media_type(), *manifest.media_type());
    assert!(cache.manifest(&digest(b"another")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_manifest_links_itself_and_all_it_names_to_its_repository_alone() {
    let (cache, _folder) = cache();
    let manifest = stored(&cache, None).await;
    for digest in [manifest.digest(), digest(b"config"), digest(b"layer")] {
        assert!(cache.is_linked(&repo("app"), &digest));
        assert!(!cache.is_linked(&repo("other"), &digest));
    }
    cache.link(&repo("other"), &digest(b"layer")).await.unwrap();
    assert!(cache.is_linked(&repo("other"), &digest(b"layer")));
    assert!(!cache.is_linked(&repo("other"), &digest(b"config")));
}

#[tokio::test]
async fn the_same_name_at_another_upstream_is_another_repository() {
    let (cache, _folder) = cache();
    let manifest = stored(&cache, None).await;
    let elsewhere = RepoKey::new("other.example", &"app".parse().unwrap());
    assert!(!cache.is_linked(&elsewhere, &manifest.digest()));
}

#[tokio::test]
async fn a_tag_is_where_it_was_last_confirmed_until_it_is_removed() {
    let (cache, _folder) = cache();
    let tag: Tag = "latest".parse().unwrap();
    let before = SystemTime::now();
    let manifest = stored(&cache, Some(&tag)).await;
    let entry = cache.tag(&repo("app"), &tag).unwrap();
    assert_eq!(entry.digest, manifest.digest());
    assert!(
        entry
            .confirmed
            .duration_since(before)
            .is_ok_and(|age| age.as_secs() < 60)
            || entry.confirmed <= before
    );
    cache
        .confirm_tag(&repo("app"), &tag, &digest(b"moved"))
        .await
        .unwrap();
    assert_eq!(
        cache.tag(&repo("app"), &tag).unwrap().digest,
        digest(b"moved")
    );
    cache.remove_tag(&repo("app"), &tag).await.unwrap();
    assert_eq!(cache.tag(&repo("app"), &tag), None);
}

#[tokio::test]
async fn storing_a_manifest_twice_counts_it_once() {
    let (cache, _folder) = cache();
    let manifest = stored(&cache, None).await;
    stored(&cache, None).await;
    assert_eq!(cache.usage().bytes, manifest.bytes().len() as u64);
}

#[tokio::test]
async fn a_damaged_manifest_is_not_served_and_the_next_store_heals_it() {
    let (cache, folder) = cache();
    let manifest = stored(&cache, None).await;
    let digest = manifest.digest();
    let opened = cache.stored(&digest).unwrap();
    let path = folder.path().join("blobs/sha256").join(digest.hex());
    let mut damaged = manifest.bytes().to_vec();
    damaged[10] ^= 1;
    std::fs::write(&path, damaged).unwrap();

    assert!(cache.manifest(&digest).await.unwrap().is_none());
    stored(&cache, None).await;
    let found = cache.manifest(&digest).await.unwrap().unwrap();
    assert_eq!(found.bytes(), manifest.bytes());
    drop(opened);
}

#[tokio::test]
async fn a_manifest_whose_damage_nobody_has_read_is_healed_too() {
    let (cache, folder) = cache();
    let manifest = stored(&cache, None).await;
    let (digest, size) = (manifest.digest(), manifest.bytes().len() as u64);
    let opened = cache.stored(&digest).unwrap();
    let path = folder.path().join("blobs/sha256").join(digest.hex());
    std::fs::write(&path, vec![b' '; manifest.bytes().len()]).unwrap();

    stored(&cache, None).await;
    let found = cache.manifest(&digest).await.unwrap().unwrap();
    assert_eq!(found.bytes(), manifest.bytes());
    // The damaged file is not kept open either, for requests of it as a blob.
    let blob = cache.stored(&digest).unwrap().unwrap();
    let read = collect(blob.read(0..size, ReadBy::Copy)).await.unwrap();
    assert!(read == *manifest.bytes());
    drop(opened);
}
