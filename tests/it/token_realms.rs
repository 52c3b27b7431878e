//! A realm in trouble: every scope has a token of its own, but not every repository finds out for
//! itself.

use integration_tests::auth::{Auth, Login, TokenService};
use integration_tests::client::Client;
use integration_tests::faults::Gate;
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
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

#[tokio::test]
async fn an_empty_scope_in_a_challenge_is_none() {
    let tokens = TokenService::start(None).await;
    tokens.word(|words| words.scope = Some(String::new()));
    let (_registry, archway) = with(&tokens, "").await;
    assert_eq!(statuses(&archway.client()).await, [200; 4]);
}

#[tokio::test]
async fn a_realms_answer_is_read_as_clients_written_in_go_read_it() {
    for answer in [
        r#"{"token":"","access_token":"TOKEN","expires_in":0}"#,
        r#"{"token":null,"access_token":"TOKEN","expires_in":null,"issued_at":null}"#,
        r#"{"Token":"TOKEN","expires_in":"300"}"#,
    ] {
        let tokens = TokenService::start(None).await;
        tokens.word(|words| words.answer = Some(answer.to_owned()));
        let (_registry, archway) = with(&tokens, "").await;
        assert_eq!(statuses(&archway.client()).await, [200; 4], "{answer}");
        let asked = tokens.log().all().len();
        assert_eq!(asked, REPOSITORIES.len(), "{answer}");
    }
}

#[tokio::test]
async fn a_realm_that_does_not_understand_an_anonymous_question_is_trouble_and_refuses_nobody() {
    let tokens = TokenService::start(None).await;
    tokens.word(|words| words.scope = Some("nonsense".to_owned()));
    let (_registry, archway) = with(&tokens, "").await;
    let client = archway.client();
    let answer = client.manifest(REPOSITORIES[0], "v1").await.expect(502);
    assert_eq!(answer.error_code(), "UNAVAILABLE");
}

#[tokio::test]
async fn a_token_that_comes_too_late_for_one_call_serves_the_next_and_is_not_asked_for_again() {
    let tokens = TokenService::start(None).await;
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &content).await;
    first.require(Auth::Bearer(tokens.clone()));
    let second = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[first.url(), second.url()], "tag_ttl = \"0s\"")
        .start()
        .await;
    let gate = Gate::new();
    tokens.hold(&gate);
    let client = archway.client();
    // The first endpoint has half of the client's wait.
    client.manifest("team/app", "v1").await.expect(200);
    gate.open();
    eventually("the first endpoint serves", async || {
        client.manifest("team/app", "v1").await.expect(200);
        let all = first.log().all();
        all.iter().any(|entry| entry.status() == 200).then_some(())
    })
    .await;
    assert_eq!(tokens.log().all().len(), 1);
}
