//! Whoever has an error finds its cause: in the body, by one command, and in the log.

use http::StatusCode;
use integration_tests::auth::Auth;
use integration_tests::client::Answer;
use integration_tests::faults::{Fault, On};
use integration_tests::proxy::{self, Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls_front::TlsFront;
use integration_tests::wait::eventually;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;

const TAG: &str = "/v2/team/app/manifests/v1";
const NAME: &str = "registry.test/team/app:v1";

fn message(answer: &Answer) -> String {
    let message = answer.json()["errors"][0]["message"].clone();
    message.as_str().expect("a message").to_owned()
}

fn detail(answer: &Answer) -> Value {
    answer.json()["errors"][0]["detail"].clone()
}

/// Runs the binary against `archway`; its exit code, output and complaints.
async fn command(archway: &Archway, arguments: &[&str]) -> (i32, String, String) {
    let (server, admin) = (archway.url(), archway.admin_url());
    let place = ["--server", &server, "--admin", &admin];
    let output = proxy::run(&[arguments, &place].concat()).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("an end of its own");
    (code, text(output.stdout), text(output.stderr))
}

/// Archway before an upstream at `url`.
async fn before(url: &str, lines: &str) -> Archway {
    let setup = Setup::new().top("default_upstream = \"registry.test\"");
    let setup = setup.upstream_at("registry.test", &[url.to_owned()], lines);
    setup.start().await
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The answer of an Archway whose upstream shows the certificate of these.
async fn shown(registry: &FakeRegistry, params: CertificateParams, lines: &str) -> Answer {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let front = TlsFront::showing(certificate.der().clone(), &key, registry.address()).await;
    let archway = before(&front.url(), lines).await;
    archway.client().get(TAG).await
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_in_words() {
    let (registry, _) = FakeRegistry::with_app().await;
    let answer = shown(&registry, params("127.0.0.1"), "").await.expect(502);
    let expected = "registry.test could not be reached: its certificate is self-signed and not in \
                    `ca_file`: name that certificate there";
    assert_eq!(message(&answer), expected);

    let key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "My Corp CA");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let issued = params("127.0.0.1").signed_by(&key, &authority);
    let issued = issued.expect("a certificate").der().clone();
    let front = TlsFront::showing(issued, &key, registry.address()).await;
    let archway = before(&front.url(), "").await;
    let answer = archway.client().get(TAG).await.expect(502);
    assert!(
        message(&answer).contains("an authority that is not known (CN=My Corp CA)"),
        "{}",
        message(&answer)
    );
}

#[tokio::test]
async fn a_certificate_in_ca_file_is_trusted_as_the_servers_own_with_its_name_and_dates() {
    let (registry, _) = FakeRegistry::with_app().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("registry.pem");
    let lines = format!("ca_file = {file:?}");
    // As `openssl req -x509` makes it: an authority, by its own words.
    let as_openssl = |name: &str| {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
    };
    let expired = || {
        let mut params = as_openssl("127.0.0.1");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
        params
    };
    for (params, expected) in [
        (as_openssl("127.0.0.1"), None),
        (
            as_openssl("other.test"),
            Some("its certificate is for other.test, not for 127.0.0.1"),
        ),
        (
            expired(),
            Some("its certificate expired on 2021-02-03T00:00:00Z"),
        ),
    ] {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(&file, certificate.pem()).expect("a writable folder");
        let front = TlsFront::showing(certificate.der().clone(), &key, registry.address()).await;
        let archway = before(&front.url(), &lines).await;
        let answer = archway.client().get(TAG).await;
        match expected {
            None => assert_eq!(answer.status, StatusCode::OK, "{}", answer.text()),
            Some(words) => assert!(message(&answer).contains(words), "{}", message(&answer)),
        }
    }
}

#[tokio::test]
async fn a_registry_on_plain_http_is_told_as_that_with_the_line_to_write() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = before(&format!("https://{}", registry.host()), "").await;
    let answer = archway.client().get(TAG).await.expect(502);
    let line = format!("set `endpoints = [\"{}\"]`", registry.url());
    assert!(message(&answer).contains("it speaks plain http, not https"));
    assert!(message(&answer).contains(&line), "{}", message(&answer));
}

#[tokio::test]
async fn an_error_has_the_endpoint_since_when_until_when_the_next_command_and_its_id() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    registry.close().await;
    let client = archway.client();
    client.get(TAG).await.expect(502);
    let answer = client.get(TAG).await.expect(503);
    let detail = detail(&answer);
    let cause = detail["cause"].as_str().expect("a cause");
    assert!(cause.contains("the connection was refused"), "{cause}");
    let endpoint = &detail["endpoints"][0];
    assert_eq!(endpoint["url"], registry.url());
    assert_eq!(endpoint["state"], "down");
    assert!(endpoint["since"].as_str() <= endpoint["asked_again"].as_str());
    assert_eq!(detail["next"], "archway doctor upstreams registry.test");
    assert_eq!(detail["request_id"], answer.header("x-request-id"));
    // The command for it says the same.
    let (code, out, _) = command(&archway, &["explain", NAME]).await;
    assert_eq!(code, 1);
    for part in [
        "the connection was refused",
        &registry.url(),
        "is down, since 20",
        "asked again at 20",
        "next: archway doctor upstreams registry.test",
        "request_id: ",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[tokio::test]
async fn an_upstream_that_answers_with_errors_is_not_called_out_of_reach() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    registry.faults().add(On::all(), Fault::Status(status));
    let client = archway.client();
    let answer = eventually("the circuit opens", async || {
        let answer = client.get(TAG).await;
        assert!(!message(&answer).contains("reached"), "{}", answer.text());
        (answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    })
    .await;
    let message = message(&answer);
    assert!(
        message.starts_with("registry.test is not asked at the moment: it fails since 20")
            && message.contains("and is asked again in ")
            && message.ends_with("status 500"),
        "{message}"
    );
}

#[tokio::test]
async fn a_refused_login_is_the_operators_to_mend() {
    let (registry, _) = FakeRegistry::with_app_for(Auth::Nobody).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let answer = archway.client().get(TAG).await.expect(403);
    let message = message(&answer);
    assert!(
        message.starts_with("Archway has no login that registry.test accepts: its operator sets")
            && message.contains("`auth` of [upstream.\"registry.test\"]"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_named_as_it_was_read() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .upstream("docker.io", &registry)
        .start()
        .await;
    let client = archway.client();
    let answer = client.get("/v2/docker.io/hello/manifests/9.9").await;
    let text = message(&answer.expect(404));
    assert_eq!(text, "docker.io has no repository library/hello");
    let answer = client.get("/v2/team/app/manifests/9.9").await.expect(404);
    let text = message(&answer);
    assert!(
        text.starts_with("registry.test has no team/app:9.9: "),
        "{text}"
    );
    let next = "archway inspect --direct registry.test/team/app:9.9";
    assert_eq!(detail(&answer)["next"], next);
}

/// How many lines of the log begin so. It reaches the test later than the answers do.
fn told(archway: &Archway, level: &str, message: &str) -> usize {
    let fits = |event: &&Value| {
        let text = event["message"].as_str();
        event["level"] == level && text.is_some_and(|text| text.starts_with(message))
    };
    archway.log().events().iter().filter(fits).count()
}

#[tokio::test]
async fn the_log_tells_an_outage_once_and_its_end() {
    let (registry, _) = FakeRegistry::with_app().await;
    let setup = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"");
    let archway = setup.log_level("info,access=off").start().await;
    let client = archway.client();
    client.get(TAG).await.expect(200);
    registry.close().await;
    for _ in 0..5 {
        client.get(TAG).await.expect(200);
    }
    registry.reopen().await;
    eventually("the end is told", async || {
        client.get(TAG).await.expect(200);
        (told(&archway, "INFO", "an endpoint answers again") > 0).then_some(())
    })
    .await;
    archway.terminate();
    archway.log().says("\"stopped\"").await;
    for (level, message) in [
        ("WARN", "an endpoint is down"),
        ("WARN", "tags of an upstream go out as last seen"),
        ("INFO", "an endpoint answers again"),
    ] {
        assert_eq!(told(&archway, level, message), 1, "{message}");
    }
    assert_eq!(archway.log().requests().len(), 0, "access is off");
}

#[tokio::test]
async fn the_log_tells_a_limit_and_a_refusal_once() {
    let (registry, _) = FakeRegistry::with_app().await;
    let setup = Setup::in_front_of_with(&registry, "patience = \"0s\"");
    let archway = setup.log_level("info,access=off").start().await;
    let client = archway.client();
    let limit = Fault::Status(StatusCode::TOO_MANY_REQUESTS);
    registry.faults().add(On::all(), limit);
    for _ in 0..3 {
        client.get(TAG).await.expect(503);
    }
    registry.faults().clear();
    registry.require(Auth::Nobody);
    eventually("it is asked again, and refuses", async || {
        let answer = client.get("/v2/team/app/tags/list").await;
        (answer.status == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
    client.get("/v2/team/app/tags/list").await.expect(403);
    archway.terminate();
    archway.log().says("\"stopped\"").await;
    for message in ["an endpoint limits our requests", "an endpoint refuses us"] {
        assert_eq!(told(&archway, "WARN", message), 1, "{message}");
    }
}

#[tokio::test]
async fn the_start_is_one_line_with_what_is_asked_first() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.log().says("archway has started").await;
    let events = archway.log().events();
    let started: Vec<_> = events
        .iter()
        .filter(|event| event["message"] == "archway has started")
        .collect();
    let [started] = started[..] else {
        panic!("{started:?}");
    };
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    let listeners = started["listeners"].as_str().expect("addresses");
    assert!(
        listeners.contains(&archway.address().to_string()),
        "{listeners}"
    );
    assert_eq!(
        started["cache"],
        archway.cache_folder().display().to_string()
    );
    assert!(
        started["config"]
            .as_str()
            .is_some_and(|file| file.contains("archway.toml"))
    );
}

/// The names that docker and kubectl print begin with the mirror.
#[tokio::test]
async fn a_name_as_clients_print_it_is_understood() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    for name in [
        format!("{}/{NAME}", archway.address()),
        format!("docker://{}/{NAME}", archway.address()),
        format!("{}/team/app:v1", archway.address()),
        format!("http://{NAME}"),
    ] {
        let (code, out, err) = command(&archway, &["explain", &name]).await;
        assert_eq!(code, 0, "{name}: {out}{err}");
        let ready = ["ready", &name, "--platform", "linux/amd64"];
        let (_, out, err) = command(&archway, &ready).await;
        assert!(out.contains("cached"), "{name}: {out}{err}");
    }
    let authority = archway.address().to_string();
    let place = ["--server", &authority, "--admin", &archway.admin_url()];
    let output = proxy::run(&[&["explain", NAME][..], &place].concat()).await;
    assert_eq!(output.status.code(), Some(0), "an address without a scheme");
}

#[tokio::test]
async fn a_server_that_is_not_archway_is_called_that() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    for server in [registry.url(), archway.admin_url()] {
        let place = ["--server", &server, "--admin", &archway.admin_url()];
        for question in [
            &["explain"][..],
            &["inspect"],
            &["resolve", "--platform", "linux/amd64"],
        ] {
            let asked = [question, &["team/app:v1"], &place].concat();
            let output = proxy::run(&asked).await;
            let err = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{asked:?}: {err}");
            assert!(
                err.contains("not as the registry listener of an Archway"),
                "{err}"
            );
        }
    }
}

#[tokio::test]
async fn no_aws_credentials_is_said_as_that() {
    let registry = FakeRegistry::start().await;
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let setup = Setup::new().top(&format!("default_upstream = \"{host}\""));
    let nowhere = "http://127.0.0.1:9";
    let archway = setup
        .upstream_at(host, &[registry.url()], "auth = \"ecr\"")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", nowhere)
        .env("AWS_CONFIG_FILE", "/nowhere")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        .start()
        .await;
    let answer = archway.client().get(TAG).await;
    let expected = format!("{host} cannot be asked: there are no AWS credentials here");
    assert_eq!(message(&answer), expected, "{}", answer.text());
    let detail = detail(&answer);
    let cause = detail["cause"].as_str().expect("a cause");
    for tried in ["environment", "profile", "IMDSv2"] {
        assert!(cause.contains(tried), "{tried} in {cause}");
    }
    assert_eq!(detail["next"], format!("archway doctor upstreams {host}"));
}
