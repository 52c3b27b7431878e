//! What clients of an offline upstream did not get is a list that leaves the site: names and counts,
//! and nothing of any client.

use std::path::PathBuf;

use integration_tests::client::IMAGES_ONLY;
use integration_tests::images::{self, Content};
use integration_tests::proxy::{Archway, Setup, run};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use serde_json::{Value, json};

const REPOSITORY: &str = "team/app";
const HERE: &str = "linux/amd64";
const LEFT_OUT: &str = "linux/arm/v7";

const TABLE: &str = "[upstream.\"registry.test\"]\n";
const OFFLINE_TABLE: &str = "[upstream.\"registry.test\"]\noffline = true\n";

/// An offline site with one platform of an image.
async fn site() -> (FakeRegistry, Archway, Content) {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let hinted = archway.client().accepting(&IMAGES_ONLY);
    let hinted = hinted.with("archway-platform", HERE);
    for image in [hinted.manifest(REPOSITORY, "v1").await.expect(200)] {
        let image = image.json();
        let layers = image["layers"].as_array().expect("layers").iter();
        for blob in layers.chain([&image["config"]]) {
            let digest = blob["digest"].as_str().expect("a digest");
            hinted.blob(REPOSITORY, digest).await.expect(200);
            archway.stores(&digest.parse().expect("a digest")).await;
        }
    }
    let archway = archway.restart_with(TABLE, OFFLINE_TABLE).await;
    (registry, archway, content)
}

async fn wanted(archway: &Archway, more: &[&str]) -> String {
    let admin = format!("--admin={}", archway.admin_url());
    let output = run(&[&["wanted", &admin], more].concat()).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The list without the days.
async fn lines(archway: &Archway) -> Vec<String> {
    let text = wanted(archway, &[]).await;
    let cut = |line: &str| line.split(", last 2").next().expect("a start").to_owned();
    text.lines().map(cut).collect()
}

#[tokio::test]
async fn what_is_missing_is_wished_for_under_the_name_to_ask_for_elsewhere() {
    let (_registry, archway, content) = site().await;
    let client = archway.client();
    // A tag, by clients that tell their platform, and do not.
    let podman = client.clone().with("archway-platform", "linux/arm64/v8");
    let answer = podman.manifest("team/other", "v9").await.expect(404);
    assert_eq!(answer.json()["errors"][0]["detail"]["wanted"], "noted");
    for _ in 0..2 {
        client.head("/v2/team/other/manifests/v9").await.expect(404);
    }
    // A child of an index that is here, and an unknown digest.
    let child = content.child(LEFT_OUT).digest;
    client.manifest(REPOSITORY, child).await.expect(404);
    let nowhere = format!("sha256:{}", "0a".repeat(32));
    client.manifest(REPOSITORY, &nowhere).await.expect(404);
    // A part of an image that is otherwise here.
    let image = content.child(HERE);
    let body: Value = serde_json::from_slice(&image.bytes).expect("JSON");
    let layer = body["layers"][0]["digest"].as_str().expect("a digest");
    let hex = layer.strip_prefix("sha256:").expect("a SHA-256");
    std::fs::remove_file(archway.cache_folder().join("blobs/sha256").join(hex)).expect("stored");
    client.manifest(REPOSITORY, image.digest).await.expect(200);
    client.blob(REPOSITORY, layer).await.expect(404);
    // What is no wish: a blob of no known image, what comes with an image, a question about an answer,
    // and what other upstreams would have.
    client.blob(REPOSITORY, &nowhere).await.expect(404);
    let signature = format!("sha256-{}.sig", content.root().digest.hex());
    let answer = client.manifest(REPOSITORY, &signature).await.expect(404);
    assert_eq!(answer.json()["errors"][0]["detail"]["wanted"], Value::Null);
    let explained = client.clone().with("archway-explain", "1");
    explained.manifest("team/explained", "v1").await.expect(404);
    let elsewhere = client.clone().with_query("ns", "elsewhere.test");
    elsewhere.manifest(REPOSITORY, "v1").await.expect(404);

    let expected = [
        "registry.test/team/app:v1 linux/amd64  # 1 time".to_owned(),
        "registry.test/team/app:v1 linux/arm/v7  # 1 time".to_owned(),
        format!("registry.test/team/app@{nowhere}  # 1 time"),
        "registry.test/team/other:v9  # 2 times".to_owned(),
        "registry.test/team/other:v9 linux/arm64  # 1 time".to_owned(),
    ];
    assert_eq!(lines(&archway).await, expected);
    let list: Value = serde_json::from_str(&wanted(&archway, &["-o", "json"]).await).expect("JSON");
    let first = &list["wishes"][0];
    assert_eq!(first["image"], "registry.test/team/app:v1");
    assert_eq!(first["platform"], HERE);
    assert_eq!(first["times"], 1);
    assert!(first["last"].as_str() >= first["first"].as_str());
    let keys: Vec<_> = first.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["first", "image", "last", "platform", "times"]);
    assert_eq!(
        wanted(&archway, &["--since", "1h"]).await.lines().count(),
        5
    );
}

