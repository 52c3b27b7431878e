//! Promise 1, bytes, and the plain pull: cold, warm, by tag and by digest, HEAD as GET.

use http::StatusCode;
use integration_tests::client::{Answer, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Blob, Content, Flavor, noise};
use integration_tests::proxy::Setup;
use integration_tests::registry::{BlobHead, DigestHeader, FakeRegistry};
use manifest_model::{Algorithm, Digest};

/// One of each kind of thing that registries hold under a tag.
fn kinds() -> Vec<(&'static str, Content)> {
    vec![
        ("oci-index", images::multi_platform("oci")),
        ("docker-list", images::docker_list("docker")),
        ("attested", images::attested("attested")),
        ("nested", images::nested("nested")),
        (
            "artifact",
            images::artifact("sbom", "application/spdx+json", None),
        ),
        ("odd", images::odd("odd")),
        (
            "docker-image",
            images::single("plain", "linux/arm64/v8", Flavor::Docker),
        ),
    ]
}

async fn registry_with_kinds() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for (tag, content) in kinds() {
        registry.push("team/app", tag, &content);
    }
    registry
}

/// What has to be alike between HEAD and GET, and between a tag and its digest.
fn described(answer: &Answer) -> Vec<(&'static str, String)> {
    let names = [
        "content-type",
        "content-length",
        "docker-content-digest",
        "etag",
        "docker-distribution-api-version",
        "oci-namespace",
    ];
    names
        .map(|name| (name, answer.header(name).to_owned()))
        .to_vec()
}

#[tokio::test]
async fn the_ping_says_which_api_this_is() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let answer = archway.client().get("/v2/").await.expect(200);
    assert_eq!(
        answer.header("docker-distribution-api-version"),
        "registry/2.0"
    );
    archway.client().head("/v2/").await.expect(200);
}

#[tokio::test]
async fn a_cold_pull_asks_the_upstream_once_for_each_part() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    assert_eq!(pulled.root, content.root().digest);
    assert_eq!(
        pulled.parts.len(),
        content.manifests.len() + content.blobs.len()
    );
    for part in &pulled.parts[1..] {
        assert_eq!(registry.gets_of(part), 1, "{part}");
    }
    let root = registry.gets_of(&pulled.root) + registry.log().gets("/manifests/v1");
    assert_eq!(root, 1, "the index by tag or by digest");
}

#[tokio::test]
async fn a_warm_pull_needs_no_upstream() {
    let registry = registry_with_kinds().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let mut cold = Vec::new();
    for (tag, _) in kinds() {
        cold.push(archway.client().pull("team/app", tag).await);
    }
    registry.close().await;
    for ((tag, content), cold) in kinds().into_iter().zip(cold) {
        assert_eq!(archway.client().pull("team/app", tag).await, cold, "{tag}");
        let layer = content.blobs[0].digest();
        archway.stores(&layer).await;
        let answer = archway.client().blob("team/app", layer).await.expect(200);
        assert_eq!(answer.header("archway-cache"), "hit");
    }
}

#[tokio::test]
async fn a_digest_request_gives_exactly_the_upstreams_bytes() {
    let registry = registry_with_kinds().await;
    let archway = Setup::in_front_of(&registry).start().await;
    for (kind, content) in kinds() {
        for stored in &content.manifests {
            for warmth in ["cold", "warm"] {
                let answer = archway.client().manifest("team/app", stored.digest).await;
                let answer = answer.expect(200);
                assert_eq!(answer.body, stored.bytes, "{kind}, {warmth}");
                assert_eq!(answer.header("content-type"), stored.media_type, "{kind}");
                let digest = stored.digest.to_string();
                assert_eq!(answer.header("docker-content-digest"), digest, "{kind}");
                assert_eq!(answer.header("etag"), format!("\"{digest}\""), "{kind}");
                let length = stored.bytes.len().to_string();
                assert_eq!(answer.header("content-length"), length, "{kind}");
            }
        }
    }
}

#[tokio::test]
async fn a_tag_request_gives_the_index_untouched() {
    let registry = registry_with_kinds().await;
    let archway = Setup::in_front_of(&registry).start().await;
    for (tag, content) in kinds() {
        let answer = archway.client().manifest("team/app", tag).await.expect(200);
        assert_eq!(answer.body, content.root().bytes, "{tag}");
        assert_eq!(
            answer.header("content-type"),
            content.root().media_type,
            "{tag}"
        );
        assert_eq!(
            answer.header("archway-index"),
            "",
            "{tag}: nothing was substituted"
        );
        assert_eq!(
            answer.header("archway-platform"),
            "",
            "{tag}: nothing was substituted"
        );
    }
}

#[tokio::test]
async fn head_says_what_get_says() {
    let registry = registry_with_kinds().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client();
    for (tag, content) in kinds() {
        let root = content.root().digest;
        let blob = content.blobs.last().expect("a blob").digest();
        let paths = [
            format!("/v2/team/app/manifests/{tag}"),
            format!("/v2/team/app/manifests/{root}"),
            blob_path("team/app", blob),
        ];
        for path in paths {
            let cold = client.head(&path).await.expect(200);
            let get = client.get(&path).await.expect(200);
            let warm = client.head(&path).await.expect(200);
            assert_eq!(get.header("content-length"), get.body.len().to_string());
            assert_eq!(described(&cold), described(&get), "{path}, cold");
            assert_eq!(described(&warm), described(&get), "{path}, warm");
            assert!(cold.body.is_empty() && warm.body.is_empty());
        }
    }
}

