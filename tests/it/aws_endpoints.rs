//! Where Archway goes to become somebody at AWS: to the API that goes with the registry's name. A forward proxy tells where it
//! would have gone.

use integration_tests::aws::ECR_HOST;
use integration_tests::forward_proxy::ForwardProxy;
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;

/// A tunnel to `host` was asked for, and none to any other.
#[track_caller]
fn asked_for(proxy: &ForwardProxy, host: &str) {
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
        let proxy = ForwardProxy::start().await;
        let host = format!("123456789012.{name}");
        let archway = Setup::in_front_of_as(&host, &registry, "")
            .aws_credentials()
            .env("HTTPS_PROXY", proxy.url())
            .start()
            .await;
        archway
            .client()
            .manifest("team/app", "v1")
            .await
            .expect(502);
        asked_for(&proxy, api);
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
        let proxy = ForwardProxy::start().await;
        let archway = Setup::in_front_of_as(ECR_HOST, &registry, "")
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", file.display())
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pull")
            .env("AWS_REGION", "us-west-2")
            .env(setting, "true")
            .env("HTTPS_PROXY", proxy.url())
            .start()
            .await;
        archway
            .client()
            .manifest("team/app", "v1")
            .await
            .expect(502);
        asked_for(&proxy, sts);
    }
}
