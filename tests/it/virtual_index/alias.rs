//! The name of one architecture, answered from an index of several.

use integration_tests::client::Answer;
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::Archway;
use integration_tests::registry::FakeRegistry;

use super::{ALIAS, BY_TAG, entries, front, image, latest};

/// What the name of the one architecture is answered with.
async fn arm64(archway: &Archway) -> Answer {
    archway.client().manifest("team/app", "arm64").await
}

#[tokio::test]
async fn an_old_name_is_answered_from_the_multi_arch_tag() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "latest", &content).await;
    let archway = front(&registry, ALIAS).await;
    let child = arm64(&archway).await.expect(200);
    assert_eq!(child.body, content.child("linux/arm64/v8").bytes);
    let pulled = archway.client().pull("team/app", "arm64").await;
    assert_eq!(
        pulled.root.to_string(),
        child.header("docker-content-digest")
    );
    archway.stores_all(&pulled).await;
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
    let archway = front(&registry, alias).await;
    let pulled = archway.client().pull("team/app-linux-arm64", "2.7").await;
    assert_eq!(pulled.root, content.child("linux/arm64/v8").digest);
    assert_eq!(pulled.parts.len(), 4);
}

#[tokio::test]
async fn an_alias_takes_exactly_its_platform_or_says_what_there_is() {
    let content = images::index_of("app", &["linux/arm/v7", "linux/amd64"], Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "latest", &content).await;
    let archway = front(&registry, ALIAS).await;
    let refused = arm64(&archway).await.expect(404);
    let available = &refused.json()["errors"][0]["detail"]["available"];
    assert_eq!(
        *available,
        serde_json::json!(["linux/arm/v7", "linux/amd64"])
    );

    let twice = images::index_of("twice", &["linux/arm64", "linux/arm64/v8"], Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "latest", &twice).await;
    let archway = front(&registry, ALIAS).await;
    arm64(&archway).await.expect(502);

    let registry = FakeRegistry::with("team/app", "v1", &twice).await;
    let archway = front(&registry, ALIAS).await;
    let refused = arm64(&archway).await.expect(404);
    let tried = &refused.json()["errors"][0]["detail"]["tried"];
    assert_eq!(*tried, serde_json::json!(["team/app:latest"]));
}

#[tokio::test]
async fn a_rule_and_its_reverse_do_not_wait_for_each_other() {
    let both = format!("{BY_TAG}\n{ALIAS}");
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    let archway = front(&registry, &both).await;
    assert_eq!(entries(&latest(&archway).await.expect(200)).len(), 1);
    arm64(&archway).await.expect(404);
}

/// As README shows them side by side.
#[tokio::test]
async fn an_alias_may_lead_to_what_a_virtual_index_makes_and_explain_names_the_rule() {
    let both = "[[upstream.\"registry.test\".virtual_index]]\n\
        name = \"team/*:*\"\nsources = [\"team/*:*-amd64\", \"team/*-linux-arm64:*\"]\n\
        [[upstream.\"registry.test\".alias]]\n\
        name = \"team/*:*-arm64\"\ntarget = \"team/*:*\"\nplatform = \"linux/arm64\"\n";
    let (amd64, arm64) = (image("linux/amd64"), image("linux/arm64"));
    let registry = FakeRegistry::with("team/hello", "1.0-amd64", &amd64).await;
    registry.push("team/hello-linux-arm64", "1.0", &arm64);
    let archway = front(&registry, both).await;
    let client = archway.client();
    let pulled = client.pull("team/hello", "1.0-arm64").await;
    assert_eq!(pulled.root, arm64.root().digest);
    let made = client.manifest("team/hello", "1.0").await.expect(200);
    assert_eq!(entries(&made).len(), 2);
    let asked = client.with("archway-explain", "1");
    let answer = asked.manifest("team/hello", "1.0").await.expect(200);
    let explained: serde_json::Value =
        serde_json::from_str(answer.header("archway-explain")).expect("JSON in the header");
    assert_eq!(
        explained["rule"],
        serde_json::json!({
            "key": "virtual_index",
            "sources": ["team/hello:1.0-amd64", "team/hello-linux-arm64:1.0"],
        })
    );
}
