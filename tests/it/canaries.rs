//! Promise 7 once more, all at once: secrets of ours and of clients are planted wherever there is a
//! place for one, everything is asked for, at the most talkative log level, and each secret is seen
//! by whom it is for and by nobody else.

use std::fmt::Write;

use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use integration_tests::auth::{Auth, EcrToken, Expired, Login, TokenService};
use integration_tests::aws::{self, ECR_HOST, EcrApi};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Content};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::log::RequestLog;
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::server::{Server, full};
use tempfile::TempDir;

const TALKATIVE: &str = "trace,aws_config=trace,aws_smithy_runtime=trace,aws_sdk_ecr=trace,hyper=trace,\
                         hyper_util=trace,h2=trace,reqwest=trace,rustls=trace,upstream=trace";

const PASSWORD: &str = "canary-of-the-password-file";
const IDENTITY: &str = "canary-of-the-identity-token";
const SESSION: &str = "canary-of-the-aws-session";
const REALM: &str = "canary-of-a-realm";
const LOCATION: &str = "canary-of-a-redirect";
const CLIENT: &str = "canary-of-the-client";

/// Every header a client may hide something in, but `User-Agent`, which is logged on purpose, and
/// `Origin`, with which it is a browser and gets nothing.
const CLIENT_HEADERS: [&str; 15] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-registry-auth",
    "x-amz-security-token",
    "x-auth-token",
    "x-api-key",
    "private-token",
    "referer",
    "from",
    "if-match",
    "if-none-match",
    "x-forwarded-for",
    "traceparent",
    "via",
];

/// Five upstreams, each with secrets of another kind.
struct Aviary {
    ecr: FakeRegistry,
    ecr_token: EcrToken,
    api: EcrApi,
    bearer: FakeRegistry,
    tokens: TokenService,
    identity: FakeRegistry,
    identity_tokens: TokenService,
    hostile: FakeRegistry,
    content: Content,
    folder: TempDir,
}

impl Aviary {
    async fn new() -> Self {
        let content = images::multi_platform("app");
        let registry = async |auth| {
            let registry = FakeRegistry::with("team/app", "v1", &content).await;
            registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
            registry.require(auth);
            registry
        };
        let ecr_token = EcrToken::new(Expired::Forbidden);
        let tokens = TokenService::start(Some(Login::new("me", PASSWORD))).await;
        let identity_tokens = TokenService::start_for_identity_token(IDENTITY).await;
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a writable folder");
        };
        write("password", PASSWORD);
        let config =
            format!("{{\"auths\":{{\"identity.test\":{{\"identitytoken\":\"{IDENTITY}\"}}}}}}");
        write("config.json", &config);
        Self {
            ecr: registry(Auth::Ecr(ecr_token.clone())).await,
            api: EcrApi::start(ecr_token.clone()).await,
            ecr_token,
            bearer: registry(Auth::Bearer(tokens.clone())).await,
            tokens,
            identity: registry(Auth::Bearer(identity_tokens.clone())).await,
            identity_tokens,
            hostile: registry(Auth::Open).await,
            content,
            folder,
        }
    }

    fn setup(&self, echo: &Server) -> Setup {
        let file = self.folder.path().join("password");
        let login = format!(
            "auth = {{ username = \"me\", password_file = \"{}\" }}",
            file.display()
        );
        Setup::in_front_of_as(ECR_HOST, &self.ecr, &self.api.auth(""))
            .aws_credentials()
            .upstream_with("bearer.test", &self.bearer, &login)
            .upstream_with("identity.test", &self.identity, "auth = \"docker-config\"")
            .upstream_with("hostile.test", &self.hostile, &login)
            .upstream_at("echo.test", &[echo.url()], &login)
            .log_level(TALKATIVE)
            .env("AWS_SESSION_TOKEN", SESSION)
            .env("DOCKER_CONFIG", self.folder.path().display())
    }

    /// What every path of every upstream answers, present and absent, GET, HEAD and PUT.
    async fn ask_for_everything(&self, archway: &Archway) -> String {
        let mut said = String::new();
        let mut client = archway.client().with_query("token", CLIENT);
        for name in CLIENT_HEADERS {
            client = client.with(name, CLIENT);
        }
        let absent = format!("sha256:{}", "0".repeat(64));
        let root = self.content.root().digest;
        let blob = self.content.blobs[0].digest();
        for host in [
            ECR_HOST,
            "bearer.test",
            "identity.test",
            "hostile.test",
            "echo.test",
        ] {
            for path in [
                "manifests/v1".to_owned(),
                "manifests/v2".to_owned(),
                format!("manifests/{root}"),
                format!("blobs/{blob}"),
                format!("blobs/{absent}"),
                "tags/list".to_owned(),
                format!("referrers/{root}"),
            ] {
                let path = format!("/v2/{host}/team/app/{path}");
                for method in [Method::HEAD, Method::GET, Method::PUT] {
                    let answer = client.send(method, &path).await;
                    assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
                    let _ = writeln!(said, "{:?}\n{}", answer.headers, answer.text());
                }
            }
        }
        said
    }

    fn logs(&self) -> [&RequestLog; 7] {
        [
            self.ecr.log(),
            self.api.log(),
            self.bearer.log(),
            self.tokens.log(),
            self.identity.log(),
            self.identity_tokens.log(),
            self.hostile.log(),
        ]
    }

    /// Which doubles have seen `secret` in a path, a query or a header.
    fn seen(&self, secret: &str) -> Vec<&'static str> {
        let entries = self.logs().into_iter().flat_map(RequestLog::all);
        let mut seen: Vec<_> = entries
            .filter(|entry| entry.mentions(secret))
            .map(|entry| entry.server)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }
}

