//! Who Archway is towards AWS: every part of the chain leads to an ECR token, a role may come on
//! top, and with nothing at all it says what it has tried and stays up.

use integration_tests::auth::{Auth, EcrToken, Expired, Login, TokenService};
use integration_tests::aws::identity::{Identity, Key, Proof};
use integration_tests::aws::{self, ECR_HOST, EcrApi, Service};
use integration_tests::images::Content;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;

const ROLE: &str = "arn:aws:iam::123456789012:role/pull";
const KEY: Key = Key {
    id: "ASIAGIVENKEY00000000",
    secret: "given-secret-that-must-stay-home",
    session: "given-session-token",
};

/// A registry like ECR, its API that wants a signature by `key`, and a setup in front of both.
struct Front {
    registry: FakeRegistry,
    content: Content,
    api: EcrApi,
}

impl Front {
    async fn expecting(key: &str) -> Self {
        let token = EcrToken::new(Expired::Forbidden);
        let (registry, content) = FakeRegistry::with_app_for(Auth::Ecr(token.clone())).await;
        let api = EcrApi::start(token).await;
        api.expect_key(key);
        Self {
            registry,
            content,
            api,
        }
    }

    /// The config, with more keys for ECR.
    fn setup(&self, keys: &str) -> Setup {
        Setup::in_front_of_as(ECR_HOST, &self.registry, &self.api.auth(keys)).log_level("trace")
    }

    /// An STS that gives [`ROLE`] to whoever brings the id that is `wanted`, and an Archway that
    /// brings `brought`.
    async fn with_role(&self, wanted: &'static str, brought: &str) -> (Identity, Archway) {
        let proof = Proof::Signed(aws::ACCESS_KEY_ID, wanted);
        let sts = Identity::sts(ROLE, proof, KEY).await;
        let keys = format!(", role_arn = \"{ROLE}\", external_id = \"{brought}\"");
        let archway = self
            .setup(&keys)
            .aws_credentials()
            .env("AWS_ENDPOINT_URL_STS", sts.url())
            .start()
            .await;
        (sts, archway)
    }

    async fn pulls(&self, archway: &Archway) {
        let pulled = archway.client().pull("team/app", "v1").await;
        assert_eq!(pulled.root, self.content.root().digest);
        assert_eq!(self.api.calls(), 1);
        for secret in [KEY.secret, KEY.session, aws::SECRET_ACCESS_KEY] {
            assert!(
                !archway.log().text().contains(secret),
                "the log has {secret}"
            );
            assert!(!self.registry.log().mentions(secret));
        }
    }

    /// All calls carried the session token of [`KEY`].
    fn saw_the_session(&self) {
        for call in self.api.log().all() {
            assert_eq!(call.header("x-amz-security-token"), KEY.session);
        }
    }
}

#[tokio::test]
async fn the_environment_names_the_identity() {
    let front = Front::expecting(aws::ACCESS_KEY_ID).await;
    let archway = front.setup("").aws_credentials().start().await;
    front.pulls(&archway).await;
}

#[tokio::test]
async fn a_profile_names_the_identity() {
    let front = Front::expecting(KEY.id).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials");
    let text = format!(
        "[other]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
        KEY.id, KEY.secret, KEY.session
    );
    std::fs::write(&file, text).expect("a writable folder");
    let archway = front
        .setup("")
        .env("AWS_SHARED_CREDENTIALS_FILE", file.display())
        .env("AWS_PROFILE", "other")
        .start()
        .await;
    front.pulls(&archway).await;
    front.saw_the_session();
}

#[tokio::test]
async fn a_service_accounts_web_identity_is_taken_to_sts() {
    let front = Front::expecting(KEY.id).await;
    let sts = Identity::sts(ROLE, Proof::WebIdentity("a-service-account.jwt"), KEY).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "a-service-account.jwt").expect("a writable folder");
    let archway = front
        .setup("")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", file.display())
        .env("AWS_ROLE_ARN", ROLE)
        .env("AWS_ENDPOINT_URL_STS", sts.url())
        .start()
        .await;
    front.pulls(&archway).await;
    front.saw_the_session();
    assert_eq!(sts.log().all().len(), 1);
    assert!(!archway.log().text().contains("a-service-account.jwt"));
}

#[tokio::test]
async fn a_pods_identity_comes_from_its_agent() {
    let front = Front::expecting(KEY.id).await;
    let agent = Identity::pod("a-pods-token", KEY).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "a-pods-token").expect("a writable folder");
    let archway = front
        .setup("")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/v1/credentials", agent.url()),
        )
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.display())
        .start()
        .await;
    front.pulls(&archway).await;
    front.saw_the_session();
    assert!(!archway.log().text().contains("a-pods-token"));
}

