//! Promise 2, index first: when a tag is answered by one of its children, what the answer then
//! says, and when it is not.

use http::Method;
use integration_tests::client::{Answer, Client, IMAGES_ONLY};
use integration_tests::images::{self, Content, Flavor, Stored};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;

const TAG: &str = "/v2/team/app/manifests/v1";
const DOCKERD_ARM64: &str = "docker/28.5.2 go/go1.24.9 git-commit/f8215cc kernel/6.1.0 os/linux \
                             arch/arm64 UpstreamClient(Docker-Client/28.2.2 \\(linux\\))";

async fn with(content: &Content, lines: &str) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::with("team/app", "v1", content).await;
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway)
}

fn asking(archway: &Archway, platform: &str) -> Client {
    archway.client().with("archway-platform", platform)
}

#[track_caller]
fn assert_untouched(answer: &Answer, content: &Content) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.body, content.root().bytes);
    assert_eq!(answer.header("archway-index"), "");
    assert_eq!(answer.header("archway-platform"), "");
    assert_eq!(answer.header("content-location"), "");
}

#[track_caller]
fn assert_substituted(answer: &Answer, content: &Content, child: &Stored, platform: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.body, child.bytes);
    let digest = child.digest.to_string();
    assert_eq!(answer.header("content-type"), child.media_type);
    assert_eq!(
        answer.header("content-length"),
        child.bytes.len().to_string()
    );
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(answer.header("etag"), format!("\"{digest}\""));
    let location = answer.header("content-location");
    assert!(
        location.ends_with(&format!("/manifests/{digest}")),
        "{location}"
    );
    let vary = answer.header("vary").to_lowercase();
    assert!(
        vary.contains("accept") && vary.contains("archway-platform"),
        "{vary}"
    );
    assert_eq!(
        answer.header("archway-index"),
        content.root().digest.to_string()
    );
    assert_eq!(answer.header("archway-platform"), platform);
}

#[tokio::test]
async fn an_explicit_hint_gets_the_child_and_the_answer_says_so() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content, "").await;
    let cases = [
        (
            "linux/arm64",
            "linux/arm64/v8",
            "linux/arm64; source=header",
        ),
        (
            "linux/arm64/v8",
            "linux/arm64/v8",
            "linux/arm64; source=header",
        ),
        (
            "linux/arm/v7",
            "linux/arm/v7",
            "linux/arm/v7; source=header",
        ),
        ("Linux/x86_64", "linux/amd64", "linux/amd64; source=header"),
    ];
    for (asked, child, said) in cases {
        let answer = asking(&archway, asked).get(TAG).await;
        assert_substituted(&answer, &content, content.child(child), said);
    }
}

#[tokio::test]
async fn head_chooses_as_get_does() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content, "").await;
    let client = asking(&archway, "linux/arm/v7");
    let cold = client.head(TAG).await.expect(200);
    let get = client.get(TAG).await;
    assert_substituted(
        &get,
        &content,
        content.child("linux/arm/v7"),
        "linux/arm/v7; source=header",
    );
    for name in [
        "content-length",
        "content-type",
        "docker-content-digest",
        "archway-platform",
        "archway-index",
        "content-location",
        "vary",
    ] {
        assert_eq!(cold.header(name), get.header(name), "{name}");
    }
}

#[tokio::test]
async fn the_child_and_its_index_are_both_to_be_had_by_digest_afterwards() {
    let content = images::multi_platform("app");
    let (registry, archway) = with(&content, "").await;
    let client = asking(&archway, "linux/arm64");
    let child = client.get(TAG).await.expect(200);
    registry.close().await;
    for digest in [
        child.header("docker-content-digest"),
        child.header("archway-index"),
    ] {
        let answer = client.manifest("team/app", digest).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), digest);
    }
}

#[tokio::test]
async fn content_location_leads_to_the_same_bytes() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::new().upstream("registry.test", &registry);
    let archway = archway.start().await;
    let clients = [
        Client::new(&format!("{}/registry.test", archway.url())),
        archway.client().with_query("ns", "registry.test"),
    ];
    for client in clients {
        let client = client.with("archway-platform", "linux/arm64");
        let answer = client.get(TAG).await.expect(200);
        let location = answer.header("content-location").to_owned();
        let again = archway.client().get(&location).await.expect(200);
        assert_eq!(again.body, answer.body, "{location}");
    }
}

