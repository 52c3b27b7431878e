//! What was answered about an image stays answered as long as the image: its referrers, its tags of
//! referrers, and that there are none.

use integration_tests::client::Answer;
use integration_tests::images::{self, Content, Flavor, OCI_INDEX, Stored};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{FakeRegistry, Referrers};
use serde_json::json;

/// Nothing is remembered but what is kept.
const SHORT: &str = "tag_ttl = \"0s\"\nnot_found_ttl = \"0s\"\nstale_if_error = \"0s\"";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn fallback_tag(subject: &Stored) -> String {
    format!("sha256-{}", subject.digest.hex())
}

fn referrers_path(subject: &Stored) -> String {
    format!("/v2/team/app/referrers/{}", subject.digest)
}

/// The attestation manifests of an attested image.
fn attestations(content: &Content) -> Vec<&Stored> {
    let named: Vec<_> = content.manifests.iter().collect();
    named
        .into_iter()
        .filter(|manifest| manifest.platform.is_empty() && manifest.digest != content.root().digest)
        .collect()
}

/// What docker 29 asks for with an attested image: index, image and attestation, and what may be
/// attached to the attestation.
async fn as_docker_29_pulls(archway: &Archway, content: &Content) -> Vec<(String, u16)> {
    let client = archway.client();
    let mut statuses = Vec::new();
    let mut paths = vec![format!("/v2/team/app/manifests/{}", content.root().digest)];
    for attestation in attestations(content) {
        let kind = BUNDLE.replace('/', "%2F").replace('+', "%2B");
        let filtered = format!("{}?artifactType={kind}", referrers_path(attestation));
        paths.push(format!("/v2/team/app/manifests/{}", attestation.digest));
        paths.push(filtered);
        paths.push(format!(
            "/v2/team/app/manifests/{}",
            fallback_tag(attestation)
        ));
    }
    for path in paths {
        let answer = client.get(&path).await;
        statuses.push((path, answer.status.as_u16()));
    }
    statuses
}

fn is_marked_stale(answer: &Answer) {
    assert_eq!(answer.header("archway-cache"), "stale", "{answer:?}");
    assert!(answer.header("warning").starts_with("299 "), "{answer:?}");
}

#[tokio::test]
async fn an_attested_image_is_pulled_with_its_upstream_shut_as_it_was_before() {
    let content = images::attested("app");
    for api in [Referrers::Missing, Referrers::Supported] {
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        registry.quirks(|quirks| quirks.referrers = api);
        let archway = Setup::in_front_of_with(&registry, SHORT).start().await;
        let before = as_docker_29_pulls(&archway, &content).await;
        let absent = before.iter().filter(|(_, status)| *status == 404).count();
        let expected = if api == Referrers::Missing { 4 } else { 2 };
        assert_eq!(absent, expected, "{before:?}");

        registry.close().await;
        assert_eq!(as_docker_29_pulls(&archway, &content).await, before);
        let attestation = attestations(&content)[0];
        let tag = fallback_tag(attestation);
        let absent = archway
            .client()
            .manifest("team/app", &tag)
            .await
            .expect(404);
        is_marked_stale(&absent);
        assert_ne!(absent.header("age"), "");
        assert_eq!(absent.error_code(), "MANIFEST_UNKNOWN");

        // In good order, so that the snapshot is written.
        let mut archway = archway;
        archway.terminate();
        archway.ended().await;
        let archway = archway.restart().await;
        assert_eq!(as_docker_29_pulls(&archway, &content).await, before);

        let mut archway = archway;
        archway.terminate();
        archway.ended().await;
        std::fs::remove_file(archway.cache_folder().join("index.redb")).expect("it is there");
        let archway = archway.restart().await;
        assert_eq!(as_docker_29_pulls(&archway, &content).await, before);
    }
}

#[tokio::test]
async fn an_absence_ends_when_the_upstream_says_otherwise() {
    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &image).await;
    let archway = Setup::in_front_of_with(&registry, SHORT).start().await;
    archway.client().pull("team/app", "v1").await;
    let tag = format!("{}.sig", fallback_tag(image.root()));
    let client = archway.client();
    client.manifest("team/app", &tag).await.expect(404);
    let signature = images::artifact("sig", "application/x-signature", None);
    registry.push("team/app", &tag, &signature);
    client.manifest("team/app", &tag).await.expect(200);
    registry.close().await;
    // Beyond `stale_if_error`, which other tags are not served after.
    let kept = client.manifest("team/app", &tag).await.expect(200);
    assert_eq!(kept.body, signature.root().bytes);
    is_marked_stale(&kept);
    let other = client.manifest("team/app", "v1").await.status;
    assert!(other.is_server_error(), "{other}");
    // A tag that nobody has asked for, or of no known tool, is not said to be absent.
    for added in [".att", ".other"] {
        let other = format!("{}{added}", fallback_tag(image.root()));
        let status = client.manifest("team/app", &other).await.status;
        assert!(status.is_server_error(), "{added}: {status}");
    }
}

