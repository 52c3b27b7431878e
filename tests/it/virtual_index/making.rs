//! What an index is made of, and what can be done with it.

use integration_tests::client::IMAGES_ONLY;
use integration_tests::images::{self, Flavor, OCI_INDEX};
use integration_tests::proxy::{Setup, UPSTREAM};
use integration_tests::registry::{BlobHead, Blobs, DigestHeader, FakeRegistry};
use manifest_model::{Algorithm, Digest};

use super::{
    BY_REPOSITORY, BY_TAG, by_repository, by_tag, digest, entries, front, image, latest, platforms,
};

#[tokio::test]
async fn independent_replicas_make_the_same_index_whatever_the_order_of_sources() {
    let registry = by_tag().await;
    let other_order = BY_TAG.replace(
        "[\"team/*:amd64\", \"team/*:arm64\"]",
        "[\"team/*:arm64\", \"team/*:amd64\"]",
    );
    let one = front(&registry, BY_TAG).await;
    let other = front(&registry, &other_order).await;
    let (one, other) = (
        latest(&one).await.expect(200),
        latest(&other).await.expect(200),
    );
    assert_eq!(one.body, other.body);
    assert_eq!(
        one.header("docker-content-digest"),
        other.header("docker-content-digest")
    );
    assert_eq!(one.header("content-type"), OCI_INDEX);
    let made = Digest::of(Algorithm::Sha256, &one.body);
    assert_eq!(one.header("docker-content-digest"), made.to_string());
    assert_eq!(
        entries(&one),
        [
            format!("linux/amd64 {}", digest(&image("linux/amd64"))),
            format!("linux/arm64 {}", digest(&image("linux/arm64"))),
        ]
    );
    let annotations = &one.json()["annotations"];
    assert_eq!(annotations["io.archway.synthetic"], "true");
    let sources = format!(
        "team/app:amd64@{},team/app:arm64@{}",
        digest(&image("linux/amd64")),
        digest(&image("linux/arm64"))
    );
    assert_eq!(annotations["io.archway.sources"], sources);
}

#[tokio::test]
async fn everything_below_the_index_is_pulled_through_the_one_name() {
    for registry in [by_tag().await, by_repository().await] {
        registry.quirks(|quirks| {
            quirks.blobs = Blobs::Redirected;
            quirks.blob_head = BlobHead::Unauthorized;
            quirks.digest_header = DigestHeader::OnHead;
        });
        let rules = format!("{BY_TAG}\n{BY_REPOSITORY}");
        let archway = front(&registry, &rules).await;
        let (repository, tag) = if latest(&archway).await.status == 200 {
            ("team/app", "latest")
        } else {
            ("team/image", "2.7")
        };
        let client = archway.client();
        let pulled = client.pull(repository, tag).await;
        assert_eq!(
            pulled.parts.len(),
            9,
            "an index, two manifests, two configs, four layers"
        );
        let layer = image("linux/arm64").blobs[1].digest();
        let head = client
            .head(&format!("/v2/{repository}/blobs/{layer}"))
            .await;
        head.expect(200);
        assert_eq!(registry.store_gets_of(&layer), 1);

        archway.stores_all(&pulled).await;
        registry.close().await;
        let archway = archway.restart().await;
        assert_eq!(archway.client().pull(repository, tag).await, pulled);
    }
}

#[tokio::test]
async fn a_layer_that_was_never_pulled_is_fetched_from_the_repository_that_has_it() {
    let registry = by_repository().await;
    let archway = front(&registry, BY_REPOSITORY).await;
    archway
        .client()
        .manifest("team/image", "2.7")
        .await
        .expect(200);
    let archway = archway.restart().await;
    let layer = image("linux/arm64").blobs[2].digest();
    let answer = archway.client().blob("team/image", layer).await.expect(200);
    assert_eq!(Digest::of(Algorithm::Sha256, &answer.body), layer);
    archway.client().blob("team/other", layer).await.expect(404);
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_making() {
    let registry = by_tag().await;
    let archway = front(&registry, BY_TAG).await;
    let answers = futures_util::future::join_all((0..20).map(|_| latest(&archway))).await;
    for answer in &answers {
        assert_eq!(answer.body, answers[0].body);
    }
    for tag in ["/latest", "/amd64", "/arm64"] {
        assert_eq!(registry.log().gets(tag), 1, "{tag}");
    }
}

#[tokio::test]
async fn the_platform_is_the_configs_and_not_the_names() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/arm/v7")).await;
    registry.push("team/app", "arm64", &image("linux/s390x"));
    let archway = front(&registry, BY_TAG).await;
    let made = latest(&archway).await.expect(200);
    assert_eq!(platforms(&made), ["linux/armv7", "linux/s390x"]);
}

