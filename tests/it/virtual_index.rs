//! Names made of other names: an index of images that have a name for each architecture, and the name of one
//! architecture answered from an index. What every replica must agree on, what is refused, and what is never guessed.

use http::StatusCode;
use integration_tests::client::{Answer, Pulled};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Content, Flavor, OCI_INDEX};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::{BlobHead, Blobs, DigestHeader, FakeRegistry};
use integration_tests::wait::eventually;
use manifest_model::{Algorithm, Digest};

const SHORT: &str = "tag_ttl = \"50ms\"\nnot_found_ttl = \"50ms\"\n";

/// `team/app:latest` of `team/app:amd64` and `team/app:arm64`.
const BY_TAG: &str = "[[upstream.\"registry.test\".virtual_index]]\n\
    name = \"team/*:latest\"\nsources = [\"team/*:amd64\", \"team/*:arm64\"]\n";

/// `team/image:2.7` of `team/image-linux-amd64:2.7` and `team/image-linux-arm64:2.7`.
const BY_REPOSITORY: &str = "[[upstream.\"registry.test\".virtual_index]]\n\
    name = \"team/*:*\"\nsources = [\"team/*-linux-amd64:*\", \"team/*-linux-arm64:*\"]\n";

/// `team/app:arm64` of `team/app:latest`.
const ALIAS: &str = "[[upstream.\"registry.test\".alias]]\n\
    name = \"team/*:arm64\"\ntarget = \"team/*:latest\"\nplatform = \"linux/arm64\"\n";

fn image(platform: &str) -> Content {
    images::single(platform, platform, Flavor::Oci)
}

fn digest(content: &Content) -> String {
    content.root().digest.to_string()
}

async fn by_tag() -> FakeRegistry {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    registry.push("team/app", "arm64", &image("linux/arm64"));
    registry
}

async fn by_repository() -> FakeRegistry {
    let amd64 = image("linux/amd64");
    let registry = FakeRegistry::with("team/image-linux-amd64", "2.7", &amd64).await;
    registry.push("team/image-linux-arm64", "2.7", &image("linux/arm64"));
    registry
}

async fn latest(archway: &Archway) -> Answer {
    archway.client().manifest("team/app", "latest").await
}

async fn stores(archway: &Archway, pulled: &Pulled) {
    for part in &pulled.parts {
        archway.stores(part).await;
    }
}

/// `platform digest` of every entry of an index.
fn entries(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let entries = body["manifests"].as_array().expect("an index");
    let line = |entry: &serde_json::Value| {
        let platform = &entry["platform"];
        let part = |key: &str| platform[key].as_str().unwrap_or_default().to_owned();
        let digest = entry["digest"].as_str().expect("a digest");
        format!(
            "{}/{}{} {digest}",
            part("os"),
            part("architecture"),
            part("variant")
        )
    };
    entries.iter().map(line).collect()
}

#[tokio::test]
async fn independent_replicas_make_the_same_index_whatever_the_order_of_sources() {
    let registry = by_tag().await;
    let other_order = BY_TAG.replace(
        "[\"team/*:amd64\", \"team/*:arm64\"]",
        "[\"team/*:arm64\", \"team/*:amd64\"]",
    );
    let one = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    let other = Setup::in_front_of_with(&registry, &other_order)
        .start()
        .await;
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
        let archway = Setup::in_front_of_with(&registry, &rules).start().await;
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

        stores(&archway, &pulled).await;
        registry.close().await;
        let archway = archway.restart().await;
        assert_eq!(archway.client().pull(repository, tag).await, pulled);
    }
}

