//! Tags and referrers, passed through.

use integration_tests::images::{self, Flavor, OCI_INDEX};
use integration_tests::proxy::Setup;
use integration_tests::registry::{FakeRegistry, Referrers};
use serde_json::json;

#[tokio::test]
async fn tags_come_by_page_and_from_where_the_client_says() {
    let registry = FakeRegistry::start().await;
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    for tag in ["a", "b", "c", "d"] {
        registry.push("team/app", tag, &content);
    }
    let archway = Setup::in_front_of(&registry).start().await;
    let list = async |query: &str| {
        let path = format!("/v2/team/app/tags/list{query}");
        archway.client().get(&path).await.expect(200)
    };
    assert_eq!(list("").await.json()["tags"], json!(["a", "b", "c", "d"]));
    assert_eq!(list("?n=2").await.json()["tags"], json!(["a", "b"]));
    assert_eq!(list("?last=b").await.json()["tags"], json!(["c", "d"]));
    assert_eq!(list("?n=1&last=b").await.json()["tags"], json!(["c"]));
    let none = list("?n=0").await;
    assert_eq!(
        (none.json()["tags"].clone(), none.header("link")),
        (json!([]), "")
    );
    let whole = list("?n=4").await;
    assert_eq!(whole.header("link"), "", "no page follows the last");
}

#[tokio::test]
async fn the_tags_of_an_unknown_repository_are_a_404() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let answer = archway
        .client()
        .get("/v2/team/none/tags/list")
        .await
        .expect(404);
    assert_eq!(answer.error_code(), "NAME_UNKNOWN");
}

#[tokio::test]
async fn new_tags_are_seen_at_once() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "a", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway
        .client()
        .get("/v2/team/app/tags/list")
        .await
        .expect(200);
    registry.push("team/app", "b", &content);
    let answer = archway
        .client()
        .get("/v2/team/app/tags/list")
        .await
        .expect(200);
    assert_eq!(answer.json()["tags"], json!(["a", "b"]));
}

#[tokio::test]
async fn referrers_are_passed_through_with_their_filter() {
    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &image).await;
    for (tag, kind) in [
        ("sig", "application/x-signature"),
        ("sbom", "application/spdx+json"),
    ] {
        let artifact = images::artifact(tag, kind, Some(image.root()));
        registry.push("team/app", tag, &artifact);
    }
    let archway = Setup::in_front_of(&registry).start().await;
    let path = format!("/v2/team/app/referrers/{}", image.root().digest);
    let all = archway.client().get(&path).await.expect(200);
    assert_eq!(all.header("content-type"), OCI_INDEX);
    assert_eq!(all.json()["manifests"].as_array().map(Vec::len), Some(2));
    assert_eq!(all.header("oci-filters-applied"), "");

    let filtered = format!("{path}?artifactType=application%2Fspdx%2Bjson");
    let some = archway.client().get(&filtered).await.expect(200);
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    let body = some.json();
    assert_eq!(body["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        body["manifests"][0]["artifactType"],
        "application/spdx+json"
    );
}

#[tokio::test]
async fn a_signature_that_is_attached_later_is_seen_at_once() {
    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &image).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let path = format!("/v2/team/app/referrers/{}", image.root().digest);
    let none = archway.client().get(&path).await.expect(200);
    assert_eq!(none.json()["manifests"], json!([]));
    let signature = images::artifact("sig", "application/x-signature", Some(image.root()));
    registry.push("team/app", "sig", &signature);
    let one = archway.client().get(&path).await.expect(200);
    assert_eq!(one.json()["manifests"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_registry_without_referrers_says_404_so_that_clients_use_the_fallback_tag() {
    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &image).await;
    registry.quirks(|quirks| quirks.referrers = Referrers::Missing);
    let archway = Setup::in_front_of(&registry).start().await;
    let digest = image.root().digest;
    let path = format!("/v2/team/app/referrers/{digest}");
    archway.client().get(&path).await.expect(404);
    let fallback = format!("sha256-{}", digest.hex());
    let signature = images::artifact("sig", "application/x-signature", Some(image.root()));
    registry.push("team/app", &fallback, &signature);
    archway.client().pull("team/app", &fallback).await;
}

#[tokio::test]
async fn a_referrers_request_for_no_digest_is_refused() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let path = "/v2/team/app/referrers/sha256:baddigeststring";
    let answer = archway.client().get(path).await.expect(400);
    assert_eq!(answer.error_code(), "DIGEST_INVALID");
}
