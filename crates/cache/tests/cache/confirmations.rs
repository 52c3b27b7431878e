//! Bytes are readable through a repository once its own upstream has proved that it has them.

use std::fs;

use cache::{Cache, RepoKey};
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, digest, open, store};

fn repo(text: &str) -> RepoKey {
    text.parse().unwrap()
}

/// A manifest that names one layer.
fn naming(layer: &Digest) -> Manifest {
    let config = digest(b"config");
    let body = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{config}","size":6}},"layers":[{{"mediaType":"a/b","digest":"{layer}","size":1000}}]}}"#
    );
    Manifest::parse(body.into(), None, Algorithm::Sha256).unwrap()
}

async fn keep(cache: &Cache, repository: &str, manifest: &Manifest) {
    let repository = repo(repository);
    let stored = cache.store_manifest(&repository, manifest, None);
    stored.await.unwrap();
}

/// What `a.test/app` brought, and manifests of other repositories name.
async fn named_everywhere(folder: &TempDir) -> (Cache, Digest, Manifest) {
    let cache = open(folder, u64::MAX);
    let layer = store(&cache, &body(1000)).await;
    cache.link_sent(&repo("a.test/app"), &layer).await.unwrap();
    let manifest = naming(&layer);
    keep(&cache, "a.test/other", &manifest).await;
    keep(&cache, "b.test/evil", &manifest).await;
    (cache, layer, manifest)
}

#[tokio::test]
async fn what_an_upstream_sent_is_confirmed_where_it_is_linked_and_only_there() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, manifest) = named_everywhere(&folder).await;
    for (repository, linked, confirmed) in [
        ("a.test/app", true, true),
        ("a.test/other", true, true),
        ("a.test/stranger", false, false),
        ("b.test/evil", true, false),
        ("b.test/stranger", false, false),
    ] {
        let repository = repo(repository);
        assert_eq!(cache.is_linked(&repository, &layer), linked, "{repository}");
        assert_eq!(
            cache.is_confirmed(&repository, &layer),
            confirmed,
            "{repository}"
        );
    }
    assert!(
        cache.is_confirmed(&repo("b.test/evil"), &manifest.digest()),
        "it sent that itself"
    );
}

#[tokio::test]
async fn what_an_upstream_said_is_confirmed_for_the_one_repository() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, manifest) = named_everywhere(&folder).await;
    keep(&cache, "b.test/third", &manifest).await;
    cache.link(&repo("b.test/evil"), &layer).await.unwrap();
    assert!(cache.is_confirmed(&repo("b.test/evil"), &layer));
    assert!(!cache.is_confirmed(&repo("b.test/third"), &layer));
}

#[tokio::test]
async fn confirmations_outlive_a_restart_and_the_index() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, _) = named_everywhere(&folder).await;
    cache.write_snapshot(|| true).await.unwrap();
    drop(cache);
    for lose_index in [false, true] {
        if lose_index {
            fs::remove_file(folder.path().join("index.redb")).unwrap();
        }
        let cache = open(&folder, u64::MAX);
        assert!(
            cache.is_confirmed(&repo("a.test/app"), &layer),
            "{lose_index}"
        );
        assert!(
            cache.is_confirmed(&repo("a.test/other"), &layer),
            "{lose_index}"
        );
        assert!(
            !cache.is_confirmed(&repo("b.test/evil"), &layer),
            "{lose_index}"
        );
    }
}

/// A snapshot of an older version has links alone.
#[tokio::test]
async fn of_an_older_cache_bytes_that_one_upstream_links_are_its_own() {
    let folder = TempDir::new().unwrap();
    let (cache, shared, _) = named_everywhere(&folder).await;
    let own = store(&cache, &body(2000)).await;
    cache.link_sent(&repo("b.test/own"), &own).await.unwrap();
    cache.write_snapshot(|| true).await.unwrap();
    drop(cache);
    let path = folder.path().join("names.jsonl");
    let written = fs::read_to_string(&path).unwrap();
    let mut lines = String::new();
    for line in written.lines() {
        if !line.contains("\"confirmed\":{") && !line.contains("\"end\"") {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    let end = digest(lines.as_bytes());
    fs::write(&path, format!("{lines}{{\"end\":\"{end}\"}}\n")).unwrap();
    fs::remove_file(folder.path().join("index.redb")).unwrap();

    let cache = open(&folder, u64::MAX);
    assert!(cache.is_confirmed(&repo("b.test/own"), &own));
    for repository in ["a.test/app", "b.test/evil"] {
        assert!(cache.is_linked(&repo(repository), &shared));
        assert!(
            !cache.is_confirmed(&repo(repository), &shared),
            "{repository} has to be asked"
        );
    }
}

#[tokio::test]
async fn what_is_removed_has_to_be_confirmed_anew() {
    let folder = TempDir::new().unwrap();
    let (cache, layer, manifest) = named_everywhere(&folder).await;
    cache.link(&repo("b.test/evil"), &layer).await.unwrap();
    let (evil, tag) = (repo("b.test/evil"), "v1".parse().unwrap());
    let stored = cache.store_manifest(&evil, &manifest, Some(&tag));
    stored.await.unwrap();
    drop(cache);
    let directory = cache::inspect::Directory::at(folder.path()).unwrap();
    let owned = directory.own().unwrap();
    let removal = cache::inspect::Removal::Tag(evil, tag);
    owned.remove(&[removal]).unwrap();
    drop(owned);
    let cache = open(&folder, u64::MAX);
    assert!(!cache.is_confirmed(&repo("b.test/evil"), &layer));
    assert!(cache.is_confirmed(&repo("a.test/app"), &layer));
}