#[tokio::test]
async fn a_layer_that_was_never_pulled_is_fetched_from_the_repository_that_has_it() {
    let registry = by_repository().await;
    let archway = Setup::in_front_of_with(&registry, BY_REPOSITORY)
        .start()
        .await;
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
async fn the_upstreams_own_tag_wins_unless_the_rule_says_otherwise() {
    let registry = by_tag().await;
    let own = images::multi_platform("own");
    registry.push("team/app", "latest", &own);
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    assert_eq!(latest(&archway).await.expect(200).body, own.root().bytes);

    let first = format!("{BY_TAG}prefer = \"rule\"\n");
    let archway = Setup::in_front_of_with(&registry, &first).start().await;
    let made = latest(&archway).await.expect(200);
    assert_eq!(made.json()["annotations"]["io.archway.synthetic"], "true");
}

#[tokio::test]
async fn a_tag_that_appears_upstream_takes_over_and_one_that_goes_is_made_again() {
    let registry = by_tag().await;
    let archway = Setup::in_front_of_with(&registry, &format!("{SHORT}{BY_TAG}"))
        .start()
        .await;
    let made = latest(&archway).await.expect(200);
    let own = images::multi_platform("own");
    registry.push("team/app", "latest", &own);
    eventually("the upstream's own tag is served", async || {
        (latest(&archway).await.expect(200).body == own.root().bytes).then_some(())
    })
    .await;
    registry.remove_tag("team/app", "latest");
    eventually("the index is made again", async || {
        (latest(&archway).await.expect(200).body == made.body).then_some(())
    })
    .await;
}

#[tokio::test]
async fn when_a_source_moves_the_tag_follows_and_the_old_index_stays_by_digest() {
    let registry = by_tag().await;
    let archway = Setup::in_front_of_with(&registry, &format!("{SHORT}{BY_TAG}"))
        .start()
        .await;
    let old = latest(&archway).await.expect(200);
    let moved = images::single("moved", "linux/arm64", Flavor::Oci);
    registry.push("team/app", "arm64", &moved);
    let new = eventually("the tag has moved", async || {
        let answer = latest(&archway).await.expect(200);
        (answer.body != old.body).then_some(answer)
    })
    .await;
    assert!(entries(&new)[1].ends_with(&digest(&moved)));

    registry.close().await;
    let archway = archway.restart().await;
    for answer in [old, new] {
        let by_digest = answer.header("docker-content-digest");
        let again = archway
            .client()
            .manifest("team/app", by_digest)
            .await
            .expect(200);
        assert_eq!(again.body, answer.body);
    }
}

#[tokio::test]
async fn an_index_that_was_evicted_is_made_again() {
    let registry = by_tag().await;
    let lines = format!("tag_ttl = \"1h\"\n{BY_TAG}");
    let mut archway = Setup::in_front_of_with(&registry, &lines).start().await;
    let made = latest(&archway).await.expect(200);
    archway.kill();
    let digest = made.header("docker-content-digest").replace(':', "/");
    let file = archway.cache_folder().join("blobs").join(digest);
    std::fs::remove_file(file).expect("it was stored");
    let archway = archway.restart().await;
    assert_eq!(latest(&archway).await.expect(200).body, made.body);
}

#[tokio::test]
async fn an_old_index_is_revalidated_by_heads_alone_and_a_fresh_one_asks_nobody() {
    let registry = by_tag().await;
    let archway = Setup::in_front_of_with(&registry, &format!("tag_ttl = \"1h\"\n{BY_TAG}"))
        .start()
        .await;
    latest(&archway).await.expect(200);
    let asked = registry.log().all().len();
    latest(&archway).await.expect(200);
    assert_eq!(registry.log().all().len(), asked);

    let archway = Setup::in_front_of_with(&registry, &format!("{SHORT}{BY_TAG}"))
        .start()
        .await;
    latest(&archway).await.expect(200);
    let (gets, heads) = (registry.log().gets("64"), registry.log().heads("64"));
    eventually("both sources are asked for again", async || {
        latest(&archway).await.expect(200);
        (registry.log().heads("64") >= heads + 2).then_some(())
    })
    .await;
    assert_eq!(registry.log().gets("64"), gets, "HEADs are enough");
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_making() {
    let registry = by_tag().await;
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    let answers = futures_util::future::join_all((0..20).map(|_| latest(&archway))).await;
    for answer in &answers {
        assert_eq!(answer.body, answers[0].body);
    }
    for tag in ["/latest", "/amd64", "/arm64"] {
        assert_eq!(registry.log().gets(tag), 1, "{tag}");
    }
}

#[tokio::test]
async fn a_source_in_trouble_is_an_error_and_never_a_smaller_index() {
    for status in [500, 429, 403] {
        let registry = by_tag().await;
        let status = StatusCode::from_u16(status).unwrap();
        registry
            .faults()
            .add(On::path("/manifests/arm64"), Fault::Status(status));
        let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
        let answer = latest(&archway).await;
        assert!(
            answer.status.as_u16() >= 403 && answer.status != 404,
            "{}",
            answer.status
        );
        registry.faults().clear();
        eventually("the trouble is over", async || {
            let answer = latest(&archway).await;
            (answer.status == 200).then(|| assert_eq!(entries(&answer).len(), 2))
        })
        .await;
    }
}

#[tokio::test]
async fn a_source_in_trouble_leaves_the_index_that_was_made_before_stale() {
    let registry = by_tag().await;
    let archway = Setup::in_front_of_with(&registry, &format!("{SHORT}{BY_TAG}"))
        .start()
        .await;
    let made = latest(&archway).await.expect(200);
    let fault = Fault::Status(StatusCode::INTERNAL_SERVER_ERROR);
    registry.faults().add(On::path("/manifests/arm64"), fault);
    for _ in 0..3 {
        let stale = eventually("the index is served stale", async || {
            let answer = latest(&archway).await.expect(200);
            (answer.header("archway-cache") == "stale").then_some(answer)
        })
        .await;
        assert_eq!(stale.body, made.body);
    }
}

#[tokio::test]
async fn what_the_upstream_lacks_is_left_out_unless_the_rule_demands_it() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    assert_eq!(entries(&latest(&archway).await.expect(200)).len(), 1);

    let demanding = format!("{BY_TAG}platforms = [\"linux/amd64\", \"linux/arm64\"]\n");
    let archway = Setup::in_front_of_with(&registry, &demanding).start().await;
    let refused = latest(&archway).await.expect(404);
    assert_eq!(refused.error_code(), "MANIFEST_UNKNOWN");
    let detail = &refused.json()["errors"][0]["detail"];
    assert_eq!(detail["platform"], "linux/arm64");
    assert_eq!(detail["available"], serde_json::json!(["linux/amd64"]));
}

#[tokio::test]
async fn a_rule_that_yields_nothing_says_what_was_tried() {
    let registry = FakeRegistry::with("team/app", "v1", &image("linux/amd64")).await;
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    for _ in 0..2 {
        let refused = latest(&archway).await.expect(404);
        assert_eq!(refused.error_code(), "MANIFEST_UNKNOWN");
        let tried = &refused.json()["errors"][0]["detail"]["tried"];
        assert_eq!(
            *tried,
            serde_json::json!(["team/app:amd64", "team/app:arm64"])
        );
    }
    assert_eq!(registry.log().all().len(), 3, "absence holds for a moment");
}

#[tokio::test]
async fn an_index_of_deleted_tags_is_served_on_where_deleted_tags_are() {
    let registry = by_tag().await;
    let lines = format!("{SHORT}serve_deleted_tags = true\n{BY_TAG}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    let before = latest(&archway).await.expect(200);
    for tag in ["amd64", "arm64"] {
        registry.remove_tag("team/app", tag);
    }
    for _ in 0..2 {
        let stale = async || {
            let answer = latest(&archway).await.expect(200);
            (answer.header("archway-cache") == "stale").then_some(answer)
        };
        let after = eventually("the tag is asked for again", stale).await;
        assert_eq!(after.body, before.body);
    }
}

#[tokio::test]
async fn two_images_for_one_platform_are_refused_with_both_names() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    registry.push(
        "team/app",
        "arm64",
        &images::single("mislabelled", "linux/amd64", Flavor::Oci),
    );
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    let refused = latest(&archway).await.expect(502);
    let text = refused.text();
    assert!(text.contains("2 images for linux/amd64"), "{text}");
    assert!(
        text.contains("team/app:amd64@") && text.contains("team/app:arm64@"),
        "{text}"
    );
}

#[tokio::test]
async fn the_platform_is_the_configs_and_not_the_names() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/arm/v7")).await;
    registry.push("team/app", "arm64", &image("linux/s390x"));
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    let made = latest(&archway).await.expect(200);
    let platforms: Vec<_> = entries(&made)
        .iter()
        .map(|entry| entry.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(platforms, ["linux/armv7", "linux/s390x"]);
}

#[tokio::test]
async fn what_is_no_image_is_refused() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    registry.push(
        "team/app",
        "arm64",
        &images::artifact("sbom", "application/spdx+json", None),
    );
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
    latest(&archway).await.expect(502);
}

