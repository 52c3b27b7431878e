//! A realm in trouble: every scope has a token of its own, but not every repository finds out for
//! itself.

use integration_tests::auth::{Auth, Login, TokenService};
use integration_tests::client::Client;
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

const REPOSITORIES: [&str; 4] = ["team/one", "team/two", "team/three", "team/four"];

/// A registry that takes tokens of `tokens`, and more lines for its upstream.
async fn with(tokens: &TokenService, lines: &str) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::start().await;
    registry.require(Auth::Bearer(tokens.clone()));
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    for repository in REPOSITORIES {
        registry.push(repository, "v1", &content);
    }
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway)
}

/// The statuses of one manifest of each repository, one after the other.
async fn statuses(client: &Client) -> Vec<u16> {
    let mut statuses = Vec::new();
    for repository in REPOSITORIES {
        statuses.push(client.manifest(repository, "v1").await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_realm_that_does_not_answer_is_found_out_once_for_all_repositories() {
    let tokens = TokenService::start(None).await;
    let (_registry, archway) = with(&tokens, "").await;
    tokens.close().await;
    let client = archway.client();
    // 503 is what an upstream gets that is not asked.
    assert_eq!(statuses(&client).await, [502, 503, 503, 503]);
    tokens.reopen().await;
    for repository in REPOSITORIES {
        eventually("the realm is asked again", async || {
            let answer = client.manifest(repository, "v1").await;
            (answer.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_realms_pause_is_kept_for_all_repositories_and_told_to_clients() {
    let tokens = TokenService::start(None).await;
    let (_registry, archway) = with(&tokens, "").await;
    tokens.throttle(30);
    let client = archway.client();
    assert_eq!(statuses(&client).await, [503; 4]);
    assert_eq!(tokens.log().all().len(), 1);
    let answer = client.manifest(REPOSITORIES[0], "v1").await.expect(503);
    assert_eq!(answer.error_code(), "TOOMANYREQUESTS");
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_refused_login_is_shown_to_a_realm_once_and_a_changed_one_at_once() {
    let tokens = TokenService::start(Some(Login::new("me", "right"))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong").expect("a writable folder");
    let lines = format!("auth = {{ username = \"me\", password_file = {file:?} }}");
    let (registry, archway) = with(&tokens, &lines).await;
    let client = archway.client();
    assert_eq!(statuses(&client).await, [403; 4]);
    assert_eq!(tokens.log().all().len(), 1);
    std::fs::write(&file, "right").expect("a writable folder");
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    registry.push("team/five", "v1", &content);
    client.manifest("team/five", "v1").await.expect(200);
}
