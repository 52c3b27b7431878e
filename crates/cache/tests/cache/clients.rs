//! Each client counts once per manifest and repository.

use cache::{Cache, ClientCount, RepoKey};
use manifest_model::{Algorithm, Digest, Manifest};

use crate::support::{cache, open};

async fn manifest(cache: &Cache, repo: &RepoKey) -> Digest {
    let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let manifest = Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
    cache.store_manifest(repo, &manifest, None).await.unwrap();
    manifest.digest()
}

fn repo(name: &str) -> RepoKey {
    RepoKey::new("registry.example", &name.parse().unwrap())
}

#[tokio::test]
async fn each_client_counts_once_for_each_repository_and_over_restarts() {
    let (cache, folder) = cache();
    let (app, other) = (repo("app"), repo("other"));
    let digest = manifest(&cache, &app).await;
    manifest(&cache, &other).await;
    for client in [1, 2, 2, 3, 1] {
        assert!(cache.clients().pulled_by(&app, &digest, client));
    }
    assert!(cache.clients().pulled_by(&other, &digest, 1));
    cache.flush_uses().await.unwrap();
    assert!(cache.clients().pulled_by(&app, &digest, 2));
    cache.flush_uses().await.unwrap();
    // This write is synced, and with it all writes before.
    cache.link(&repo("third"), &digest).await.unwrap();
    drop(cache);
    let cache = open(&folder, u64::MAX);
    let count = |repo| cache.clients().count(repo, &digest).unwrap();
    let exactly = |count| ClientCount {
        count,
        or_more: false,
    };
    assert_eq!(count(&app), exactly(3));
    assert_eq!(count(&other), exactly(1));
    assert_eq!(count(&repo("third")), exactly(0));
}

#[tokio::test]
async fn what_waits_to_be_written_is_bounded() {
    let (cache, _folder) = cache();
    let app = repo("app");
    let digest = manifest(&cache, &app).await;
    let taken = (0..70_000).take_while(|client| cache.clients().pulled_by(&app, &digest, *client));
    assert_eq!(taken.count(), 65_536);
    cache.flush_uses().await.unwrap();
    assert!(cache.clients().count(&app, &digest).unwrap().or_more);
    assert!(cache.clients().pulled_by(&app, &digest, 1));
}

#[tokio::test]
async fn what_is_not_linked_is_not_counted() {
    let (cache, _folder) = cache();
    let digest = manifest(&cache, &repo("app")).await;
    cache.clients().pulled_by(&repo("other"), &digest, 1);
    cache.flush_uses().await.unwrap();
    assert_eq!(
        cache.clients().count(&repo("other"), &digest).unwrap(),
        ClientCount::default()
    );
}