#[tokio::test]
async fn dockers_images_keep_their_media_type_in_the_index() {
    let amd64 = images::single("app", "linux/amd64", Flavor::Docker);
    let registry = FakeRegistry::with("team/app", "amd64", &amd64).await;
    registry.push("team/app", "arm64", &image("linux/arm64"));
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
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
    let archway = Setup::in_front_of_with(&registry, BY_REPOSITORY)
        .start()
        .await;
    let client = archway.client();
    let made = client.manifest("team/image", "2.7").await.expect(200);
    let platforms: Vec<_> = entries(&made)
        .iter()
        .map(|entry| entry.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        platforms,
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
    let archway = Setup::in_front_of_with(&registry, BY_TAG).start().await;
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
    let old = archway
        .client()
        .accepting(&integration_tests::client::IMAGES_ONLY);
    let child = old.manifest("team/app", "latest").await.expect(200);
    assert_eq!(child.body, image("linux/amd64").root().bytes);
    assert_eq!(latest(&archway).await.expect(200).body, made.body);
}

#[tokio::test]
async fn an_immutable_tag_is_made_once_only_where_its_sources_are_immutable_too() {
    let registry = by_tag().await;
    let lines = format!("{SHORT}immutable_tags = [\"latest\"]\n{BY_TAG}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    let made = latest(&archway).await.expect(200);
    registry.push(
        "team/app",
        "arm64",
        &images::single("moved", "linux/arm64", Flavor::Oci),
    );
    eventually("the tag has moved", async || {
        (latest(&archway).await.expect(200).body != made.body).then_some(())
    })
    .await;

    let lines = format!("{SHORT}immutable_tags = [\"*\"]\n{BY_TAG}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    let made = latest(&archway).await.expect(200);
    registry.close().await;
    let again = latest(&archway).await.expect(200);
    assert_eq!(
        (again.header("archway-cache"), &again.body),
        ("hit", &made.body)
    );
}

#[tokio::test]
async fn an_index_that_lacked_a_source_is_never_immutable() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    let lines = format!("{SHORT}immutable_tags = [\"*\"]\n{BY_TAG}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    assert_eq!(entries(&latest(&archway).await.expect(200)).len(), 1);
    registry.push("team/app", "arm64", &image("linux/arm64"));
    eventually("the other architecture is there too", async || {
        (entries(&latest(&archway).await.expect(200)).len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_old_name_is_answered_from_the_multi_arch_tag() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "latest", &content).await;
    let archway = Setup::in_front_of_with(&registry, ALIAS).start().await;
    let client = archway.client();
    let child = client.manifest("team/app", "arm64").await.expect(200);
    assert_eq!(child.body, content.child("linux/arm64/v8").bytes);
    let pulled = client.pull("team/app", "arm64").await;
    assert_eq!(
        pulled.root.to_string(),
        child.header("docker-content-digest")
    );
    stores(&archway, &pulled).await;
    registry.close().await;
    let archway = archway.restart().await;
    assert_eq!(archway.client().pull("team/app", "arm64").await, pulled);
}

#[tokio::test]
async fn an_old_repository_is_answered_from_the_one_that_has_all() {
    let alias = "[[upstream.\"registry.test\".alias]]\n\
        name = \"*-linux-arm64:*\"\ntarget = \"*:*\"\nplatform = \"linux/arm64\"\n";
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "2.7", &content).await;
    let archway = Setup::in_front_of_with(&registry, alias).start().await;
    let pulled = archway.client().pull("team/app-linux-arm64", "2.7").await;
    assert_eq!(pulled.root, content.child("linux/arm64/v8").digest);
    assert_eq!(pulled.parts.len(), 4);
}

#[tokio::test]
async fn an_alias_takes_exactly_its_platform_or_says_what_there_is() {
    let content = images::index_of("app", &["linux/arm/v7", "linux/amd64"], Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "latest", &content).await;
    let archway = Setup::in_front_of_with(&registry, ALIAS).start().await;
    let refused = archway
        .client()
        .manifest("team/app", "arm64")
        .await
        .expect(404);
    let available = &refused.json()["errors"][0]["detail"]["available"];
    assert_eq!(
        *available,
        serde_json::json!(["linux/arm/v7", "linux/amd64"])
    );

    let twice = images::index_of("twice", &["linux/arm64", "linux/arm64/v8"], Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "latest", &twice).await;
    let archway = Setup::in_front_of_with(&registry, ALIAS).start().await;
    archway
        .client()
        .manifest("team/app", "arm64")
        .await
        .expect(502);

    let registry = FakeRegistry::with("team/app", "v1", &twice).await;
    let archway = Setup::in_front_of_with(&registry, ALIAS).start().await;
    let refused = archway
        .client()
        .manifest("team/app", "arm64")
        .await
        .expect(404);
    let tried = &refused.json()["errors"][0]["detail"]["tried"];
    assert_eq!(*tried, serde_json::json!(["team/app:latest"]));
}

#[tokio::test]
async fn a_rule_and_its_reverse_do_not_wait_for_each_other() {
    let both = format!("{BY_TAG}\n{ALIAS}");
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    let archway = Setup::in_front_of_with(&registry, &both).start().await;
    assert_eq!(entries(&latest(&archway).await.expect(200)).len(), 1);
    archway
        .client()
        .manifest("team/app", "arm64")
        .await
        .expect(404);
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
