//! Archway says why it answers as it does: in a header for whoever asks, and on the command line.

use integration_tests::client::IMAGES_ONLY;
use integration_tests::images::{self, Content};
use integration_tests::proxy::{self, Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls::{Authority, Mounted};
use serde_json::Value;

const TAG: &str = "/v2/team/app/manifests/v1";
const NAME: &str = "registry.test/team/app:v1";
const CRIO_ARM64: &str = "cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64";

async fn with(content: &Content) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::with("team/app", "v1", content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway)
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

async fn json(archway: &Archway, arguments: &[&str]) -> Value {
    let (_, out, err) = command(archway, &[arguments, &["-o", "json"]].concat()).await;
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

#[tokio::test]
async fn an_answer_is_explained_to_whoever_asks_and_to_nobody_else() {
    let content = images::attested("app");
    let (_registry, archway) = with(&content).await;
    let client = archway
        .client()
        .with("archway-platform", "linux/arm64")
        .with("user-agent", CRIO_ARM64);
    assert_eq!(
        client.get(TAG).await.expect(200).header("archway-explain"),
        ""
    );
    let answer = client
        .with("archway-explain", "1")
        .get(TAG)
        .await
        .expect(200);
    let explained: Value =
        serde_json::from_str(answer.header("archway-explain")).expect("JSON in the header");
    assert_eq!(explained["answer"], "child");
    assert_eq!(explained["mode"], "explicit");
    assert_eq!(explained["followed"]["source"], "header");
    let said: Vec<_> = (0..2).map(|at| &explained["said"][at]["source"]).collect();
    assert_eq!(said, ["header", "user-agent"]);
    let verdicts: Vec<_> = (0..4)
        .map(|at| &explained["entries"][at]["verdict"])
        .collect();
    assert_eq!(
        verdicts,
        ["other-platform", "attestation", "chosen", "attestation"]
    );
    assert_eq!(
        explained["chosen"],
        content.child("linux/arm64/v8").digest.to_string()
    );
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_explained_too() {
    let (_registry, archway) = with(&images::multi_platform("app")).await;
    let client = archway.client().with("archway-explain", "1");
    let answer = client
        .with("archway-platform", "linux/s390x")
        .get(TAG)
        .await
        .expect(404);
    let explained: Value =
        serde_json::from_str(answer.header("archway-explain")).expect("JSON in the header");
    assert_eq!(explained["chosen"], Value::Null);
    assert_eq!(explained["entries"][2]["verdict"], "other-platform");
}

#[tokio::test]
async fn an_index_of_hundreds_is_explained_within_bounds() {
    let platforms: Vec<String> = (0..300).map(|at| format!("linux/cpu{at}")).collect();
    let platforms: Vec<&str> = platforms.iter().map(String::as_str).collect();
    let content = images::index_of("app", &platforms, images::Flavor::Oci);
    let (_registry, archway) = with(&content).await;
    let client = archway.client().with("archway-explain", "1");
    let answer = client
        .with("archway-platform", "linux/cpu299")
        .get(TAG)
        .await
        .expect(200);
    let header = answer.header("archway-explain");
    assert!(header.len() <= 6 * 1024, "{}", header.len());
    let explained: Value = serde_json::from_str(header).expect("JSON in the header");
    let shown = explained["entries"].as_array().expect("entries").len() as u64;
    assert_eq!(shown + explained["more"].as_u64().expect("a count"), 300);
    assert_eq!(
        explained["chosen"],
        content.child("linux/cpu299").digest.to_string()
    );
}

#[tokio::test]
async fn the_command_explains_for_any_client() {
    let (_registry, archway) = with(&images::multi_platform("app")).await;
    let agent = format!("User-Agent: {CRIO_ARM64}");
    let crio = json(&archway, &["explain", "--as", &agent, NAME]).await;
    assert_eq!(crio["explanation"]["answer"], "index");
    assert_eq!(
        crio["explanation"]["why"],
        "the mode does not follow this source"
    );
    let accept = format!("Accept: {}", IMAGES_ONLY.join(","));
    let old = json(
        &archway,
        &["explain", "--as", &agent, "--as", &accept, NAME],
    )
    .await;
    assert_eq!(old["explanation"]["followed"]["source"], "user-agent");
    let (code, out, _) = command(&archway, &["explain", NAME]).await;
    assert_eq!(code, 0);
    assert!(
        out.contains("index, because no source names a platform"),
        "{out}"
    );
    let bad = ["explain", "--as", "Archway-Platform: linux/s390x", NAME];
    let (code, out, _) = command(&archway, &bad).await;
    assert_eq!(code, 1);
    assert!(out.contains("no manifest for linux/s390x"), "{out}");
}

#[tokio::test]
async fn resolve_prints_the_childs_digest_through_archway_and_straight() {
    let content = images::multi_platform("app");
    let (registry, archway) = with(&content).await;
    let arm64 = content.child("linux/arm64/v8").digest.to_string();
    let ask = ["resolve", NAME, "--platform", "linux/arm64"];
    let (code, out, err) = command(&archway, &ask).await;
    assert_eq!((code, out.trim()), (0, arm64.as_str()), "{err}");
    let (code, out, err) = command(&archway, &["resolve", NAME, "--platform", "linux/s390x"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("404") && err.contains("linux/arm/v7"), "{err}");
    let straight = |platform: &'static str| {
        let direct = ["resolve", "--direct", NAME, "--platform", platform];
        let arguments = [&direct[..], &["--config", "CONFIG"]].concat();
        let setup = Setup::in_front_of(&registry);
        async move { setup.run(&arguments).await }
    };
    let output = straight("linux/arm64").await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), arm64);
    let output = straight("linux/s390x").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("linux/arm/v7"));
}