#[tokio::test]
async fn an_instances_role_comes_from_its_metadata_service() {
    let front = Front::expecting(KEY.id).await;
    let metadata = Identity::instance(KEY).await;
    let archway = front
        .setup("")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url())
        .start()
        .await;
    front.pulls(&archway).await;
    front.saw_the_session();
    let asked = metadata.log().all();
    assert_eq!(asked[0].method, "PUT", "a token is asked for first");
}

#[tokio::test]
async fn a_role_is_taken_with_its_external_id_on_top_of_the_identity() {
    let front = Front::expecting(KEY.id).await;
    let (_sts, archway) = front.with_role("archway-4711", "archway-4711").await;
    front.pulls(&archway).await;
    front.saw_the_session();
}

#[tokio::test]
async fn a_role_that_is_refused_is_named_in_the_error() {
    let front = Front::expecting(KEY.id).await;
    let (_sts, archway) = front.with_role("another", "archway-4711").await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(502);
    archway.log().says(ROLE).await;
    archway.log().says("sts:AssumeRole").await;
}

#[tokio::test]
async fn without_any_identity_one_error_names_what_was_tried_and_archway_stays_up() {
    let front = Front::expecting(KEY.id).await;
    let mut archway = front.setup("").log_level("info").start().await;
    let client = archway.client();
    for _ in 0..5 {
        client.manifest("team/app", "v1").await.expect(502);
    }
    // The access log is written after the warnings, so all of them are there.
    archway
        .log()
        .request("the last request", |_| archway.log().requests().len() == 5)
        .await;
    let event = archway.log().events().into_iter();
    let reasons: Vec<String> = event
        .filter(|event| event["level"] == "WARN")
        .filter_map(|event| event["reason"].as_str().map(str::to_owned))
        .collect();
    let [reason] = &reasons[..] else {
        panic!("one warning for five requests in a row: {reasons:#?}")
    };
    for tried in [
        "environment",
        "profile",
        "web identity",
        "container",
        "IMDSv2",
    ] {
        assert!(reason.contains(tried), "{tried} in {reason}");
    }
    assert!(archway.is_running());
    archway.admin().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn a_metadata_service_out_of_reach_brings_the_hint_about_hops() {
    let front = Front::expecting(KEY.id).await;
    // A port that nobody listens on is as far away as one hop too many.
    let gone = Identity::instance(KEY).await;
    let url = gone.url();
    gone.close().await;
    let archway = front
        .setup("")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        .start()
        .await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(502);
    archway.log().says("hop limit has to be 2 or more").await;
}

#[tokio::test]
async fn a_missing_permission_is_told_by_the_action_that_lacks() {
    let front = Front::expecting(aws::ACCESS_KEY_ID).await;
    front.api.deny();
    let archway = front.setup("").aws_credentials().start().await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(502);
    archway.log().says("lacks ecr:GetAuthorizationToken").await;
}

#[tokio::test]
async fn one_token_serves_all_accounts_of_a_region() {
    let front = Front::expecting(aws::ACCESS_KEY_ID).await;
    let other = ECR_HOST.replace("123456789012", "210987654321");
    let archway = front
        .setup("")
        .upstream_with(&other, &front.registry, &front.api.auth(""))
        .aws_credentials()
        .start()
        .await;
    front.pulls(&archway).await;
    let path = format!("/v2/{other}/team/app/manifests/v1");
    archway.client().get(&path).await.expect(200);
    assert_eq!(front.api.calls(), 1);
}

#[tokio::test]
async fn signed_in_ecr_public_takes_its_token_to_the_realm() {
    let token = EcrToken::new(Expired::BadRequest);
    let api = EcrApi::start_as(Service::Public, token.clone()).await;
    let login = Login::new("AWS", &token.password());
    let tokens = TokenService::start(Some(login)).await;
    let (registry, _) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let archway = Setup::in_front_of_with(&registry, "auth = \"ecr-public\"")
        .env("AWS_ENDPOINT_URL_ECR_PUBLIC", api.url())
        .aws_credentials()
        .start()
        .await;
    archway.client().pull("team/app", "v1").await;
    assert_eq!((api.calls(), tokens.log().all().len()), (1, 1));
    assert!(
        !registry.log().mentions(&token.token()),
        "it is for the realm alone"
    );
}
