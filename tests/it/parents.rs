//! `parents`: an Archway that asks another one first, and the registry itself where that cannot help.

use integration_tests::auth::{Auth, Login};
use integration_tests::images::Content;
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;

const PASSWORD: &str = "s3cret-of-hub";
const LOGIN: &str = "auth = { username = \"me\", password_env = \"PASSWORD\" }\ntag_ttl = \"0s\"\n";
const FORGETFUL: &str = "not_found_ttl = \"0s\"";

async fn registry() -> (FakeRegistry, Content) {
    FakeRegistry::with_app_for(Auth::Basic(Login::new("me", PASSWORD))).await
}

fn in_front_of(registry: &FakeRegistry, lines: &str) -> Setup {
    Setup::in_front_of_with(registry, &format!("{LOGIN}{lines}")).env("PASSWORD", PASSWORD)
}

async fn child_of(parent: &str, registry: &FakeRegistry) -> Archway {
    hedging_child_of(parent, registry, "").await
}

async fn hedging_child_of(parent: &str, registry: &FakeRegistry, hedge: &str) -> Archway {
    let parents = format!("parents = [{parent:?}]");
    let child = in_front_of(registry, &format!("{FORGETFUL}\n{hedge}"));
    child.top(&parents).start().await
}

async fn pulls(archway: &Archway, content: &Content) {
    let pulled = archway.client().pull("team/app", "v1").await;
    assert_eq!(pulled.root, content.root().digest);
    archway.stores_all(&pulled).await;
}

#[tokio::test]
async fn the_parent_is_asked_and_the_registry_once_for_all_its_children() {
    let (registry, content) = registry().await;
    let parent = in_front_of(&registry, FORGETFUL).start().await;
    for _ in 0..2 {
        let child = child_of(&parent.url(), &registry).await;
        pulls(&child, &content).await;
    }
    for blob in &content.blobs {
        assert_eq!(registry.gets_of(&blob.digest()), 1);
    }
}

#[tokio::test]
async fn a_parent_is_told_which_registry_is_meant_and_no_credentials() {
    let (registry, content) = registry().await;
    let parent = FakeRegistry::with("team/app", "v1", &content).await;
    let child = child_of(&parent.url(), &registry).await;
    pulls(&child, &content).await;
    let asked = parent.log().all();
    assert!(asked.len() > content.blobs.len());
    for request in asked {
        assert_eq!(request.query(), format!("ns={UPSTREAM}"));
        assert_eq!(request.header("authorization"), "");
    }
    assert_eq!(registry.log().all().len(), 0);
}

#[tokio::test]
async fn a_parent_that_is_gone_costs_no_pull() {
    let (registry, content) = registry().await;
    let mut parent = in_front_of(&registry, FORGETFUL).start().await;
    let child = child_of(&parent.url(), &registry).await;
    parent.kill();
    pulls(&child, &content).await;
}

#[tokio::test]
async fn a_parent_that_does_not_know_the_registry_costs_no_pull() {
    let (registry, content) = registry().await;
    let parent = Setup::new()
        .table("[upstream.\"other.example\"]")
        .start()
        .await;
    // Hedged, too: what one of two says is otherwise the answer.
    for hedge in ["", "hedge_after = \"1s\""] {
        let child = hedging_child_of(&parent.url(), &registry, hedge).await;
        pulls(&child, &content).await;
    }
}

#[tokio::test]
async fn only_the_registry_says_that_something_is_not_there() {
    let (registry, content) = registry().await;
    let parent = in_front_of(&registry, "not_found_ttl = \"1h\"")
        .start()
        .await;
    let child = child_of(&parent.url(), &registry).await;
    let answer = child.client().manifest("team/app", "later").await;
    assert_eq!(answer.status, 404);
    registry.push("team/app", "later", &content);
    let answer = child.client().manifest("team/app", "later").await;
    assert_eq!(answer.status, 200);
    let answer = parent.client().manifest("team/app", "later").await;
    assert_eq!(
        answer.status, 404,
        "the parent remembers what was not there"
    );
}