#[tokio::test]
async fn a_digest_is_never_substituted() {
    let content = images::multi_platform("app");
    let (_registry, archway) =
        with(&content, "resolve = \"always\"\nplatform = \"linux/arm64\"").await;
    let root = content.root().digest;
    for client in [
        asking(&archway, "linux/arm64"),
        archway.client().with_query("platform", "linux/arm64"),
        archway.client().accepting(&IMAGES_ONLY),
        archway.client().with("user-agent", DOCKERD_ARM64),
    ] {
        for method in [Method::HEAD, Method::GET] {
            let answer = client
                .send(method, &format!("/v2/team/app/manifests/{root}"))
                .await;
            let answer = answer.expect(200);
            assert_eq!(answer.header("docker-content-digest"), root.to_string());
            assert_eq!(answer.header("archway-platform"), "");
        }
    }
}

#[tokio::test]
async fn a_tag_that_is_one_manifest_is_answered_as_it_is_whatever_the_hint() {
    let content = images::single("app", "linux/amd64", Flavor::Docker);
    let (_registry, archway) = with(&content, "resolve = \"always\"").await;
    for client in [
        asking(&archway, "linux/arm64"),
        archway.client().accepting(&IMAGES_ONLY),
        archway.client().with("user-agent", DOCKERD_ARM64),
    ] {
        assert_untouched(&client.get(TAG).await, &content);
    }
}

#[tokio::test]
async fn all_forces_the_index() {
    let content = images::multi_platform("app");
    let (_registry, archway) =
        with(&content, "resolve = \"always\"\nplatform = \"linux/arm64\"").await;
    for client in [
        asking(&archway, "all"),
        archway.client().with_query("platform", "all"),
        asking(&archway, "all").with("user-agent", DOCKERD_ARM64),
        asking(&archway, "all").accepting(&IMAGES_ONLY),
    ] {
        assert_untouched(&client.get(TAG).await, &content);
    }
}

#[tokio::test]
async fn nothing_that_fits_is_a_404_that_lists_what_there_is() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content, "").await;
    let answer = asking(&archway, "linux/s390x").get(TAG).await.expect(404);
    assert_eq!(answer.error_code(), "MANIFEST_UNKNOWN");
    let text = answer.json().to_string();
    for platform in ["linux/amd64", "linux/arm64", "linux/arm/v7"] {
        assert!(text.contains(platform), "{platform} in {text}");
    }
    assert_eq!(asking(&archway, "linux/s390x").head(TAG).await.status, 404);
    assert_untouched(&archway.client().get(TAG).await, &content);
}

#[tokio::test]
async fn attestations_are_never_chosen_and_never_listed() {
    let content = images::attested("app");
    let (_registry, archway) = with(&content, "").await;
    let arm64 = content.child("linux/arm64/v8");
    let answer = asking(&archway, "linux/arm64").get(TAG).await;
    assert_substituted(&answer, &content, arm64, "linux/arm64; source=header");
    for nothing in ["unknown/unknown", "linux/riscv64"] {
        let answer = asking(&archway, nothing).get(TAG).await.expect(404);
        let available = answer.json()["errors"][0]["detail"]["available"].to_string();
        assert_eq!(available, "[\"linux/amd64\",\"linux/arm64\"]");
    }
}

#[tokio::test]
async fn a_nested_index_is_descended_into() {
    let content = images::nested("app");
    let (_registry, archway) = with(&content, "").await;
    asking(&archway, "linux/s390x").get(TAG).await.expect(404);
    let answer = asking(&archway, "linux/arm/v7").get(TAG).await.expect(200);
    assert_eq!(answer.body, content.child("linux/arm/v7").bytes);
    assert_eq!(
        answer.header("archway-index"),
        content.root().digest.to_string()
    );
}