#[tokio::test]
async fn dockers_images_keep_their_media_type_in_the_index() {
    let amd64 = images::single("app", "linux/amd64", Flavor::Docker);
    let registry = FakeRegistry::with("team/app", "amd64", &amd64).await;
    registry.push("team/app", "arm64", &image("linux/arm64"));
    let archway = front(&registry, BY_TAG).await;
    let made = latest(&archway).await.expect(200);
    assert_eq!(made.header("content-type"), OCI_INDEX);
    assert_eq!(
        made.json()["manifests"][0]["mediaType"],
        images::DOCKER_MANIFEST
    );
    assert_eq!(
        made.json()["manifests"][1]["mediaType"],
        images::OCI_MANIFEST
    );
    assert_eq!(
        archway
            .client()
            .pull("team/app", "latest")
            .await
            .parts
            .len(),
        9
    );
}

#[tokio::test]
async fn indexes_among_the_sources_are_flattened_and_their_attestations_kept() {
    let attested = images::attested("app");
    let registry = FakeRegistry::with("team/image-linux-amd64", "2.7", &attested).await;
    let nested = images::index_of("nested", &["linux/s390x"], Flavor::Oci);
    registry.push("team/image-linux-arm64", "2.7", &nested);
    let archway = front(&registry, BY_REPOSITORY).await;
    let client = archway.client();
    let made = client.manifest("team/image", "2.7").await.expect(200);
    assert_eq!(
        platforms(&made),
        [
            "linux/amd64",
            "linux/arm64",
            "linux/s390x",
            "unknown/unknown",
            "unknown/unknown"
        ]
    );
    let about = &made.json()["manifests"][3]["annotations"]["vnd.docker.reference.digest"];
    assert!(
        made.text()
            .contains(about.as_str().expect("it names its image"))
    );
    client.pull("team/image", "2.7").await;
}

#[tokio::test]
async fn hints_choose_from_it_as_from_any_index_and_never_change_it() {
    let registry = by_tag().await;
    let archway = front(&registry, BY_TAG).await;
    let made = latest(&archway).await.expect(200);
    for (platform, architecture) in [
        ("linux/arm64", "linux/arm64"),
        ("linux/amd64", "linux/amd64"),
    ] {
        let asking = archway.client().with("archway-platform", platform);
        let child = asking.manifest("team/app", "latest").await.expect(200);
        assert_eq!(child.body, image(architecture).root().bytes);
        assert_eq!(
            child.header("archway-index"),
            made.header("docker-content-digest")
        );
        let digest = made.header("docker-content-digest");
        assert_eq!(
            asking.manifest("team/app", digest).await.expect(200).body,
            made.body
        );
    }
    let wrong = archway.client().with("archway-platform", "linux/s390x");
    wrong.manifest("team/app", "latest").await.expect(404);
    let old = archway.client().accepting(&IMAGES_ONLY);
    let child = old.manifest("team/app", "latest").await.expect(200);
    assert_eq!(child.body, image("linux/amd64").root().bytes);
    assert_eq!(latest(&archway).await.expect(200).body, made.body);
}

#[tokio::test]
async fn a_rule_of_one_upstream_is_none_of_another() {
    let (registry, other) = (by_tag().await, by_tag().await);
    let archway = Setup::in_front_of_with(&registry, BY_TAG)
        .upstream("other.test", &other)
        .start()
        .await;
    let client = archway.client();
    client
        .get("/v2/other.test/team/app/manifests/latest")
        .await
        .expect(404);
    client
        .get(&format!("/v2/{UPSTREAM}/team/app/manifests/latest"))
        .await
        .expect(200);
}
