//! Which endpoint of an upstream learns who Archway is: each only what itself has asked for, and
//! some nothing at all.

use integration_tests::auth::{Auth, EcrToken, Expired, Login, TokenService};
use integration_tests::aws::{ECR_HOST, EcrApi};
use integration_tests::faults::{Fault, On};
use integration_tests::images::Content;
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;

const PASSWORD: &str = "s3cret-of-hub";
const LOGIN: &str = "auth = { username = \"me\", password_env = \"PASSWORD\" }";

fn login() -> Login {
    Login::new("me", PASSWORD)
}

/// An Archway whose upstream `host` has these `endpoints`, as the file has them.
async fn in_front_of(host: &str, endpoints: &[String], lines: &str) -> Archway {
    let endpoints = endpoints.join(", ");
    Setup::new()
        .top(&format!("default_upstream = \"{host}\""))
        .table(&format!(
            "[upstream.\"{host}\"]\nendpoints = [{endpoints}]\n{lines}"
        ))
        .env("PASSWORD", PASSWORD)
        .aws_credentials()
        .start()
        .await
}

fn trusted(registry: &FakeRegistry) -> String {
    format!("{:?}", registry.url())
}

fn untrusted(registry: &FakeRegistry) -> String {
    format!("{{ url = {:?}, auth = false }}", registry.url())
}

/// All requests a registry saw came from nobody.
#[track_caller]
fn saw_nobody(registry: &FakeRegistry) {
    let seen = registry.log().all();
    assert!(!seen.is_empty());
    for entry in seen {
        assert_eq!(entry.header("authorization"), "", "{entry:?}");
    }
}

async fn pulls(archway: &Archway, content: &Content) {
    let pulled = archway.client().pull("team/app", "v1").await;
    assert_eq!(pulled.root, content.root().digest);
}

#[tokio::test]
async fn what_one_endpoint_asked_for_is_not_sent_to_the_next() {
    let tokens = TokenService::start(Some(login())).await;
    for auth in [Auth::Bearer(tokens), Auth::Basic(login())] {
        let (first, content) = FakeRegistry::with_app_for(auth).await;
        let (second, _) = FakeRegistry::with_app_for(Auth::Open).await;
        let archway = in_front_of(UPSTREAM, &[trusted(&first), trusted(&second)], LOGIN).await;
        let client = archway.client();
        let blob = |at: usize| client.blob("team/app", content.blobs[at].digest());
        blob(0).await.expect(200);
        let failing = http::StatusCode::INTERNAL_SERVER_ERROR;
        first.faults().add(On::all(), Fault::Status(failing));
        blob(1).await.expect(200);
        saw_nobody(&second);
    }
}

#[tokio::test]
async fn an_endpoint_without_auth_gets_no_password_and_neither_does_its_realm() {
    let tokens = TokenService::start(Some(login())).await;
    for demand in [Auth::Basic(login()), Auth::Bearer(tokens.clone())] {
        let (mirror, _) = FakeRegistry::with_app_for(demand).await;
        let (registry, content) = FakeRegistry::with_app_for(Auth::Basic(login())).await;
        let endpoints = [untrusted(&mirror), trusted(&registry)];
        let archway = in_front_of(UPSTREAM, &endpoints, LOGIN).await;
        pulls(&archway, &content).await;
        saw_nobody(&mirror);
    }
    assert!(!tokens.log().all().is_empty());
    assert!(!tokens.log().mentions(&login().header()));
}

#[tokio::test]
async fn an_endpoint_without_auth_may_give_its_tokens_to_nobody() {
    let tokens = TokenService::start(None).await;
    let (mirror, content) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let archway = in_front_of(UPSTREAM, &[untrusted(&mirror)], LOGIN).await;
    pulls(&archway, &content).await;
    assert!(!tokens.log().mentions(&login().header()));
}

#[tokio::test]
async fn a_peer_without_auth_gets_no_ecr_token_and_needs_none() {
    let token = EcrToken::new(Expired::Forbidden);
    let api = EcrApi::start(token.clone()).await;
    let (peer, content) = FakeRegistry::with_app_for(Auth::Open).await;
    let (registry, _) = FakeRegistry::with_app_for(Auth::Ecr(token)).await;
    let lines = api.auth(", region = \"us-east-1\"");
    let archway = in_front_of(ECR_HOST, &[untrusted(&peer), trusted(&registry)], &lines).await;
    pulls(&archway, &content).await;
    saw_nobody(&peer);
    assert_eq!(api.calls(), 0);
    let failing = http::StatusCode::INTERNAL_SERVER_ERROR;
    peer.faults().add(On::all(), Fault::Status(failing));
    let path = "/v2/team/app/manifests/v2";
    registry.push("team/app", "v2", &content);
    archway.client().get(path).await.expect(200);
    saw_nobody(&peer);
    assert_eq!(api.calls(), 1);
}
