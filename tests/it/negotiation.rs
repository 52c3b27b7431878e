//! What clients say they accept, offer and have: it decides about their answers, and never about
//! what the upstream is asked for.

use http::Method;
use integration_tests::client::{Client, IMAGES_ONLY, blob_path, raw};
use integration_tests::images::{self, OCI_INDEX, OCI_MANIFEST, Stored};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use manifest_model::MediaType;
use serde_json::json;

#[tokio::test]
async fn what_a_client_accepts_is_not_what_the_upstream_is_asked_for() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let picky = archway
        .client()
        .accepting(&IMAGES_ONLY)
        .with("accept-encoding", "gzip, zstd");
    let child = content.child("linux/amd64").digest;
    picky.manifest("team/app", child).await.expect(200);
    picky
        .blob("team/app", content.blobs[1].digest())
        .await
        .expect(200);
    let answer = archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    assert_eq!(answer.body, content.root().bytes);

    for entry in registry.log().all() {
        assert_eq!(
            entry.header("accept-encoding"),
            "identity",
            "{}",
            entry.path
        );
    }
    let wanted = MediaType::MANIFESTS;
    for entry in registry.log().of(&Method::GET, "/manifests/") {
        let lines = entry.headers.get_all("accept").iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        let accept = lines.join(",");
        for one in &wanted {
            assert!(accept.contains(one.as_str()), "{one} in {accept}");
        }
    }
}

#[tokio::test]
async fn no_body_is_content_encoded_whatever_the_client_offers() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway
        .client()
        .with("accept-encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5");
    let blob = &content.blobs[2];
    for path in [
        "/v2/team/app/manifests/v1",
        &blob_path("team/app", blob.digest()),
    ] {
        for _ in ["cold", "warm"] {
            let answer = client.get(path).await.expect(200);
            assert!(!answer.headers.contains_key("content-encoding"), "{path}");
            assert_eq!(
                answer.header("content-length"),
                answer.body.len().to_string()
            );
        }
    }
}

#[tokio::test]
async fn a_known_etag_is_answered_without_a_body() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let root = content.root().digest;
    let known = archway
        .client()
        .with("if-none-match", &format!("\"{root}\""));
    for reference in ["v1".to_owned(), root.to_string()] {
        let answer = known.manifest("team/app", &reference[..]).await.expect(304);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), format!("\"{root}\""));
    }
    let other = archway.client().with("if-none-match", "\"sha256:0\"");
    other.manifest("team/app", "v1").await.expect(200);
}

#[tokio::test]
async fn a_client_that_sends_no_accept_takes_everything() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let bare =
        "GET /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw::exchange(archway.address(), bare.as_bytes()).await;
    assert!(
        answer.ends_with(&content.root().bytes),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let star = Client::new(&archway.url()).accepting(&["*/*"]);
    let answer = star.manifest("team/app", "v1").await.expect(200);
    assert_eq!(answer.body, content.root().bytes);
}

#[tokio::test]
async fn every_answer_for_a_tag_that_is_an_index_says_what_it_depends_on() {
    let content = images::multi_platform("app");
    for (mode, depends_on) in [
        ("needed", "Accept, Archway-Platform"),
        ("always", "Accept, Archway-Platform, User-Agent"),
    ] {
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        let archway = Setup::in_front_of_with(&registry, &format!("resolve = \"{mode}\""))
            .start()
            .await;
        let images_only = archway.client().accepting(&IMAGES_ONLY);
        let nothing = images_only.clone().with("archway-platform", "linux/s390x");
        for (client, status) in [(archway.client(), 200), (images_only, 200), (nothing, 404)] {
            let answer = client.manifest("team/app", "v1").await.expect(status);
            assert_eq!(answer.header("vary"), depends_on, "{mode} {status}");
        }
        let digest = content.root().digest;
        let answer = archway.client().manifest("team/app", digest).await;
        assert_eq!(answer.header("vary"), "", "a digest is the same for all");
    }
}

#[tokio::test]
async fn a_client_that_takes_no_index_gets_none_whatever_an_entry_says_it_is() {
    let inner = images::multi_platform("app");
    let mut entry = inner.root().descriptor();
    entry["mediaType"] = json!(OCI_MANIFEST);
    entry["platform"] = images::platform_object("linux/arm64");
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
    let mut content = inner.clone();
    content
        .manifests
        .push(Stored::new(OCI_INDEX, index.to_string()));
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client().accepting(&IMAGES_ONLY);
    let client = client.with("archway-platform", "linux/arm64");
    let answer = client.manifest("team/app", "v1").await.expect(200);
    assert_eq!(answer.body, inner.child("linux/arm64/v8").bytes);
    assert_eq!(answer.header("content-type"), OCI_MANIFEST);
}