/// A registry that repeats in its refusal what it was sent, after it has asked for a password.
async fn echo() -> Server {
    Server::start(|request, _| {
        let sent = request.headers().get("authorization");
        let sent = sent
            .and_then(|value| value.to_str().ok())
            .unwrap_or("nothing");
        let body = format!(
            "{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"{sent} is not welcome\"}}]}}"
        );
        let status = if sent == "nothing" { 401 } else { 403 };
        let response = http::Response::builder()
            .status(status)
            .header("www-authenticate", "Basic realm=\"echo\"")
            .body(full(body));
        std::future::ready(response.expect("a good response")).boxed()
    })
    .await
}

/// Lets the hostile registry name a realm and redirects that carry secrets of their own and lead
/// nowhere good.
fn make_hostile(registry: &FakeRegistry) {
    let header = |on, name: &'static str, value: String| {
        let value = HeaderValue::try_from(value).expect("a header value");
        let fault = Fault::Header(HeaderName::from_static(name), value);
        registry.faults().add(on, fault);
    };
    let refused = Fault::Status(StatusCode::UNAUTHORIZED);
    registry.faults().add(On::path("/tags/"), refused);
    let realm = format!("Bearer realm=\"http://u:{REALM}@127.0.0.1:1/token?key={REALM}\"");
    header(On::path("/tags/"), "www-authenticate", realm);
    let moved = Fault::Status(StatusCode::TEMPORARY_REDIRECT);
    registry.faults().add(On::path("/manifests/"), moved);
    let location = format!("http://u:{LOCATION}@169.254.169.254/?X-Amz-Signature={LOCATION}");
    header(On::path("/manifests/"), "location", location);
}

/// Everything that Archway says in any place, by that place.
async fn told(aviary: &Aviary, setup: Setup) -> Vec<(&'static str, String)> {
    let of = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let print = ["config", "print", "--config", "CONFIG"];
    let printed = setup.clone().run(&print).await;
    let doctor = ["doctor", "upstreams", "--config", "CONFIG"];
    let examined = setup.clone().run(&doctor).await;
    assert!(printed.status.success() && examined.status.code() == Some(1));
    let archway = setup.start().await;
    let said = aviary.ask_for_everything(&archway).await;
    let is_last = |event: &serde_json::Value| {
        let path = event["path"].as_str().unwrap_or_default();
        path.contains("echo.test/team/app/referrers/") && event["method"] == "PUT"
    };
    archway
        .log()
        .request("the last request is logged", is_last)
        .await;
    vec![
        ("an answer", said),
        ("the log", archway.log().text()),
        ("the metrics", archway.admin().get("/metrics").await.text()),
        ("the readiness", archway.admin().get("/readyz").await.text()),
        ("the printed config", of(printed)),
        ("the doctor", of(examined)),
    ]
}

#[tokio::test]
async fn each_secret_reaches_whom_it_is_for_and_nobody_else() {
    let (aviary, echo) = (Aviary::new().await, echo().await);
    make_hostile(&aviary.hostile);
    let texts = told(&aviary, aviary.setup(&echo)).await;
    let basic = Login::new("me", PASSWORD).header().replace("Basic ", "");
    let (token, password) = (aviary.ecr_token.token(), aviary.ecr_token.password());
    let expected: [(&str, &[&str]); 12] = [
        (PASSWORD, &[]),
        (&basic, &["token"]),
        (IDENTITY, &[]),
        (aws::SECRET_ACCESS_KEY, &[]),
        (SESSION, &["ecr"]),
        (&token, &["registry"]),
        (&password, &[]),
        ("bearer-secret-", &["registry"]),
        // A signature is the store's own, in the URL that leads there.
        ("X-Amz-Signature", &["store"]),
        (REALM, &[]),
        (LOCATION, &[]),
        (CLIENT, &[]),
    ];
    for (secret, seen_by) in expected {
        assert_eq!(aviary.seen(secret), *seen_by, "{secret} is seen");
        for (place, text) in &texts {
            let at = text.find(secret);
            let around = at.map(|at| &text[text.floor_char_boundary(at.saturating_sub(300))..at]);
            assert_eq!(around, None, "{place} has {secret}");
        }
    }
}
