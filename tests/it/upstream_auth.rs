//! Archway's own credentials: every kind gets in, is renewed when it dies, and goes nowhere else.

use std::time::Duration;

use futures_util::future::join_all;
use integration_tests::auth::{Auth, EcrToken, Expired, Login, TokenService};
use integration_tests::aws::{self, ECR_HOST, EcrApi, Lifetime};
use integration_tests::client::Answer;
use integration_tests::faults::{Fault, Gate, On};
use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{Blobs, FakeRegistry};

fn refused_at(registry: &FakeRegistry, status: u16) -> usize {
    let all = registry.log().all();
    all.iter().filter(|entry| entry.status() == status).count()
}

async fn pulls(archway: &Archway, content: &Content) {
    let pulled = archway.client().pull("team/app", "v1").await;
    assert_eq!(pulled.root, content.root().digest);
}

#[tokio::test]
async fn basic_credentials_come_from_the_config_with_the_password_in_a_file() {
    let login = Login::new("me", "s3cret-of-basic");
    let (registry, content) = FakeRegistry::with_app_for(Auth::Basic(login)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret-of-basic\n").expect("a writable folder");
    let lines = format!("auth = {{ username = \"me\", password_file = {file:?} }}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    pulls(&archway, &content).await;
    assert!(!archway.log().text().contains("s3cret-of-basic"));
}

#[tokio::test]
async fn a_password_may_stand_in_the_environment_or_be_a_credential_of_systemd() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("hub"), "s3cret\n").expect("a writable folder");
    for password in [
        "password_env = \"HUB_PASSWORD\"",
        "password_credential = \"hub\"",
    ] {
        let (registry, content) =
            FakeRegistry::with_app_for(Auth::Basic(Login::new("me", "s3cret"))).await;
        let lines = format!("auth = {{ username = \"me\", {password} }}");
        let archway = Setup::in_front_of_with(&registry, &lines)
            .env("HUB_PASSWORD", "s3cret")
            .env("CREDENTIALS_DIRECTORY", folder.path().display())
            .start()
            .await;
        pulls(&archway, &content).await;
    }
}

