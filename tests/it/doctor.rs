//! `archway doctor upstreams`: what is wrong with an upstream is told, and only what is wrong.

use std::process::Output;
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderName, HeaderValue};
use integration_tests::auth::{Auth, EcrToken, Expired, Login, TokenService};
use integration_tests::aws::{ECR_HOST, EcrApi};
use integration_tests::faults::{Fault, On};
use integration_tests::images;
use integration_tests::proxy::Setup;
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::server::{Server, full};
use integration_tests::tls_front::{Authority, Clients, TlsFront};
use serde_json::Value;

async fn registry() -> FakeRegistry {
    FakeRegistry::with("team/app", "v1", &images::multi_platform("app")).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn examine(setup: Setup, more: &[&str]) -> Output {
    let arguments = ["doctor", "upstreams", "--config", "CONFIG"];
    setup.run(&[&arguments, more].concat()).await
}

/// What JSON says of the checks of the only endpoint: `(name, status, detail)`.
async fn checks(setup: Setup, more: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
    let output = examine(setup, &[&["-o", "json"], more].concat()).await;
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    assert_eq!(report["ok"], output.status.success());
    let checks = &report["upstreams"][0]["endpoints"][0]["checks"];
    let word = |check: &Value, key: &str| check[key].as_str().expect("a string").to_owned();
    let checks = checks.as_array().expect("a list of checks").iter();
    let checks = checks.map(|check| {
        (
            word(check, "name"),
            word(check, "status"),
            word(check, "detail"),
        )
    });
    (output.status.code(), checks.collect())
}

fn found<'a>(checks: &'a [(String, String, String)], name: &str) -> (&'a str, &'a str) {
    let check = checks.iter().find(|check| check.0 == name);
    let check = check.unwrap_or_else(|| panic!("no {name} in {checks:#?}"));
    (&check.1, &check.2)
}

#[tokio::test]
async fn a_good_upstream_is_found_good_in_every_respect() {
    let registry = registry().await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let token = EcrToken::new(Expired::Forbidden);
    registry.require(Auth::Ecr(token.clone()));
    let budget = |name, value| {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        registry
            .faults()
            .add(On::path("/manifests/"), Fault::Header(name, value));
    };
    budget("ratelimit-limit", "100;w=21600");
    budget("ratelimit-remaining", "76;w=21600");
    let api = EcrApi::start(token).await;
    let setup = Setup::in_front_of_as(ECR_HOST, &registry, &api.auth("")).aws_credentials();
    let (code, checks) = checks(setup, &["--image", "team/app:v1"]).await;
    let statuses: Vec<_> = checks.iter().map(|check| (&*check.0, &*check.1)).collect();
    let expected = [
        ("dns", "skipped"),
        ("connect", "ok"),
        ("tls", "skipped"),
        ("clock", "ok"),
        ("auth", "ok"),
        ("tag", "ok"),
        ("range", "ok"),
        ("budget", "ok"),
    ];
    assert_eq!(statuses, expected, "{checks:#?}");
    assert_eq!(code, Some(0));
    assert_eq!(found(&checks, "budget").1, "76 of 100 pulls are left");
    assert_eq!(api.calls(), 1);
}

