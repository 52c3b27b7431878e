//! Passing bytes on needs no reading: whatever a manifest holds that Archway cannot read, clients
//! get it. Only a choice that could be made in two ways is refused.

use integration_tests::client::{Answer, Client, IMAGES_ONLY};
use integration_tests::images::{self, Content, Flavor, OCI_INDEX, OCI_MANIFEST, Stored};
use integration_tests::proxy::{Archway, Setup, run};
use integration_tests::registry::FakeRegistry;
use serde_json::{Value, json};

const TAG: &str = "/v2/team/app/manifests/v1";

async fn with(content: &Content) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::with("team/app", "v1", content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway)
}

async fn asking(archway: &Archway, platform: &str) -> Answer {
    let client = archway.client().with("archway-platform", platform);
    client.get(TAG).await
}

#[track_caller]
fn assert_is(answer: &Answer, stored: &Stored) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.body, stored.bytes);
    let digest = stored.digest.to_string();
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(answer.header("content-type"), stored.media_type);
}

fn blake3() -> String {
    format!("blake3:{}", "0".repeat(64))
}

/// An image, and what makes its second layer, its subject or its config one that cannot be read.
fn odd_images() -> Vec<(&'static str, Content)> {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let plain: Value = serde_json::from_slice(&content.root().bytes).expect("JSON");
    let layer = &plain["layers"][1];
    let edited = |place: &str, value: Value| {
        let mut root = plain.clone();
        *root.pointer_mut(place).expect("a place in the manifest") = value;
        root.to_string()
    };
    let with_layer = |more: &str| {
        let odd = layer.to_string().replacen('{', &format!("{{{more},"), 1);
        edited("/layers/1", json!("ODD")).replace("\"ODD\"", &odd)
    };
    let subject = |value: &str| {
        let text = plain.to_string();
        text.replacen('{', &format!("{{\"subject\":{value},"), 1)
    };
    let texts = [
        ("digest", edited("/layers/1/digest", json!(blake3()))),
        ("no digest", edited("/layers/1", json!({}))),
        ("size", edited("/layers/1/size", json!(-1))),
        ("large size", edited("/layers/1/size", json!(u64::MAX))),
        ("type", edited("/layers/1/mediaType", json!(1))),
        ("text", with_layer(r#""annotations":{"a":"x\ud83d"}"#)),
        ("key", with_layer(r#""annotations":{"x\ud83d":"a"}"#)),
        ("key of its own", with_layer(r#""x\ud83d":"a""#)),
        ("key twice", with_layer(r#""size":1"#)),
        ("no config", edited("/config", json!({}))),
        ("odd config", edited("/config/digest", json!(blake3()))),
        ("no subject", subject("{}")),
        (
            "odd subject",
            subject(&format!("{{\"digest\":\"{}\"}}", blake3())),
        ),
        ("layers", edited("/layers", json!({}))),
    ];
    let made =
        |(name, text): (&'static str, String)| (name, content.clone().under(OCI_MANIFEST, text));
    texts.into_iter().map(made).collect()
}

#[tokio::test]
async fn an_image_passes_by_tag_and_by_digest_whatever_its_descriptors_hold() {
    let registry = FakeRegistry::start().await;
    let odd = odd_images();
    for (number, (_, content)) in odd.iter().enumerate() {
        registry.push(&format!("tag/{number}"), "v1", content);
        registry.push(&format!("digest/{number}"), "v1", content);
    }
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client();
    for (number, (name, content)) in odd.iter().enumerate() {
        let digest = content.root().digest.to_string();
        for (repository, reference) in [("tag", "v1"), ("digest", digest.as_str())] {
            let path = format!("/v2/{repository}/{number}/manifests/{reference}");
            for attempt in ["cold", "stored"] {
                let answer = client.get(&path).await;
                assert_eq!(answer.status, 200, "{name}, {attempt}: {}", answer.text());
                assert_is(&answer, content.root());
            }
            client.head(&path).await.expect(200);
            let hinted = client.clone().with("archway-platform", "linux/arm64");
            assert_is(&hinted.get(&path).await, content.root());
        }
    }
}

/// An index of amd64 and arm64 whose second entry is changed.
fn index_with(change: impl FnOnce(String) -> String) -> Content {
    let content = images::index_of("app", &["linux/amd64", "linux/arm64"], Flavor::Oci);
    let text = String::from_utf8(content.root().bytes.to_vec()).expect("text");
    content.under(OCI_INDEX, change(text))
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_takes_no_other_away() {
    let arm64 = images::index_of("app", &["linux/amd64", "linux/arm64"], Flavor::Oci);
    let arm64 = arm64.child("linux/arm64").digest.to_string();
    let content = index_with(|text| text.replace(&arm64, &blake3()));
    let (_registry, archway) = with(&content).await;
    assert_is(&archway.client().get(TAG).await, content.root());
    let amd64 = content.child("linux/amd64");
    assert_is(&asking(&archway, "linux/amd64").await, amd64);
    let images_only = archway.client().accepting(&IMAGES_ONLY);
    assert_is(&images_only.get(TAG).await, amd64);
    // The client may be able to follow what Archway cannot.
    assert_is(&asking(&archway, "linux/arm64").await, content.root());
}

#[tokio::test]
async fn a_description_that_was_cut_in_an_emoji_hides_no_entry() {
    let content = index_with(|text| {
        text.replace(
            "\"size\"",
            r#""annotations":{"d":"x\ud83d","\ud83d":"y"},"size""#,
        )
    });
    let (_registry, archway) = with(&content).await;
    for platform in ["linux/amd64", "linux/arm64"] {
        assert_is(&asking(&archway, platform).await, content.child(platform));
    }
}

#[tokio::test]
async fn an_ambiguous_document_passes_but_nothing_is_chosen_by_it() {
    for key in ["config", "Config", "layers", "Layers"] {
        let content = index_with(|text| text.replacen('{', &format!("{{\"{key}\":[{{}}],"), 1));
        let (registry, archway) = with(&content).await;
        assert_is(&archway.client().get(TAG).await, content.root());
        let cold = Setup::in_front_of(&registry).start().await;
        let by_digest = cold
            .client()
            .manifest("team/app", content.root().digest)
            .await;
        assert_is(&by_digest, content.root());
        let hinted = asking(&archway, "linux/amd64").await.expect(502);
        assert!(
            hinted.text().contains("both an index and an image"),
            "{}",
            hinted.text()
        );
        let images_only = archway.client().accepting(&IMAGES_ONLY);
        images_only.get(TAG).await.expect(502);
    }
}

#[tokio::test]
async fn a_repeated_key_counts_as_its_last_value_and_one_in_another_case_must_not_decide() {
    let other = images::index_of("other", &["linux/amd64", "linux/arm64"], Flavor::Oci);
    let root: Value = serde_json::from_slice(&other.root().bytes).expect("JSON");
    let entries = &root["manifests"];
    let behind = |key: &str, entries: &Value| {
        let mut content = index_with(|text| {
            let text = text.strip_suffix('}').expect("an object").to_owned();
            format!("{text},\"{key}\":{entries}}}")
        });
        content.manifests.splice(..0, other.manifests.clone());
        content.blobs.extend(other.blobs.clone());
        content
    };
    let twice = behind("manifests", entries);
    let (_registry, archway) = with(&twice).await;
    let last = other.child("linux/arm64");
    assert_is(&asking(&archway, "linux/arm64").await, last);

    let decides = behind("Manifests", entries);
    let (_registry, archway) = with(&decides).await;
    assert_is(&archway.client().get(TAG).await, decides.root());
    let refused = asking(&archway, "linux/arm64").await.expect(502);
    assert!(
        refused.text().contains("differ only in case"),
        "{}",
        refused.text()
    );

    let alike = index_with(|text| text);
    let same: Value = serde_json::from_slice(&alike.root().bytes).expect("JSON");
    let alike = behind("Manifests", &json!([same["manifests"][1], entries[0]]));
    let (_registry, archway) = with(&alike).await;
    let first = images::index_of("app", &["linux/arm64"], Flavor::Oci);
    assert_is(
        &asking(&archway, "linux/arm64").await,
        first.child("linux/arm64"),
    );
    asking(&archway, "linux/amd64").await.expect(502);
}

#[tokio::test]
async fn what_is_asked_for_by_digest_needs_no_recognisable_kind() {
    let content = Content::default().under(OCI_MANIFEST, "[]");
    let (registry, archway) = with(&content).await;
    let digest = content.root().digest;
    archway.client().get(TAG).await.expect(502);
    let by_digest = async |archway: &Archway| {
        let answer = archway.client().manifest("team/app", digest).await;
        let answer = answer.expect(200);
        let media_type = answer.header("content-type").to_owned();
        (answer.body, media_type)
    };
    let expected = (content.root().bytes.clone(), "application/json".to_owned());
    assert_eq!(by_digest(&archway).await, expected);
    let archway = archway.restart().await;
    registry.close().await;
    assert_eq!(by_digest(&archway).await, expected);
}

#[tokio::test]
async fn an_index_of_artifacts_stays_as_it_is_whoever_names_a_platform() {
    let artifact = "\"artifactType\":\"application/vnd.opentofu.provider\"";
    let says_so = index_with(|text| text.replacen('{', &format!("{{{artifact},"), 1));
    let lists_them = index_with(|text| text.replace("\"size\"", &format!("{artifact},\"size\"")));
    for content in [says_so, lists_them] {
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        let archway = Setup::in_front_of_with(
            &registry,
            "resolve = \"always\"\nplatform = \"linux/arm64\"",
        )
        .listener("127.0.0.1", "")
        .listener("127.0.0.2", "platform = \"linux/arm64\"")
        .start()
        .await;
        assert_is(&asking(&archway, "linux/amd64").await, content.root());
        let plain = archway.client();
        assert_is(&plain.get(TAG).await, content.root());
        let path = format!("/platform/linux-arm64{TAG}");
        assert_is(&plain.get(&path).await, content.root());
        let query = format!("{TAG}?platform=linux/amd64");
        assert_is(&plain.get(&query).await, content.root());
        let listener = Client::new(&archway.url_at("127.0.0.2"));
        assert_is(&listener.get(TAG).await, content.root());
        let agent = "cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64";
        assert_is(
            &plain.clone().with("user-agent", agent).get(TAG).await,
            content.root(),
        );
    }
}

#[tokio::test]
async fn an_image_without_its_foreign_layers_is_whole() {
    let content = images::single("app", "windows/amd64", Flavor::Docker);
    let mut root: Value = serde_json::from_slice(&content.root().bytes).expect("JSON");
    let layers = root["layers"].as_array_mut().expect("layers");
    layers.insert(
        0,
        json!({
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": format!("sha256:{}", "1".repeat(64)),
            "size": 1_000_000,
            "urls": ["https://vendor.test/layer"],
        }),
    );
    let media_type = content.root().media_type.clone();
    let content = content.under(&media_type, root.to_string());
    let (_registry, archway) = with(&content).await;
    let (server, admin) = (archway.url(), archway.admin_url());
    let place = ["--server", &server, "--admin", &admin];
    let name = "registry.test/team/app:v1";
    for command in ["warm", "ready"] {
        let arguments = [&[command, name, "--platform", "windows/amd64"][..], &place].concat();
        let output = run(&arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {text}");
        for blob in &content.blobs {
            archway.stores(&blob.digest()).await;
        }
    }
    let listing = archway
        .admin()
        .get("/_archway/v1/images")
        .await
        .expect(200)
        .json();
    let part = &listing["images"][0]["parts"][0];
    assert_eq!(
        (&part["state"], &part["foreign"]),
        (&json!("cached"), &json!(1_000_000))
    );
    assert_eq!(part["stored"], part["size"]);
}

#[tokio::test]
async fn an_image_with_a_layer_that_cannot_be_read_is_never_whole() {
    let (_, content) = odd_images().swap_remove(0);
    let (_registry, archway) = with(&content).await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let listing = archway
        .admin()
        .get("/_archway/v1/images")
        .await
        .expect(200)
        .json();
    assert_eq!(listing["images"][0]["parts"][0]["state"], "partial");
}

#[tokio::test]
async fn indexes_are_followed_four_deep() {
    let image = images::index_of("app", &["linux/arm64"], Flavor::Oci);
    let wrapped = |content: Content| {
        let root = content.root();
        let entry = json!({ "mediaType": OCI_INDEX, "digest": root.digest.to_string(), "size": root.bytes.len() });
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
        content.under(OCI_INDEX, index.to_string())
    };
    let deep = (0..4).fold(image, |content, _| wrapped(content));
    let (registry, archway) = with(&deep).await;
    assert_is(
        &asking(&archway, "linux/arm64").await,
        deep.child("linux/arm64"),
    );
    registry.push("team/deeper", "v1", &wrapped(deep));
    let client = archway.client().with("archway-platform", "linux/arm64");
    let answer = client.manifest("team/deeper", "v1").await.expect(502);
    assert!(
        answer.text().contains("nested too deep"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_repository_name_may_have_256_characters() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::start().await;
    let (longest, longer) = ("a".repeat(256), "a".repeat(257));
    registry.push(&longest, "v1", &content);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull(&longest, "v1").await;
    archway.client().manifest(&longer, "v1").await.expect(400);
}
