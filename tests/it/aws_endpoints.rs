//! Where Archway goes to become somebody at AWS: to the API that goes with the registry's name, and
//! to no proxy for what is on this machine. A forward proxy tells where it would have gone.

use integration_tests::auth::{Auth, EcrToken, Expired};
use integration_tests::aws::identity::{Identity, Key};
use integration_tests::aws::{ECR_HOST, EcrApi};
use integration_tests::forward_proxy::ForwardProxy;
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;

const KEY: Key = Key {
    id: "ASIAGIVENKEY00000000",
    secret: "given-secret-that-must-stay-home",
    session: "given-session-token",
};

/// A pull asks the proxy for a tunnel to `host`, and for none to any other.
async fn asks_for_a_tunnel_to(host: &str, setup: Setup) {
    let proxy = ForwardProxy::start().await;
    let archway = setup.env("HTTPS_PROXY", proxy.url()).start().await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(502);
    let asked = proxy.log().all();
    let asked: Vec<_> = asked.iter().map(|entry| entry.header("host")).collect();
    let expected = format!("{host}:443");
    assert!(!asked.is_empty(), "nothing was asked for");
    assert!(asked.iter().all(|host| *host == expected), "{asked:?}");
}

#[tokio::test]
async fn the_token_comes_from_the_api_that_goes_with_the_registrys_name() {
    let registry = FakeRegistry::start().await;
    for (name, api) in [
        (
            "dkr.ecr.us-east-1.amazonaws.com",
            "api.ecr.us-east-1.amazonaws.com",
        ),
        (
            "dkr.ecr-fips.us-east-1.amazonaws.com",
            "api.ecr-fips.us-east-1.amazonaws.com",
        ),
        ("dkr-ecr.us-east-1.on.aws", "ecr.us-east-1.api.aws"),
        (
            "dkr-ecr-fips.us-east-1.on.aws",
            "ecr-fips.us-east-1.api.aws",
        ),
    ] {
        let host = format!("123456789012.{name}");
        let setup = Setup::in_front_of_as(&host, &registry, "").aws_credentials();
        asks_for_a_tunnel_to(api, setup).await;
    }
}

#[tokio::test]
async fn sts_is_asked_where_the_environment_wants_it() {
    let registry = FakeRegistry::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "a-service-account.jwt").expect("a writable folder");
    for (setting, sts) in [
        ("AWS_IGNORED", "sts.us-west-2.amazonaws.com"),
        ("AWS_USE_FIPS_ENDPOINT", "sts-fips.us-west-2.amazonaws.com"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "sts.us-west-2.api.aws"),
    ] {
        let setup = Setup::in_front_of_as(ECR_HOST, &registry, "")
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", file.display())
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pull")
            .env("AWS_REGION", "us-west-2")
            .env(setting, "true");
        asks_for_a_tunnel_to(sts, setup).await;
    }
}

#[tokio::test]
async fn who_hands_out_identities_on_this_machine_is_asked_without_a_proxy() {
    let agent = Identity::pod("a-pods-token", KEY).await;
    let metadata = Identity::instance(KEY).await;
    // By name, since the doubles at 127.0.0.1 are to be reached without the proxy in any case.
    let by_name = |url: String| url.replace("127.0.0.1", "localhost");
    for (key, value) in [
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/v1/credentials", by_name(agent.url())),
        ),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", by_name(metadata.url())),
    ] {
        let token = EcrToken::new(Expired::Forbidden);
        let (registry, _) = FakeRegistry::with_app_for(Auth::Ecr(token.clone())).await;
        let api = EcrApi::start(token).await;
        api.expect_key(KEY.id);
        let proxy = ForwardProxy::start().await;
        let archway = Setup::in_front_of_as(ECR_HOST, &registry, &api.auth(""))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a-pods-token")
            .env("AWS_EC2_METADATA_DISABLED", "false")
            .env(key, value)
            .env("HTTP_PROXY", proxy.url())
            .env("http_proxy", proxy.url())
            .env("NO_PROXY", "127.0.0.1")
            .start()
            .await;
        archway.client().pull("team/app", "v1").await;
        assert!(proxy.log().all().is_empty(), "{:?}", proxy.log().all());
    }
}