#[tokio::test]
async fn an_entry_without_a_platform_is_judged_by_its_config() {
    let content = images::platformless("app", "linux/arm64/v8");
    let (_registry, archway) = with(&content, "").await;
    let answer = asking(&archway, "linux/arm64").get(TAG).await;
    assert_substituted(
        &answer,
        &content,
        &content.manifests[0],
        "linux/arm64; source=header",
    );
    let other = asking(&archway, "linux/s390x").get(TAG).await.expect(404);
    assert_eq!(other.error_code(), "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn an_index_of_artifacts_is_for_no_platform_and_stays_as_it_is() {
    let content = images::artifacts("sbom");
    let (registry, archway) = with(&content, "").await;
    let answer = asking(&archway, "linux/arm64").get(TAG).await;
    assert_untouched(&answer, &content);
    let images_only = archway.client().accepting(&IMAGES_ONLY);
    images_only.get(TAG).await.expect(404);
    let image = images::multi_platform("app");
    let referrers = image.root().digest.to_string().replace(':', "-");
    registry.push("team/app", &referrers, &image);
    let client = asking(&archway, "linux/arm64");
    let answer = client.manifest("team/app", &referrers).await;
    assert_untouched(&answer, &image);
}

#[tokio::test]
async fn a_docker_list_is_chosen_from_like_an_index() {
    let content = images::docker_list("app");
    let (_registry, archway) = with(&content, "").await;
    let answer = asking(&archway, "linux/arm64").get(TAG).await;
    assert_substituted(
        &answer,
        &content,
        content.child("linux/arm64/v8"),
        "linux/arm64; source=header",
    );
}

#[tokio::test]
async fn a_client_that_takes_no_index_gets_the_default_platforms_child() {
    for (lines, platform) in [
        ("", None),
        ("platform = \"linux/arm64\"", Some("linux/arm64")),
    ] {
        for mode in ["needed", "explicit", "always"] {
            let content = images::multi_platform("app");
            let lines = format!("resolve = \"{mode}\"\n{lines}");
            let (_registry, archway) = with(&content, &lines).await;
            let old = archway.client().accepting(&IMAGES_ONLY);
            let answer = old.get(TAG).await.expect(200);
            let child = match platform {
                Some(_) => content.child("linux/arm64/v8"),
                None => content.child("linux/amd64"),
            };
            let said = format!("{}; source=default", platform.unwrap_or("linux/amd64"));
            assert_substituted(&answer, &content, child, &said);
            assert_eq!(
                old.head(TAG).await.header("docker-content-digest"),
                child.digest.to_string()
            );
        }
    }
}

#[tokio::test]
async fn needed_leaves_the_index_to_all_who_take_it() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content, "resolve = \"needed\"").await;
    assert_untouched(&archway.client().get(TAG).await, &content);
    assert_untouched(&asking(&archway, "linux/arm64").get(TAG).await, &content);
    let dockerd = archway.client().with("user-agent", DOCKERD_ARM64);
    assert_untouched(&dockerd.get(TAG).await, &content);
    let old = asking(&archway, "linux/arm64").accepting(&IMAGES_ONLY);
    let answer = old.get(TAG).await;
    assert_substituted(
        &answer,
        &content,
        content.child("linux/arm64/v8"),
        "linux/arm64; source=header",
    );
}

#[tokio::test]
async fn explicit_leaves_the_index_to_implicit_hints() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content, "platform = \"linux/arm/v7\"").await;
    let dockerd = archway.client().with("user-agent", DOCKERD_ARM64);
    assert_untouched(&dockerd.get(TAG).await, &content);
    let old = dockerd.accepting(&IMAGES_ONLY);
    let answer = old.get(TAG).await;
    assert_substituted(
        &answer,
        &content,
        content.child("linux/arm64/v8"),
        "linux/arm64; source=user-agent",
    );
}

#[tokio::test]
async fn always_takes_implicit_hints_but_not_the_default() {
    let content = images::multi_platform("app");
    let lines = "resolve = \"always\"\nplatform = \"linux/arm/v7\"";
    let (_registry, archway) = with(&content, lines).await;
    assert_untouched(&archway.client().get(TAG).await, &content);
    let answer = archway
        .client()
        .with("user-agent", DOCKERD_ARM64)
        .get(TAG)
        .await;
    assert_substituted(
        &answer,
        &content,
        content.child("linux/arm64/v8"),
        "linux/arm64; source=user-agent",
    );
}

#[tokio::test]
async fn a_hint_changes_its_own_answer_and_nobody_elses() {
    let content = images::multi_platform("app");
    let (registry, archway) = with(&content, "").await;
    asking(&archway, "linux/arm64").get(TAG).await.expect(200);
    assert_untouched(&archway.client().get(TAG).await, &content);
    let answer = asking(&archway, "linux/amd64").get(TAG).await;
    assert_substituted(
        &answer,
        &content,
        content.child("linux/amd64"),
        "linux/amd64; source=header",
    );
    assert_untouched(&archway.client().get(TAG).await, &content);
    assert_eq!(
        registry.log().gets("/manifests/v1"),
        1,
        "one index for all of them"
    );
}
