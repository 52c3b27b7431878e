//! A look at the cache is no use: it keeps nothing from being evicted.

use bytes::Bytes;
use cache::{Cache, RepoKey};
use manifest_model::{Algorithm, Manifest};

use crate::support::{body, cache, open, store};

async fn tagged(cache: &Cache, repository: &str, tag: &str) -> Manifest {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{{"of":"{repository}:{tag}"}}}}"#
    );
    let manifest = Manifest::parse(Bytes::from(text), None, Algorithm::Sha256).unwrap();
    let repository = RepoKey::new("registry.example:5000", &repository.parse().unwrap());
    let tag = tag.parse().unwrap();
    cache
        .store_manifest(&repository, &manifest, Some(&tag))
        .await
        .unwrap();
    manifest
}

#[tokio::test]
async fn tags_come_in_pages_in_the_order_of_their_keys() {
    let (cache, _folder) = cache();
    for (repository, tag) in [("b", "v1"), ("a/b", "v2"), ("a/b", "v1")] {
        tagged(&cache, repository, tag).await;
    }
    let first = cache.tags(None, 2).unwrap();
    let names = |rows: &[cache::TagRow]| rows.iter().map(cache::TagRow::key).collect::<Vec<_>>();
    assert_eq!(
        names(&first),
        [
            "registry.example:5000/a/b:v1",
            "registry.example:5000/a/b:v2"
        ]
    );
    assert_eq!(
        (first[0].repository.upstream(), first[0].repository.name()),
        ("registry.example:5000", "a/b")
    );
    let rest = cache.tags(Some(&first[1].key()), 2).unwrap();
    assert_eq!(names(&rest), ["registry.example:5000/b:v1"]);
}

#[tokio::test]
async fn what_is_looked_at_is_not_used() {
    let (cache, _folder) = cache();
    let manifest = tagged(&cache, "a", "v1").await;
    let used = cache.last_used(&manifest.digest()).unwrap();
    let found = cache.peek_manifest(&manifest.digest()).unwrap().unwrap();
    assert_eq!(found.bytes(), manifest.bytes());
    assert!(cache.peek_size(&manifest.digest()).unwrap().is_some());
    cache.flush_uses().await.unwrap();
    assert_eq!(cache.last_used(&manifest.digest()).unwrap(), used);
}

#[tokio::test]
async fn a_look_keeps_nothing_from_being_evicted() {
    let (_, folder) = cache();
    let cache = open(&folder, 10_000);
    let old = store(&cache, &body(4_000)).await;
    store(&cache, &body(4_001)).await;
    assert!(cache.peek_size(&old).unwrap().is_some());
    store(&cache, &body(4_002)).await;
    assert!(cache.peek_size(&old).unwrap().is_none());
}

#[tokio::test]
async fn a_blob_is_read_whole_only_if_it_is_as_small_as_it_should_be() {
    let (cache, _folder) = cache();
    let bytes = body(4_000);
    let blob = store(&cache, &bytes).await;
    assert_eq!(cache.peek_bytes(&blob, 4_000).unwrap(), Some(bytes));
    assert_eq!(cache.peek_bytes(&blob, 3_999).unwrap(), None);
}

#[tokio::test]
async fn a_file_larger_than_a_manifest_is_none() {
    let (cache, folder) = cache();
    let manifest = tagged(&cache, "a", "v1").await;
    let path = folder.path().join("blobs/sha256");
    let file = std::fs::File::options()
        .write(true)
        .open(path.join(manifest.digest().hex()));
    file.unwrap().set_len(1 << 40).unwrap();
    assert!(cache.peek_manifest(&manifest.digest()).unwrap().is_none());
}