#[tokio::test]
async fn the_table_and_the_progress_are_for_eyes() {
    let (good, gone) = (registry().await, registry().await);
    let setup = Setup::in_front_of(&good).upstream("gone.test", &gone);
    gone.close().await;
    let output = examine(setup, &["--image", "registry.test/team/app:v1"]).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    for line in [
        &format!("registry.test at {}", good.url()),
        "  an interrupted download resumes where it stopped",
        "the connection was refused: nothing listens on port",
        "fix: correct `endpoints`, or open the way there in the firewall",
        "1 of 2 upstreams passed",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
    assert!(err.contains("registry.test: ok"), "{err}");
    assert!(err.contains("2/2 "), "{err}");
}

#[tokio::test]
async fn without_an_image_the_checks_that_need_one_are_skipped() {
    let registry = registry().await;
    let (code, checks) = checks(Setup::in_front_of(&registry), &[]).await;
    for name in ["tag", "range", "budget"] {
        let (status, detail) = found(&checks, name);
        assert_eq!(status, "skipped");
        assert!(detail.contains("--image"), "{detail}");
    }
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_login_that_is_refused_fails() {
    let registry = registry().await;
    registry.require(Auth::Basic(Login::new("me", "right")));
    let lines = "auth = { username = \"me\", password_env = \"PASSWORD\" }";
    let setup = Setup::in_front_of_with(&registry, lines);
    let (code, good) = checks(setup.clone().env("PASSWORD", "right"), &[]).await;
    assert_eq!(
        (code, found(&good, "auth")),
        (Some(0), ("ok", "signed in as me"))
    );
    let (code, bad) = checks(setup.env("PASSWORD", "wrong-canary"), &[]).await;
    let (status, detail) = found(&bad, "auth");
    assert_eq!((code, status), (Some(1), "failed"));
    assert!(
        detail.contains("401") && !detail.contains("wrong-canary"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_realm_that_hands_out_tokens_lets_in_and_one_that_is_gone_fails() {
    let tokens = TokenService::start(None).await;
    let registry = registry().await;
    registry.require(Auth::Bearer(tokens.clone()));
    let setup = Setup::in_front_of(&registry);
    let (code, good) = checks(setup.clone(), &["--image", "team/app:v1"]).await;
    assert_eq!((code, found(&good, "tag").0), (Some(0), "ok"), "{good:#?}");
    tokens.close().await;
    let (code, bad) = checks(setup, &["--image", "team/app:v1"]).await;
    let (status, detail) = found(&bad, "auth");
    assert_eq!((code, status), (Some(1), "failed"));
    assert!(detail.contains("token realm cannot be reached"), "{detail}");
}

#[tokio::test]
async fn without_an_aws_identity_the_check_says_what_was_tried() {
    let registry = registry().await;
    let setup = Setup::in_front_of_as(ECR_HOST, &registry, "");
    let (code, checks) = checks(setup, &[]).await;
    let (status, detail) = found(&checks, "auth");
    assert_eq!((code, status), (Some(1), "failed"));
    assert!(
        detail.contains("no AWS credentials; tried environment"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_tag_that_is_not_there_fails() {
    let registry = registry().await;
    let (code, checks) = checks(Setup::in_front_of(&registry), &["--image", "team/app:v2"]).await;
    assert_eq!(
        (code, found(&checks, "tag")),
        (Some(1), ("failed", "there is no team/app:v2"))
    );
}

#[tokio::test]
async fn a_store_that_ignores_ranges_is_a_warning() {
    let registry = registry().await;
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::IgnoreRange);
    let (code, checks) = checks(Setup::in_front_of(&registry), &["--image", "team/app:v1"]).await;
    assert_eq!((code, found(&checks, "range").0), (Some(0), "warning"));
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_fails() {
    let server = Server::start(|_, _| {
        let mut response = http::Response::new(full("{}"));
        let date = HeaderValue::from_static("Tue, 01 Jan 2030 00:00:00 GMT");
        response.headers_mut().insert("date", date);
        std::future::ready(response).boxed()
    })
    .await;
    let setup = Setup::new()
        .top("default_upstream = \"registry.test\"")
        .upstream_at("registry.test", &[server.url()], "");
    let (code, checks) = checks(setup, &[]).await;
    assert_eq!((code, found(&checks, "clock").0), (Some(1), "failed"));
}

#[tokio::test]
async fn a_certificate_is_trusted_or_not_and_told_by_the_days_it_has_left() {
    let (registry, authority) = (registry().await, Authority::new());
    let target = registry.host().parse().expect("an address");
    let front = TlsFront::start(&authority, "127.0.0.1", Clients::Any, target).await;
    let setup = |lines: &str| {
        Setup::new()
            .top("default_upstream = \"registry.test\"")
            .upstream_at("registry.test", &[front.url()], lines)
    };
    let (code, untrusted) = checks(setup(""), &[]).await;
    let (status, detail) = found(&untrusted, "tls");
    assert_eq!((code, status), (Some(1), "failed"));
    assert!(detail.contains("certificate"), "{detail}");
    let lines = format!("ca_file = {:?}", authority.ca_file());
    let (code, trusted) = checks(setup(&lines), &[]).await;
    let (status, detail) = found(&trusted, "tls");
    assert_eq!((code, status), (Some(0), "ok"), "{detail}");
    assert!(detail.contains(" more days, until "), "{detail}");
}

#[tokio::test]
async fn a_name_without_an_address_fails_and_nothing_is_asked_of_it() {
    let urls = ["http://no-such-host.invalid:5000".to_owned()];
    let setup = Setup::new()
        .top("default_upstream = \"registry.test\"")
        .upstream_at("registry.test", &urls, "");
    let (code, checks) = checks(setup, &[]).await;
    assert_eq!((code, found(&checks, "dns").0), (Some(1), "failed"));
    assert_eq!(found(&checks, "auth").0, "skipped");
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up() {
    let server = Server::start(|_, _| std::future::pending().boxed()).await;
    let setup = Setup::new()
        .top("default_upstream = \"registry.test\"")
        .upstream_at(
            "registry.test",
            &[server.url()],
            "header_timeout = \"200ms\"",
        );
    let started = std::time::Instant::now();
    let (code, checks) = checks(setup, &[]).await;
    assert_eq!((code, found(&checks, "tls").0), (Some(1), "failed"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_name_that_is_not_configured_is_refused() {
    let registry = registry().await;
    let output = examine(Setup::in_front_of(&registry), &["ghost.test"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("[upstream.\"ghost.test\"]"));
}

#[tokio::test]
async fn every_image_is_asked_for_at_the_host_it_names_though_that_host_is_one_of_a_pattern() {
    let registry = registry().await;
    let setup = Setup::new()
        .top("default_upstream = \"one.test\"")
        .upstream("one.test", &registry)
        .upstream("*.pattern.test", &registry);
    let images = [
        "--image",
        "some.pattern.test/team/app:v1",
        "--image",
        "some.pattern.test/team/app:v2",
    ];
    let output = examine(setup.clone(), &images).await;
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    for line in [
        "some.pattern.test at ",
        "team/app:v1 is sha256:",
        "there is no team/app:v2",
        "1 of 2 upstreams passed",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
    let ghost = examine(setup, &["--image", "ghost.test/team/app:v1"]).await;
    assert_eq!(ghost.status.code(), Some(2));
    assert!(text(&ghost.stderr).contains("[upstream.\"ghost.test\"]"));
}

/// The registry stands for the proxy too: what it is asked for through itself, it has.
#[tokio::test]
async fn a_name_that_only_the_proxy_can_look_up_is_no_failure() {
    let registry = registry().await;
    let urls = ["http://no-such-host.invalid:5000".to_owned()];
    let setup = Setup::new()
        .top("default_upstream = \"registry.test\"")
        .upstream_at("registry.test", &urls, "")
        .env("HTTP_PROXY", registry.url().replace("//", "//me:hunter2@"));
    let (code, checks) = checks(setup, &["--image", "team/app:v1"]).await;
    let (status, detail) = found(&checks, "dns");
    assert_eq!((code, status), (Some(0), "skipped"), "{checks:#?}");
    assert!(detail.contains(&registry.host()), "{detail}");
    assert!(!detail.contains("hunter2"), "{detail}");
    assert_eq!(found(&checks, "tag").0, "ok");
}

#[tokio::test]
async fn a_password_that_nobody_asked_for_is_not_called_good() {
    let registry = registry().await;
    let lines = "auth = { username = \"me\", password_env = \"PASSWORD\" }";
    let setup = Setup::in_front_of_with(&registry, lines).env("PASSWORD", "wrong");
    let (code, checks) = checks(setup, &[]).await;
    let (status, detail) = found(&checks, "auth");
    assert_eq!((code, status), (Some(0), "ok"));
    assert!(detail.contains("asked for no credentials"), "{detail}");
}
