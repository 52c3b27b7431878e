//! Promise 8, nobody poisons anybody: what one repository, upstream or client did opens nothing to
//! another.

use http::Method;
use integration_tests::client::blob_path;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Content, DOCKER_LIST, Flavor, OCI_INDEX, Stored};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;

#[tokio::test]
async fn a_blob_of_one_repository_is_not_readable_through_another() {
    let secret = images::single("secret", "linux/amd64", Flavor::Oci);
    let public = images::single("public", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/secret", "v1", &secret).await;
    registry.push("team/public", "v1", &public);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/secret", "v1").await;
    archway.client().pull("team/public", "v1").await;
    for blob in &secret.blobs {
        let path = blob_path("team/public", blob.digest());
        for _ in 0..2 {
            let answer = archway.client().get(&path).await.expect(404);
            assert_eq!(answer.error_code(), "BLOB_UNKNOWN");
            assert_eq!(archway.client().head(&path).await.status, 404);
        }
    }
    let root = secret.root().digest;
    let answer = archway
        .client()
        .manifest("team/public", root)
        .await
        .expect(404);
    assert_eq!(answer.error_code(), "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_blob_is_readable_through_another_repository_once_the_upstream_confirms() {
    let content = images::single("shared", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/first", "v1", &content).await;
    registry.push("team/second", "v1", &content);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/first", "v1").await;
    let blob = &content.blobs[1];
    let asked = registry.gets_of(&blob.digest());
    let path = blob_path("team/second", blob.digest());
    archway.client().get(&path).await.expect(200);
    assert!(
        registry.gets_of(&blob.digest()) > asked,
        "the upstream is asked"
    );
    registry.close().await;
    archway.client().get(&path).await.expect(200);
}

/// Some redirect whatever they are asked for, as `registry.k8s.io` does with blobs, or to a page to
/// log in.
#[tokio::test]
async fn a_redirect_alone_confirms_no_blob() {
    let secret = images::single("secret", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/secret", "v1", &secret).await;
    let elsewhere = FakeRegistry::with("team/public", "v1", &secret).await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/secret", "v1").await;
    let blob = &secret.blobs[1];
    let path = blob_path("team/public", blob.digest());
    for target in [blob_path("team/none", blob.digest()), "/v2/".to_owned()] {
        let redirect = Fault::Redirect(elsewhere.url() + &target);
        registry.faults().clear();
        registry
            .faults()
            .add(On::path("/v2/team/public/blobs/"), redirect);
        for method in [Method::GET, Method::HEAD] {
            let answer = archway.client().send(method, &path).await;
            assert_eq!(answer.status, 502, "{target}");
        }
    }
    let redirect = Fault::Redirect(elsewhere.url() + &path);
    registry.faults().clear();
    registry
        .faults()
        .add(On::path("/v2/team/public/blobs/"), redirect);
    archway.client().get(&path).await.expect(200);
    let asked = elsewhere.log().of(&Method::GET, &*path);
    assert_eq!(asked[0].header("range"), "bytes=0-0");
}

#[tokio::test]
async fn a_manifest_that_links_a_blob_opens_it_without_another_download() {
    let content = images::single("shared", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/first", "v1", &content).await;
    registry.push("team/second", "v1", &content);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/first", "v1").await;
    archway.client().pull("team/second", "v1").await;
    for blob in &content.blobs {
        let digest = blob.digest();
        assert_eq!(
            registry.bytes_of(&digest),
            blob.size(),
            "one download of {digest}"
        );
    }
}

#[tokio::test]
async fn two_upstreams_with_the_same_repository_do_not_mix() {
    let here = images::single("here", "linux/amd64", Flavor::Oci);
    let there = images::single("there", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &here).await;
    let second = FakeRegistry::with("team/app", "v1", &there).await;
    let archway = Setup::new()
        .upstream("first.test", &first)
        .upstream("second.test", &second)
        .start()
        .await;
    archway.client().pull("first.test/team/app", "v1").await;
    let pulled = archway.client().pull("second.test/team/app", "v1").await;
    assert_eq!(pulled.root, there.root().digest);
    let path = blob_path("second.test/team/app", here.blobs[1].digest());
    archway.client().get(&path).await.expect(404);
    let path = format!("/v2/second.test/team/app/manifests/{}", here.root().digest);
    archway.client().get(&path).await.expect(404);
}

#[tokio::test]
async fn the_type_an_upstream_gives_to_bytes_does_not_change_anothers_answer() {
    let typed = |media_type| Content {
        manifests: vec![Stored::new(media_type, r#"{"manifests":[]}"#)],
        blobs: Vec::new(),
    };
    let first = FakeRegistry::with("team/app", "v1", &typed(OCI_INDEX)).await;
    let second = FakeRegistry::with("team/app", "v1", &typed(DOCKER_LIST)).await;
    let archway = Setup::new()
        .upstream("first.test", &first)
        .upstream("second.test", &second)
        .start()
        .await;
    let client = archway.client();
    client
        .manifest("first.test/team/app", "v1")
        .await
        .expect(200);
    client
        .manifest("second.test/team/app", "v1")
        .await
        .expect(200);
    let again = client.manifest("first.test/team/app", "v1").await;
    assert_eq!(again.expect(200).header("content-type"), OCI_INDEX);
}

#[tokio::test]
async fn a_repository_that_the_upstream_closed_is_trouble_and_not_absence() {
    use integration_tests::faults::{Fault, On};
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let denied = Fault::Status(http::StatusCode::FORBIDDEN);
    registry.faults().add(On::path("/blobs/"), denied);
    let blob = content.blobs[0].digest();
    let answer = archway.client().blob("team/app", blob).await;
    assert!(answer.status != 404 && answer.status != 401 && !answer.status.is_success());
    registry.faults().clear();
    archway.client().blob("team/app", blob).await.expect(200);
}
