//! Promise 7, no credential leaks: nobody is asked for a password, and a password that is sent all
//! the same goes nowhere.

use http::Method;
use integration_tests::auth::{Auth, EcrToken, Expired, Login, TokenService};
use integration_tests::client::Client;
use integration_tests::images;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{Blobs, FakeRegistry};

/// What a client may send by mistake, and how it looks when decoded.
const CANARY: &str = "canary-4711";

/// Everything there is to ask for, present and absent.
fn paths(digest: &str) -> Vec<String> {
    let absent = format!("sha256:{}", "0".repeat(64));
    vec![
        "/v2/".to_owned(),
        "/v2/team/app/manifests/v1".to_owned(),
        format!("/v2/team/app/manifests/{digest}"),
        format!("/v2/team/app/manifests/{absent}"),
        format!("/v2/team/app/blobs/{absent}"),
        "/v2/team/app/tags/list".to_owned(),
        format!("/v2/team/app/referrers/{digest}"),
        "/v2/ghost.test/team/app/manifests/v1".to_owned(),
        "/nowhere".to_owned(),
    ]
}

async fn assert_asks_for_nothing(client: &Client, paths: &[String], case: &str) {
    for path in paths {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
            let answer = client.send(method.clone(), path).await;
            assert_ne!(answer.status, 401, "{case}: {method} {path}");
            let headers = ["www-authenticate", "proxy-authenticate", "authorization"];
            for name in headers {
                let value = answer.header(name);
                assert_eq!(value, "", "{case}: {name} on {method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn an_anonymous_listener_never_asks_who_is_there_whatever_the_upstream_says() {
    let tokens = TokenService::start(Some(Login::new("x", "y"))).await;
    let cases = [
        ("open", Auth::Open),
        ("basic", Auth::Basic(Login::new("x", "y"))),
        ("bearer", Auth::Bearer(tokens)),
        ("ecr", Auth::Ecr(EcrToken::new(Expired::Unauthorized))),
        ("nobody", Auth::Nobody),
    ];
    for (case, auth) in cases {
        let content = images::multi_platform("app");
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        registry.require(auth);
        let archway = Setup::in_front_of_with(&registry, "auth = \"anonymous\"")
            .start()
            .await;
        let paths = paths(&content.root().digest.to_string());
        assert_asks_for_nothing(&archway.client(), &paths, case).await;
        let logged_in = archway.client().with("authorization", "Basic eDp6");
        assert_asks_for_nothing(&logged_in, &paths, case).await;
    }
}

/// Asks for everything with credentials in every place a client may put them.
async fn sing(archway: &Archway, paths: &[String]) {
    let basic = Login::new("user", CANARY).header();
    for value in [basic, format!("Bearer {CANARY}"), CANARY.to_owned()] {
        let client = archway
            .client()
            .with("authorization", &value)
            .with("proxy-authorization", &value)
            .with("cookie", &format!("session={CANARY}"))
            .with("x-registry-auth", &value);
        for path in paths {
            for method in [Method::HEAD, Method::GET, Method::PUT] {
                client.send(method, path).await;
            }
        }
    }
}

#[tokio::test]
async fn what_a_client_sends_of_credentials_reaches_neither_upstream_nor_log() {
    let encoded = Login::new("user", CANARY).header().replace("Basic ", "");
    for auth in [Auth::Open, Auth::Nobody] {
        let content = images::multi_platform("app");
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
        registry.require(auth);
        let archway = Setup::in_front_of(&registry)
            .log_level("trace")
            .start()
            .await;
        let mut paths = paths(&content.root().digest.to_string());
        for blob in &content.blobs {
            paths.push(format!("/v2/team/app/blobs/{}", blob.digest()));
        }
        sing(&archway, &paths).await;
        let logged = async || {
            archway
                .log()
                .request("the last request is logged", |event| {
                    event["method"] == "PUT"
                })
                .await
        };
        logged().await;
        assert!(!registry.log().all().is_empty());
        for needle in [CANARY, &encoded] {
            assert!(!registry.log().mentions(needle), "{needle} upstream");
            assert!(
                !archway.log().text().contains(needle),
                "{needle} in the log"
            );
        }
        let metrics = archway.admin().get("/metrics").await.text();
        assert!(!metrics.contains(CANARY));
    }
}

#[tokio::test]
async fn a_log_line_holds_no_query_of_a_client() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry)
        .log_level("trace")
        .start()
        .await;
    let client = archway.client().with_query("token", CANARY);
    client.manifest("team/app", "v1").await;
    let path = "/v2/team/app/manifests/v1";
    archway
        .log()
        .request("it is logged", |event| event["path"] == path)
        .await;
    assert!(!archway.log().text().contains(CANARY));
    assert!(!registry.log().mentions(CANARY), "nor is it passed on");
}
