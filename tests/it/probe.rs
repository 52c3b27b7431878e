//! Names that only this start of Archway answers, for any registry it serves, and that no upstream
//! is ever asked for.

use integration_tests::client::IMAGES_ONLY;
use integration_tests::images;
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use manifest_model::{Algorithm, Digest};
use serde_json::Value;

async fn started() -> (FakeRegistry, Archway) {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway)
}

/// A name from the admin listener: repository and tag.
async fn issued(archway: &Archway) -> String {
    let answer = archway.admin().get("/_archway/v1/probe").await.expect(200);
    let answer: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(answer["seconds"], 600);
    let image = answer["image"].as_str().expect("text");
    image.strip_suffix(":1").expect("its only tag").to_owned()
}

#[tokio::test]
async fn a_name_of_this_start_is_a_whole_image_and_no_upstream_is_asked() {
    let (registry, archway) = started().await;
    let name = issued(&archway).await;
    let client = archway.client();
    let index = client.manifest(&name, "1").await.expect(200);
    let index: Value = serde_json::from_str(&index.text()).expect("JSON");
    let entries = index["manifests"].as_array().expect("a list");
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let manifest = client
            .manifest(&name, entry["digest"].as_str().expect("text"))
            .await
            .expect(200);
        let manifest: Value = serde_json::from_str(&manifest.text()).expect("JSON");
        for part in [&manifest["config"], &manifest["layers"][0]] {
            let digest = part["digest"].as_str().expect("text");
            let blob = client.get(&format!("/v2/{name}/blobs/{digest}")).await;
            let blob = blob.expect(200);
            let found = Digest::of(Algorithm::Sha256, &blob.body);
            assert_eq!(found.to_string(), digest);
        }
    }
    let head = client.head(&format!("/v2/{name}/manifests/1")).await;
    head.expect(200);
    assert!(
        registry.log().all().is_empty(),
        "{:?}",
        registry.log().all()
    );
    assert_eq!(archway.files("blobs"), []);
}

#[tokio::test]
async fn a_name_that_was_not_made_here_or_is_of_a_registry_not_served_is_a_404_at_once() {
    let (registry, archway) = started().await;
    let (_, other) = started().await;
    let name = issued(&archway).await;
    let foreign = issued(&other).await;
    let made_up = format!("archway-probe/{}", "0".repeat(32));
    let client = archway.client();
    for name in [&foreign, &made_up, &"archway-probe/x".to_owned()] {
        let refused = client.manifest(name, "1").await.expect(404);
        assert!(
            refused.text().contains("did not make it"),
            "{}",
            refused.text()
        );
    }
    client.manifest(&name, "latest").await.expect(404);
    client
        .get(&format!("/v2/{name}/tags/list"))
        .await
        .expect(404);
    let elsewhere = archway.client().with_query("ns", "registry.elsewhere");
    let refused = elsewhere.manifest(&name, "1").await.expect(404);
    assert!(
        refused.text().contains("not configured"),
        "{}",
        refused.text()
    );
    let named = archway.client().with_query("ns", UPSTREAM);
    named.manifest(&name, "1").await.expect(200);
    assert!(registry.log().all().is_empty());
}

#[tokio::test]
async fn a_hint_chooses_the_program_as_it_chooses_any_image() {
    let (_registry, archway) = started().await;
    let name = issued(&archway).await;
    let architecture = async |client: integration_tests::client::Client| {
        let manifest = client.manifest(&name, "1").await.expect(200);
        let manifest: Value = serde_json::from_str(&manifest.text()).expect("JSON");
        let config = manifest["config"]["digest"].as_str().expect("text");
        let config = archway
            .client()
            .get(&format!("/v2/{name}/blobs/{config}"))
            .await;
        let config: Value = serde_json::from_str(&config.expect(200).text()).expect("JSON");
        config["architecture"].as_str().expect("text").to_owned()
    };
    for (platform, expected) in [("linux/arm64", "arm64"), ("linux/amd64", "amd64")] {
        let hinted = archway.client().with("archway-platform", platform);
        assert_eq!(architecture(hinted).await, expected);
    }
    let old = archway.client().accepting(&IMAGES_ONLY);
    assert_eq!(architecture(old).await, "amd64");
    let none = archway.client().with("archway-platform", "linux/s390x");
    let refused = none.manifest(&name, "1").await.expect(404);
    assert!(refused.text().contains("no program for linux/s390x"));
}

#[tokio::test]
async fn the_start_is_the_same_on_both_listeners_and_another_after_a_restart() {
    let (_registry, archway) = started().await;
    let ids = async |archway: &Archway| {
        let ping = archway.client().get("/v2/").await.expect(200);
        let who = archway
            .admin()
            .get("/_archway/v1/instance")
            .await
            .expect(200);
        let who: Value = serde_json::from_str(&who.text()).expect("JSON");
        let id = who["instance"].as_str().expect("text").to_owned();
        assert_eq!(ping.header("archway-instance"), id);
        id
    };
    let (first, name) = (ids(&archway).await, issued(&archway).await);
    let archway = archway.restart().await;
    assert_ne!(ids(&archway).await, first);
    archway.client().manifest(&name, "1").await.expect(404);
}