#[tokio::test]
async fn a_password_that_changes_in_its_file_is_used_without_a_restart() {
    let (registry, content) =
        FakeRegistry::with_app_for(Auth::Basic(Login::new("me", "first"))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "first").expect("a writable folder");
    let lines = format!("auth = {{ username = \"me\", password_file = {file:?} }}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    let client = archway.client();
    let blob = |at: usize| client.blob("team/app", content.blobs[at].digest());
    blob(0).await.expect(200);
    std::fs::write(&file, "second").expect("a writable folder");
    registry.require(Auth::Basic(Login::new("me", "second")));
    blob(1).await.expect(200);
}

#[tokio::test]
async fn a_registry_that_wants_a_password_is_asked_without_one_only_once() {
    let (registry, content) =
        FakeRegistry::with_app_for(Auth::Basic(Login::new("me", "s3cret"))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret").expect("a writable folder");
    let lines = format!("auth = {{ username = \"me\", password_file = {file:?} }}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    pulls(&archway, &content).await;
    assert_eq!(refused_at(&registry, 401), 1);
}

#[tokio::test]
async fn a_refusal_by_ecr_that_is_no_expiry_names_the_action_that_lacks_and_renews_nothing() {
    let (registry, _content, _token, api, archway) = ecr(Expired::Forbidden).await;
    let denied = Fault::Status(http::StatusCode::FORBIDDEN);
    let client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
    registry.faults().add(On::path("/manifests/v2"), denied);
    let answer = client.manifest("team/app", "v2").await.expect(403);
    assert!(
        answer.text().contains("ecr:BatchGetImage"),
        "{}",
        answer.text()
    );
    assert_eq!(api.calls(), 1);
}

#[tokio::test]
async fn an_anonymous_token_is_fetched_once_for_a_repository() {
    let tokens = TokenService::start(None).await;
    let (registry, content) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let archway = Setup::in_front_of_with(&registry, "auth = \"anonymous\"")
        .start()
        .await;
    pulls(&archway, &content).await;
    let asked = tokens.log().all();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].header("authorization"), "");
    assert!(asked[0].query().contains("team"), "{}", asked[0].query());
}

#[tokio::test]
async fn a_token_for_a_password_is_fetched_with_it_and_the_registry_never_sees_it() {
    let login = Login::new("me", "s3cret-of-bearer");
    let tokens = TokenService::start(Some(login.clone())).await;
    let (registry, content) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret-of-bearer").expect("a writable folder");
    let lines = format!("auth = {{ username = \"me\", password_file = {file:?} }}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    pulls(&archway, &content).await;
    assert!(tokens.log().mentions(&login.header()));
    assert!(!registry.log().mentions(&login.header()));
}

#[tokio::test]
async fn a_realm_that_refuses_the_login_is_a_refusal_and_asked_once_for_many_requests() {
    let tokens = TokenService::start(Some(Login::new("me", "right"))).await;
    let (registry, _) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let lines = "auth = { username = \"me\", password_env = \"PASSWORD\" }";
    let archway = Setup::in_front_of_with(&registry, lines)
        .env("PASSWORD", "wrong")
        .start()
        .await;
    let client = archway.client();
    for tag in ["v1", "v2", "v3", "v4"] {
        client.manifest("team/app", tag).await.expect(403);
    }
    assert_eq!(tokens.log().all().len(), 1);
}

#[tokio::test]
async fn many_requests_at_once_fetch_one_token() {
    let tokens = TokenService::start(None).await;
    let (registry, content) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client();
    let answers = content
        .blobs
        .iter()
        .map(|blob| client.blob("team/app", blob.digest()));
    let answers: Vec<Answer> = join_all(answers).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(tokens.log().all().len(), 1);
}

#[tokio::test]
async fn a_dead_token_is_renewed_once_however_it_is_refused() {
    for expired in [
        Expired::Unauthorized,
        Expired::Forbidden,
        Expired::BadRequest,
    ] {
        let lifetime = Duration::from_mins(5);
        let tokens = TokenService::start_with(None, lifetime, expired).await;
        let (registry, content) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
        let archway = Setup::in_front_of(&registry).start().await;
        let client = archway.client();
        client
            .blob("team/app", content.blobs[0].digest())
            .await
            .expect(200);
        tokens.revoke_all();
        let rest = content.blobs[1..].iter();
        let rest = rest.map(|blob| client.blob("team/app", blob.digest()));
        let answers: Vec<Answer> = join_all(rest).await;
        assert!(
            answers.iter().all(|answer| answer.status == 200),
            "{expired:?}"
        );
        assert_eq!(tokens.log().all().len(), 2, "{expired:?}");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_tried_for_ever() {
    let (registry, _) = FakeRegistry::with_app_for(Auth::Nobody).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong").expect("a writable folder");
    let lines = format!("auth = {{ username = \"me\", password_file = {file:?} }}");
    let archway = Setup::in_front_of_with(&registry, &lines).start().await;
    let answer = archway.client().manifest("team/app", "v1").await;
    assert!(
        !answer.status.is_success() && answer.status != 401,
        "{}",
        answer.status
    );
    let asked = registry.log().all().len();
    assert!(asked <= 4, "{asked} requests for one refusal");
}

/// A registry like ECR, its API, and Archway with AWS credentials in its environment.
async fn ecr(expired: Expired) -> (FakeRegistry, Content, EcrToken, EcrApi, Archway) {
    let token = EcrToken::new(expired);
    let (registry, content) = FakeRegistry::with_app_for(Auth::Ecr(token.clone())).await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let api = EcrApi::start(token.clone()).await;
    let lines = api.auth(", region = \"us-east-1\"");
    let archway = Setup::in_front_of_as(ECR_HOST, &registry, &lines)
        .aws_credentials()
        .log_level("trace")
        .start()
        .await;
    (registry, content, token, api, archway)
}

#[tokio::test]
async fn an_ecr_token_is_fetched_once_and_gets_everything() {
    let (registry, content, token, api, archway) = ecr(Expired::Forbidden).await;
    pulls(&archway, &content).await;
    assert_eq!(api.calls(), 1);
    assert!(registry.log().mentions(&token.token()));
    for secret in [
        &token.token(),
        &token.password(),
        aws::SECRET_ACCESS_KEY,
        "X-Amz-Signature",
    ] {
        for event in archway.log().events() {
            assert!(
                !event.to_string().contains(secret),
                "{} logs {secret}",
                event["target"]
            );
        }
    }
}

#[tokio::test]
async fn an_expired_ecr_token_is_renewed_once_unnoticed() {
    for expired in [Expired::Forbidden, Expired::Unauthorized] {
        let (_registry, content, token, api, archway) = ecr(expired).await;
        let client = archway.client();
        client
            .blob("team/app", content.blobs[0].digest())
            .await
            .expect(200);
        token.rotate();
        pulls(&archway, &content).await;
        assert_eq!(api.calls(), 2, "{expired:?}");
    }
}

#[tokio::test]
async fn an_ecr_token_that_is_said_to_be_old_already_starts_no_storm() {
    let (_registry, content, _token, api, archway) = ecr(Expired::Forbidden).await;
    api.set_lifetime(Lifetime::Past);
    pulls(&archway, &content).await;
    assert!(api.calls() <= 2, "{} tokens for one pull", api.calls());
}

#[tokio::test]
async fn a_token_in_force_is_kept_while_the_api_is_down() {
    let (_registry, content, _token, api, archway) = ecr(Expired::Forbidden).await;
    let client = archway.client();
    client
        .blob("team/app", content.blobs[0].digest())
        .await
        .expect(200);
    api.break_down();
    pulls(&archway, &content).await;
}

#[tokio::test]
async fn what_cannot_get_a_token_is_trouble_and_not_absence() {
    let (_registry, _content, _token, api, archway) = ecr(Expired::Forbidden).await;
    api.break_down();
    let answer = archway.client().manifest("team/app", "v1").await;
    assert!(!answer.status.is_success(), "{}", answer.status);
    assert!(
        answer.status != 404 && answer.status != 401,
        "{}",
        answer.status
    );
}

#[tokio::test]
async fn credentials_end_at_the_redirect() {
    let (registry, content, token, _api, archway) = ecr(Expired::Forbidden).await;
    pulls(&archway, &content).await;
    for blob in &content.blobs {
        assert_eq!(registry.store_gets_of(&blob.digest()), 1);
    }
    for entry in registry.log().all() {
        let carries = entry.header("authorization").contains(&token.token());
        assert_eq!(
            carries,
            entry.server == "registry" && entry.status() != 401,
            "{entry:?}"
        );
    }
    assert_eq!(
        refused_at(&registry, 400),
        0,
        "the store refuses credentials"
    );
}

#[tokio::test]
async fn a_signed_url_that_expired_is_asked_for_again() {
    let (registry, content, _token, _api, archway) = ecr(Expired::Forbidden).await;
    let blob = &content.blobs[1];
    let gate = Gate::new();
    let hold = Fault::HoldHeaders(gate.clone());
    registry.faults().add(On::path("/layers/"), hold);
    let late = async {
        gate.arrived().await;
        registry.expire_urls();
        gate.open();
    };
    let client = archway.client();
    let (answer, ()) = tokio::join!(client.blob("team/app", blob.digest()), late);
    assert!(blob.holds_at(0, &answer.expect(200).body));
    assert_eq!(refused_at(&registry, 403), 1);
    assert_eq!(
        registry.gets_of(&blob.digest()),
        2,
        "the registry signs anew"
    );
}

#[tokio::test]
async fn one_repositorys_token_does_not_open_another() {
    let tokens = TokenService::start(None).await;
    let (registry, content) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let other = images::single("other", "linux/amd64", Flavor::Oci);
    registry.push("team/other", "v1", &other);
    let archway = Setup::in_front_of(&registry).start().await;
    pulls(&archway, &content).await;
    archway.client().pull("team/other", "v1").await;
    assert_eq!(tokens.log().all().len(), 2, "a token per scope");
}