/// An image with three referrers, each known in another way, and its upstream shut.
struct Known {
    archway: Archway,
    image: Content,
    listed: Content,
    pulled: Content,
    tagged: Content,
}

impl Known {
    async fn with_its_upstream_shut() -> Self {
        let image = images::single("app", "linux/amd64", Flavor::Oci);
        let referrer = |name, kind| images::artifact(name, kind, Some(image.root()));
        let listed = referrer("sbom", "application/spdx+json");
        let pulled = referrer("sig", "application/x-signature");
        let tagged = referrer("note", "application/x-note");
        let registry = FakeRegistry::with("team/app", "v1", &image).await;
        registry.push("team/app", "sbom", &listed);
        let archway = Setup::in_front_of_with(&registry, SHORT).start().await;
        let client = archway.client();
        for tag in ["v1", "sbom"] {
            client.pull("team/app", tag).await;
        }
        let path = referrers_path(image.root());
        client.get(&path).await.expect(200);
        // What is stored since is known too: by its subject, and by the tag of referrers.
        registry.push("team/app", "v2", &pulled);
        client.pull("team/app", "v2").await;
        let entries = [tagged.root().descriptor()];
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        let index = Stored::new(OCI_INDEX, index.to_string());
        let index = Content {
            manifests: vec![tagged.root().clone(), index],
            blobs: tagged.blobs.clone(),
        };
        let tag = fallback_tag(image.root());
        registry.push("team/app", &tag, &index);
        client.manifest("team/app", &tag).await.expect(200);
        registry.close().await;
        Self {
            archway,
            image,
            listed,
            pulled,
            tagged,
        }
    }
}

#[tokio::test]
async fn referrers_answer_with_the_upstream_shut_from_what_is_known() {
    let known = Known::with_its_upstream_shut().await;
    let client = known.archway.client();
    let path = referrers_path(known.image.root());
    let all = client.get(&path).await.expect(200);
    is_marked_stale(&all);
    assert_eq!(all.header("content-type"), OCI_INDEX);
    assert_ne!(all.header("age"), "");
    let index = all.json();
    let entries = index["manifests"].as_array().expect("an index").iter();
    let digests: Vec<&str> = entries
        .filter_map(|entry| entry["digest"].as_str())
        .collect();
    let referrers = [&known.listed, &known.pulled, &known.tagged];
    let mut expected = referrers.map(|one| one.root().digest.to_string());
    expected.sort();
    assert_eq!(digests, expected, "all, in the order of their digests");

    let filter = format!("{path}?artifactType=application%2Fx-signature");
    let some = client.get(&filter).await.expect(200);
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    let entries = some.json()["manifests"].clone();
    assert_eq!(entries.as_array().map(Vec::len), Some(1));
    let pulled = known.pulled.root().digest.to_string();
    assert_eq!(entries[0]["digest"], pulled);
    assert_eq!(entries[0]["annotations"]["org.example.name"], "sig");

    let nobody_asked = referrers_path(known.listed.root());
    let unknown = client.get(&nobody_asked).await;
    assert!(unknown.status.is_server_error(), "{unknown:?}");
}

#[tokio::test]
async fn tags_answer_page_by_page_with_the_upstream_shut_from_what_is_known() {
    let known = Known::with_its_upstream_shut().await;
    let client = known.archway.client();
    let tags = client.get("/v2/team/app/tags/list?n=2").await.expect(200);
    is_marked_stale(&tags);
    let first = json!(["sbom", fallback_tag(known.image.root())]);
    let expected = json!({ "name": "team/app", "tags": first });
    assert_eq!(tags.json(), expected);
    let link = tags.header("link").trim_start_matches('<');
    let next = link.split('>').next().expect("a link");
    let rest = client.get(next).await.expect(200);
    assert_eq!(rest.json()["tags"], json!(["v1", "v2"]));
    assert_eq!(rest.header("link"), "");
    let unknown = client.get("/v2/team/other/tags/list").await;
    assert!(unknown.status.is_server_error(), "{unknown:?}");
}

#[tokio::test]
async fn online_the_upstreams_answer_goes_before_what_is_known() {
    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &image).await;
    let signature = images::artifact("sig", "application/x-signature", Some(image.root()));
    registry.push("team/app", "sig", &signature);
    let archway = Setup::in_front_of_with(&registry, SHORT).start().await;
    let client = archway.client();
    for tag in ["v1", "sig"] {
        client.pull("team/app", tag).await;
    }
    let path = referrers_path(image.root());
    client.get(&path).await.expect(200);
    registry.quirks(|quirks| quirks.referrers = Referrers::Missing);
    client.get(&path).await.expect(404);
    registry.close().await;
    is_marked_stale(&client.get(&path).await.expect(404));
}