#[tokio::test]
async fn a_wish_survives_a_crash_once_it_is_written_and_goes_when_it_is_granted() {
    let (registry, archway, content) = site().await;
    let child = content.child(LEFT_OUT).digest;
    archway
        .client()
        .manifest(REPOSITORY, child)
        .await
        .expect(404);
    archway
        .client()
        .manifest(REPOSITORY, "v9")
        .await
        .expect(404);
    let file = archway.cache_folder().join("wishes.json");
    eventually("the wishes are written", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.contains("team/app:v9").then_some(())
    })
    .await;
    assert_eq!(archway.metric("archway_wishes").await, Some(2));
    let before = lines(&archway).await;
    let archway = archway.restart().await;
    assert_eq!(lines(&archway).await, before);
    assert_eq!(before.len(), 2);
    // What is asked for right before the end is written at the end.
    archway
        .client()
        .manifest(REPOSITORY, "v8")
        .await
        .expect(404);
    let mut archway = archway;
    archway.terminate();
    archway.ended().await;
    // It comes, by whatever way.
    let archway = archway.restart_with(OFFLINE_TABLE, TABLE).await;
    assert_eq!(lines(&archway).await.len(), 3);
    archway
        .stores_all(&archway.client().pull(REPOSITORY, "v1").await)
        .await;
    let left = lines(&archway).await;
    assert_eq!(
        left,
        [
            "registry.test/team/app:v8  # 1 time",
            "registry.test/team/app:v9  # 1 time"
        ]
    );
    drop(registry);
}

#[tokio::test]
async fn of_a_tag_that_a_rule_would_make_the_sources_are_wished_for() {
    let registry = FakeRegistry::start().await;
    let rule = "offline = true\n[[upstream.\"registry.test\".virtual_index]]\n\
                name = \"team/*:latest\"\nsources = [\"team/*:amd64\", \"team/*:arm64\"]";
    let archway = Setup::in_front_of_with(&registry, rule).start().await;
    let answer = archway.client().manifest("team/app", "latest").await;
    let detail = answer.expect(404).json()["errors"][0]["detail"].clone();
    assert_eq!(detail["offline"], true);
    assert_eq!(detail["wanted"], "noted");
    assert_eq!(detail["tried"], json!(["team/app:amd64", "team/app:arm64"]));
    let expected = ["amd64", "arm64"].map(|tag| format!("registry.test/team/app:{tag}  # 1 time"));
    assert_eq!(lines(&archway).await, expected);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_set_aside() {
    let (_registry, archway, _) = site().await;
    let folder: PathBuf = archway.cache_folder();
    std::fs::write(folder.join("wishes.json"), "{").expect("a writable folder");
    let archway = archway.restart().await;
    assert_eq!(wanted(&archway, &[]).await, "");
    assert!(
        archway
            .log()
            .text()
            .contains("the wish list cannot be read; it begins anew")
    );
    let aside = std::fs::read_to_string(folder.join("wishes.damaged.json"));
    assert_eq!(aside.expect("set aside"), "{");
    archway
        .client()
        .manifest(REPOSITORY, "v9")
        .await
        .expect(404);
    assert_eq!(lines(&archway).await.len(), 1);
}

#[tokio::test]
async fn what_is_wanted_is_a_list_that_warm_reads_from_a_pipe() {
    let (registry, archway, _) = site().await;
    let hinted = archway.client().accepting(&IMAGES_ONLY);
    let hinted = hinted.with("archway-platform", LEFT_OUT);
    hinted.manifest(REPOSITORY, "v1").await.expect(404);
    let list = wanted(&archway, &[]).await;
    let outside = Setup::in_front_of(&registry).start().await;
    let file = outside.cache_folder().join("wanted.txt");
    std::fs::write(&file, list).expect("a writable folder");
    let url = outside.url();
    let words = ["warm", "--from-file", "-", "--server", &url, "-o", "json"];
    let warmed = outside.piped(&words, &file).await;
    assert!(warmed.status.success(), "{warmed:?}");
    let warmed: Value = serde_json::from_slice(&warmed.stdout).expect("JSON");
    let expected = json!([["registry.test/team/app:v1", LEFT_OUT]]);
    let found = warmed["images"].as_array().expect("a list").iter();
    let found: Vec<_> = found
        .map(|one| json!([one["name"], one["platform"]]))
        .collect();
    assert_eq!(json!(found), expected);
}
