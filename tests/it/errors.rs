//! What clients are told when it does not work: the specification's codes and words that help, as
//! reviewed snapshots.

use http::Method;
use integration_tests::auth::Auth;
use integration_tests::client::{Answer, Client};
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;

async fn start() -> (FakeRegistry, Archway) {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    // No waiting for an upstream that throttles.
    let lines = "patience = \"0s\"";
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway)
}

/// Status, the headers that matter for an error, and the body with what differs each time taken
/// out.
fn shown(answer: &Answer) -> String {
    let mut text = answer.status.to_string();
    for name in ["content-type", "allow", "retry-after", "content-range"] {
        let value = answer.header(name);
        if !value.is_empty() {
            text = format!("{text}\n{name}: {value}");
        }
    }
    if answer.body.is_empty() {
        return text;
    }
    let mut body = answer.json();
    let detail = &mut body["errors"][0]["detail"];
    assert_eq!(detail["request_id"], answer.header("x-request-id"));
    detail["request_id"] = "ID".into();
    if let Some(endpoints) = detail
        .get_mut("endpoints")
        .and_then(serde_json::Value::as_array_mut)
    {
        for endpoint in endpoints {
            for name in ["url", "since", "asked_again"] {
                if endpoint[name].is_string() {
                    endpoint[name] = name.to_uppercase().into();
                }
            }
        }
    }
    let body = serde_json::to_string_pretty(&body).expect("it was JSON");
    format!("{text}\n\n{body}")
}

async fn get(client: &Client, path: &str) -> String {
    shown(&client.get(path).await)
}

fn zeros(kind: &str) -> String {
    format!("/v2/team/app/{kind}/sha256:{}", "0".repeat(64))
}

#[tokio::test]
async fn what_is_not_there() {
    let (_registry, archway) = start().await;
    let client = archway.client();
    insta::assert_snapshot!(
        "tag_unknown",
        get(&client, "/v2/team/app/manifests/none").await
    );
    insta::assert_snapshot!(
        "repository_unknown",
        get(&client, "/v2/team/none/manifests/v1").await
    );
    insta::assert_snapshot!("manifest_unknown", get(&client, &zeros("manifests")).await);
    insta::assert_snapshot!("blob_unknown", get(&client, &zeros("blobs")).await);
    insta::assert_snapshot!(
        "upstream_unknown",
        get(&client, "/v2/ghost.test/app/manifests/v1").await
    );
    insta::assert_snapshot!("path_unknown", get(&client, "/v2/team/app/other/v1").await);
}

#[tokio::test]
async fn what_cannot_be_a_name() {
    let (registry, archway) = start().await;
    let client = archway.client();
    let digest = "/v2/team/app/manifests/sha256:baddigeststring";
    insta::assert_snapshot!("digest_invalid", get(&client, digest).await);
    insta::assert_snapshot!(
        "blob_digest_invalid",
        get(&client, "/v2/team/app/blobs/sha256:xyz").await
    );
    insta::assert_snapshot!(
        "name_invalid",
        get(&client, "/v2/Team/App/manifests/v1").await
    );
    let tag = client
        .get("/v2/team/app/manifests/.hidden")
        .await
        .expect(400);
    assert_ne!(tag.error_code(), "DIGEST_INVALID", "it never was a digest");
    let long = format!("/v2/{}/manifests/v1", "a/".repeat(200) + "a");
    assert_eq!(
        client.get(&long).await.expect(400).error_code(),
        "NAME_INVALID"
    );
    assert!(
        registry.log().all().is_empty(),
        "nothing malformed goes upstream"
    );
}

#[tokio::test]
async fn what_fits_no_platform() {
    let (_registry, archway) = start().await;
    let client = archway.client();
    let path = "/v2/team/app/manifests/v1";
    let other = client.clone().with("archway-platform", "linux/s390x");
    insta::assert_snapshot!("platform_missing", get(&other, path).await);
    let bad = client.clone().with("archway-platform", "linux/");
    insta::assert_snapshot!("platform_invalid", get(&bad, path).await);
    let two = client
        .with("archway-platform", "linux/amd64")
        .with_query("platform", "linux/arm64");
    insta::assert_snapshot!("platforms_disagree", get(&two, path).await);
}

#[tokio::test]
async fn what_may_not_be_done() {
    let (_registry, archway) = start().await;
    let client = archway.client();
    let put = client.send(Method::PUT, "/v2/team/app/manifests/v2").await;
    insta::assert_snapshot!("push_refused", shown(&put));
    let blob = images::multi_platform("app").blobs[0].digest();
    let range = client.with("range", "bytes=900000-");
    let answer = range.blob("team/app", blob).await;
    insta::assert_snapshot!("range_unsatisfiable", shown(&answer));
}

#[tokio::test]
async fn what_the_upstream_has_done() {
    let path = "/v2/team/app/manifests/v1";
    for (name, status) in [("denied", 403), ("throttled", 429), ("failing", 500)] {
        let (registry, archway) = start().await;
        let status = http::StatusCode::from_u16(status).expect("a status");
        registry.faults().add(On::all(), Fault::Status(status));
        let name = format!("upstream_{name}");
        insta::assert_snapshot!(name, get(&archway.client(), path).await);
    }
    let (registry, archway) = start().await;
    registry.require(Auth::Nobody);
    insta::assert_snapshot!("upstream_unauthorized", get(&archway.client(), path).await);
    let (registry, archway) = start().await;
    registry.close().await;
    insta::assert_snapshot!("upstream_gone", get(&archway.client(), path).await);
}

/// The endpoint is part of the cause, and for whoever may pull no secret. Where its name leads is not
/// told, and neither is anything of the machine.
#[tokio::test]
async fn no_error_tells_more_of_the_inside_than_its_endpoint() {
    let path = "/v2/team/app/manifests/v1";
    for fault in [
        Fault::Cut(20, Cut::Rst),
        Fault::Status(http::StatusCode::BAD_GATEWAY),
    ] {
        let (registry, archway) = start().await;
        registry.faults().add(On::all(), fault);
        let answer = archway.client().get(path).await;
        let mut error = answer.json()["errors"][0].clone();
        assert_eq!(error["detail"]["endpoints"][0]["url"], registry.url());
        error["detail"]["endpoints"] = serde_json::Value::Null;
        let text = error.to_string();
        let cache = archway.cache_folder();
        for inside in ["127.0.0.1", "os error", &cache.display().to_string()] {
            assert!(!text.contains(inside), "{text}");
        }
    }
}