#[tokio::test]
async fn of_an_index_named_by_its_digest_the_platform_is_chosen_too() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content).await;
    let name = format!("registry.test/team/app@{}", content.root().digest);
    let child = content.child("linux/arm64/v8");
    let ask = ["resolve", &name, "--platform", "linux/arm64"];
    let (code, out, err) = command(&archway, &ask).await;
    assert_eq!((code, out.trim()), (0, &*child.digest.to_string()), "{err}");
    let warmed = json(&archway, &["warm", &name, "--platform", "linux/arm64"]).await;
    assert_eq!(warmed["images"][0]["error"], Value::Null);
    let (code, out, _) = command(&archway, &["ready", &name, "--platform", "linux/arm64"]).await;
    assert_eq!(code, 0, "{out}");
    let nothing = ["resolve", &name, "--platform", "linux/s390x"];
    let (code, _, err) = command(&archway, &nothing).await;
    assert_eq!(code, 1);
    assert!(err.contains("linux/arm/v7"), "{err}");
}

/// The port of a registry that is closed is free for whoever names it, and nobody else's.
#[tokio::test]
async fn where_all_listeners_have_tls_the_commands_trust_its_certificate_and_mean_one_upstream() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let held = FakeRegistry::start().await;
    held.close().await;
    let mounted = Mounted::with(&Authority::new("authority.test").issue());
    let lines = format!("upstream = \"registry.test\"\n{}", mounted.line());
    let setup = Setup::new()
        .top("default_upstream = \"other.test\"")
        .upstream("registry.test", &registry)
        .upstream("other.test", &held)
        .listener_at(&held.host(), &lines);
    let archway = setup.clone().start().await;
    let admin = archway.admin_url();
    let place = ["--config", "CONFIG", "--admin", &admin];
    for question in ["resolve", "warm", "ready"] {
        let ask = [question, "team/app:v1", "--platform", "linux/arm64"];
        let output = setup.clone().run(&[&ask[..], &place].concat()).await;
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{question}: {err}");
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_the_option_that_helps() {
    let nowhere = ["--server", "http://127.0.0.1:1"];
    let output = proxy::run(&[&["explain", NAME][..], &nowhere].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        err.contains("http://127.0.0.1:1") && err.contains("--server"),
        "{err}"
    );
}