#[tokio::test]
async fn a_tag_and_its_digest_are_one_entry() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let by_tag = archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    let root = content.root().digest;
    let by_digest = archway
        .client()
        .manifest("team/app", root)
        .await
        .expect(200);
    assert_eq!(described(&by_tag), described(&by_digest));
    assert_eq!(registry.log().gets("/manifests/"), 1);
}

#[tokio::test]
async fn sha512_names_manifests_and_blobs_too() {
    let registry = FakeRegistry::start().await;
    let content = images::single("strong", "linux/amd64", Flavor::Oci);
    registry.push_as(Algorithm::Sha512, "team/app", "v1", &content);
    let blob = Blob::from(noise("strong blob", 70_000));
    let blob_digest = registry.push_blob("team/app", Algorithm::Sha512, &blob);
    let archway = Setup::in_front_of(&registry).start().await;

    let digest = Digest::of(Algorithm::Sha512, &content.root().bytes);
    for _ in ["cold", "warm"] {
        let answer = archway
            .client()
            .manifest("team/app", digest)
            .await
            .expect(200);
        assert_eq!(answer.body, content.root().bytes);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        let answer = archway
            .client()
            .blob("team/app", blob_digest)
            .await
            .expect(200);
        assert!(blob.holds_at(0, &answer.body) && answer.body.len() == 70_000);
    }
    assert_eq!(registry.gets_of(&blob_digest), 1);
}

#[tokio::test]
async fn a_tag_is_announced_in_the_algorithm_its_upstream_names_it_by() {
    let registry = FakeRegistry::start().await;
    let content = images::single("strong", "linux/amd64", Flavor::Oci);
    registry.push_as(Algorithm::Sha512, "team/app", "v1", &content);
    let archway = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"")
        .start()
        .await;
    let digest = Digest::of(Algorithm::Sha512, &content.root().bytes);
    for _ in ["cold", "asked about again"] {
        let answer = archway.client().manifest("team/app", "v1").await;
        let answer = answer.expect(200);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }
    assert_eq!(registry.log().gets("/manifests/"), 1, "a HEAD confirms it");
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let empty = Blob::from(Vec::new());
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&empty)).await;
    let archway = Setup::in_front_of(&registry).start().await;
    for _ in ["cold", "warm"] {
        let answer = archway
            .client()
            .blob("team/app", empty.digest())
            .await
            .expect(200);
        assert_eq!(
            (answer.body.len(), answer.header("content-length")),
            (0, "0")
        );
    }
    assert_eq!(registry.gets_of(&empty.digest()), 1);
}

#[tokio::test]
async fn a_blob_is_never_asked_for_by_head() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    registry.quirks(|quirks| quirks.blob_head = BlobHead::Unauthorized);
    let archway = Setup::in_front_of(&registry).start().await;
    let blob = &content.blobs[2];
    let answer = archway
        .client()
        .head(&blob_path("team/app", blob.digest()))
        .await
        .expect(200);
    assert_eq!(answer.header("content-length"), blob.size().to_string());
    assert_eq!(
        answer.header("docker-content-digest"),
        blob.digest().to_string()
    );
    assert_eq!(registry.log().heads("/blobs/"), 0);
}

#[tokio::test]
async fn the_digest_is_computed_and_not_believed() {
    let kinds = [
        DigestHeader::OnHead,
        DigestHeader::Never,
        DigestHeader::False,
    ];
    for kind in kinds {
        let content = images::multi_platform("app");
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        registry.quirks(|quirks| quirks.digest_header = kind);
        let archway = Setup::in_front_of(&registry).start().await;
        let path = "/v2/team/app/manifests/v1";
        let root = content.root().digest.to_string();
        let head = archway.client().head(path).await.expect(200);
        assert_eq!(head.header("docker-content-digest"), root, "{kind:?}, HEAD");
        let get = archway.client().get(path).await.expect(200);
        assert_eq!(get.header("docker-content-digest"), root, "{kind:?}, GET");
        assert_eq!(
            archway
                .client()
                .pull("team/app", "v1")
                .await
                .root
                .to_string(),
            root
        );
    }
}

#[tokio::test]
async fn a_blob_of_unannounced_length_arrives_whole() {
    let blob = Blob::from(noise("no length", 300_000));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    registry.faults().add(On::path("/blobs/"), Fault::NoLength);
    let archway = Setup::in_front_of(&registry).start().await;
    for _ in ["cold", "warm"] {
        let answer = archway
            .client()
            .blob("team/app", blob.digest())
            .await
            .expect(200);
        assert_eq!(answer.body.len(), 300_000);
        assert!(blob.holds_at(0, &answer.body));
    }
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn a_length_nobody_knows_is_not_said_to_be_zero() {
    let blob = Blob::from(noise("no length", 300_000));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    registry.faults().add(On::path("/blobs/"), Fault::NoLength);
    // A range would tell it.
    let refused = Fault::RefuseRange(0, StatusCode::NOT_IMPLEMENTED);
    registry.faults().add(On::path("/blobs/"), refused);
    let archway = Setup::in_front_of(&registry).start().await;
    let path = blob_path("team/app", blob.digest());
    let answer = archway.client().head(&path).await.expect(200);
    assert!(answer.headers.get("content-length").is_none());
}
