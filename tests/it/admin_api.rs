//! What the admin API tells of a running Archway agrees with what happened, costs no upstream a
//! request, and changes nothing.

use std::process::Stdio;

use http::Method;
use integration_tests::client::{Answer, Download, End, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{self, Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const MIB: u64 = 1 << 20;
const NAME: &str = "registry.test/team/app:v1";

async fn answer(archway: &Archway, route: &str) -> Answer {
    archway.admin().get(&format!("/_archway/v1/{route}")).await
}

async fn told(archway: &Archway, route: &str) -> Value {
    answer(archway, route).await.expect(200).json()
}

async fn stream(archway: &Archway, topics: &str) -> Download {
    let path = format!("/_archway/v1/stream?topics={topics}");
    archway.admin().open(Method::GET, &path).await
}

/// The JSON of the first frame of `topic` in what a stream has sent.
fn frame(text: &str, topic: &str) -> Value {
    let (_, rest) = text
        .split_once(&format!("event: {topic}\ndata: "))
        .unwrap_or_else(|| panic!("no {topic} in {text}"));
    let data = rest.lines().next().unwrap_or_default();
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error} in {data}"))
}

/// A download of the blob, whose bytes are damaged on the way.
async fn pull_damaged(registry: &FakeRegistry, archway: &Archway, blob: &Blob) {
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::FlipBit(1000));
    let path = blob_path("team/app", blob.digest());
    let client = archway.client();
    client.open(Method::GET, &path).await.drain().await;
}

#[tokio::test]
async fn a_download_says_which_image_and_platform_it_is_for() {
    let blob = Blob::from(BigBlob::new("layer", 2 * MIB));
    let content = images::index_of_blobs(&[("linux/arm64", std::slice::from_ref(&blob))]);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
    let child = content.child("linux/arm64").digest;
    client.manifest("team/app", child).await.expect(200);
    let gate = registry.faults().hold_body(On::path("/blobs/"), MIB);
    let path = blob_path("team/app", blob.digest());
    let reader = client.open(Method::GET, &path).await;
    let fill = eventually("the image of the download is found", async || {
        let fills = told(&archway, "fills").await;
        let fill = fills["running"].get(0)?.clone();
        fill["image"].is_string().then_some(fill)
    })
    .await;
    assert_eq!(fill["image"], NAME, "{fill}");
    assert_eq!(fill["platform"], "linux/arm64", "{fill}");
    let mut stream = stream(&archway, "fills,overview").await;
    let text = stream.text_until("event: overview").await;
    assert_eq!(frame(&text, "fills")["running"][0]["image"], NAME, "{text}");
    gate.open();
    let end = within("the reader has it", reader.finish(&blob)).await;
    assert_eq!(end, End::Complete(2 * MIB));
    let text = stream.text_until("\"end\":\"stored\"").await;
    assert!(text.contains("event: fills"), "{text}");
}

#[tokio::test]
async fn a_dry_run_says_what_a_real_request_gets_and_asks_nobody() {
    let content = images::attested("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let unknown = told(&archway, &format!("explain?name={NAME}")).await;
    assert!(unknown["status"].is_null(), "{unknown}");
    assert!(unknown["problem"].is_string(), "{unknown}");
    assert_eq!(registry.log().all().len(), 0, "nobody was asked");
    let client = archway.client().with("archway-platform", "linux/arm64");
    client.pull("team/app", "v1").await;
    let calls = registry.log().all().len();
    let asked = "header=Archway-Platform:%20linux/arm64";
    let foretold = told(&archway, &format!("explain?name={NAME}&{asked}")).await;
    let real = client.with("archway-explain", "1");
    let real = real.manifest("team/app", "v1").await.expect(200);
    let explained: Value = serde_json::from_str(real.header("archway-explain")).expect("JSON");
    assert_eq!(foretold["status"], 200, "{foretold}");
    assert_eq!(
        foretold["answer"]["digest"],
        real.header("docker-content-digest"),
        "{foretold}"
    );
    for field in ["answer", "chosen", "mode", "followed", "said", "entries"] {
        assert_eq!(foretold["explanation"][field], explained[field], "{field}");
    }
    let none = told(
        &archway,
        &format!("explain?name={NAME}&header=Archway-Platform:%20linux/s390x"),
    )
    .await;
    assert_eq!(none["status"], 404, "{none}");
    assert_eq!(registry.log().all().len(), calls, "nobody was asked");
    answer(&archway, "explain").await.expect(400);
    answer(&archway, "explain?name=a&address=home")
        .await
        .expect(400);
}

#[tokio::test]
async fn an_image_is_told_with_all_that_it_consists_of() {
    let content = images::attested("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    registry.push("team/app", "same", &content);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().manifest("team/app", "same").await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let image = told(&archway, &format!("images/{NAME}")).await;
    assert_eq!(
        image["image"]["digest"],
        content.root().digest.to_string(),
        "{image}"
    );
    let others = ["registry.test/team/app:same"].map(Value::from).to_vec();
    assert_eq!(image["same_digest"], Value::from(others), "{image}");
    let manifests = image["manifests"].as_array().expect("a list");
    assert!(manifests.len() > 1, "{image}");
    let links = manifests[1]["links"].as_array().expect("a list");
    assert!(links.iter().any(|link| link["role"] == "config"), "{image}");
    answer(&archway, "images/registry.test/team/app:none")
        .await
        .expect(404);
}

#[tokio::test]
async fn what_the_disk_is_used_for_adds_up() {
    let content = images::attested("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let used = eventually("the disk is counted", async || {
        let used = told(&archway, "cache").await;
        used["counted"].is_string().then_some(used)
    })
    .await;
    let stored = used["disk"]["bytes"].as_u64().expect("a number");
    let on_disk: u64 = archway.files("blobs").iter().map(|(_, size)| size).sum();
    assert_eq!(stored, on_disk, "{used}");
    for division in ["kinds", "classes", "upstreams", "repositories"] {
        let shares = used[division].as_array().expect("a list");
        let sum: u64 = shares
            .iter()
            .filter_map(|share| share["bytes"].as_u64())
            .sum();
        assert_eq!(sum, stored, "{division}: {used}");
    }
    assert_eq!(used["upstreams"][0]["name"], UPSTREAM, "{used}");
}

#[tokio::test]
async fn what_goes_wrong_is_an_event_and_a_sentence() {
    let blob = Blob::from(BigBlob::new("wrong", MIB));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let well = told(&archway, "overview").await;
    assert_eq!(well["sentence"], "Well.", "{well}");
    let before = told(&archway, "events").await["last"].clone();
    pull_damaged(&registry, &archway, &blob).await;
    let event = eventually("the failure is an event", async || {
        let events = told(&archway, &format!("events?since={before}")).await;
        let mut events = events["events"].as_array().expect("a list").iter();
        events
            .find(|event| event["message"] == "a download failed")
            .cloned()
    })
    .await;
    assert_eq!(event["level"], "warn", "{event}");
    assert_eq!(event["part"], "pull", "{event}");
    assert_eq!(event["fields"]["upstream"], UPSTREAM, "{event}");
    assert_eq!(event["fields"]["digest"], blob.digest().to_string());
    let overview = eventually("the overview says so", async || {
        let overview = told(&archway, "overview").await;
        let first = &overview["troubles"][0]["kind"];
        (first == "integrity_failure").then_some(overview)
    })
    .await;
    assert!(overview["sentence"] != "Well.", "{overview}");
    let mut stream = stream(&archway, "events").await;
    let text = stream.text_until("a download failed").await;
    assert!(frame(&text, "events")["last"].is_u64(), "{text}");
}

#[tokio::test]
async fn the_command_line_follows_what_happens() {
    let blob = Blob::from(BigBlob::new("wrong", MIB));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let mut command = Command::new(proxy::binary())
        .args(["events", "-o", "json", "--admin", &archway.admin_url()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(command.stdout.take().expect("a pipe")).lines();
    pull_damaged(&registry, &archway, &blob).await;
    within("the failure is told", async {
        while let Some(line) = lines.next_line().await.expect("a line") {
            let event: Value = serde_json::from_str(&line).expect("an event");
            if event["message"] == "a download failed" {
                return;
            }
        }
        panic!("the command has ended");
    })
    .await;
    let output = proxy::run(&["events", "--no-follow", "--admin", &archway.admin_url()]).await;
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("WARN  pull: a download failed"), "{text}");
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_trouble_with_its_cause() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    registry.close().await;
    archway.client().manifest("team/app", "v1").await;
    let overview = eventually("the upstream is said to be down", async || {
        let overview = told(&archway, "overview").await;
        let first = &overview["troubles"][0]["kind"];
        (first == "upstream_down").then_some(overview)
    })
    .await;
    let trouble = &overview["troubles"][0];
    assert_eq!(trouble["of"], UPSTREAM, "{overview}");
    assert!(trouble["cause"].is_string(), "{overview}");
    assert_eq!(overview["upstreams_in_trouble"][0], UPSTREAM, "{overview}");
}

#[tokio::test]
async fn so_many_may_look_on_and_a_seat_comes_free_when_one_leaves() {
    const MAX_VIEWERS: usize = 32;
    let archway = Setup::new().start().await;
    let mut viewers = Vec::new();
    for _ in 0..MAX_VIEWERS {
        let mut viewer = stream(&archway, "overview").await;
        assert_eq!(viewer.headers()["content-type"], "text/event-stream");
        viewer.text_until("event: overview").await;
        viewers.push(viewer);
    }
    assert_eq!(stream(&archway, "overview").await.status(), 503);
    viewers.pop();
    eventually("the seat of a viewer who left is free", async || {
        let viewer = stream(&archway, "overview").await;
        (viewer.status() == 200).then_some(())
    })
    .await;
    for wrong in ["stream?topics=weather", "stream?color=red"] {
        answer(&archway, wrong).await.expect(400);
    }
}

#[tokio::test]
async fn a_secret_of_the_configuration_is_not_told() {
    let registry = FakeRegistry::start().await;
    let auth = "auth = { username = \"robot\", password_env = \"ROBOT_PASSWORD\" }";
    let archway = Setup::in_front_of_with(&registry, auth)
        .env("ROBOT_PASSWORD", "never-told")
        .start()
        .await;
    let config = answer(&archway, "config").await.expect(200);
    assert!(
        config.text().contains("ROBOT_PASSWORD"),
        "{}",
        config.text()
    );
    assert!(!config.text().contains("never-told"), "{}", config.text());
    let upstreams = answer(&archway, "upstreams").await.expect(200);
    assert!(!upstreams.text().contains("never-told"));
}

#[tokio::test]
async fn the_report_names_the_images_that_lack_a_platform() {
    let registry = FakeRegistry::with("team/app", "v1", &images::attested("app")).await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/app", "v1").await;
    let report = told(&archway, "report?need=linux/amd64,linux/s390x").await;
    assert_eq!(report["checked"], 1, "{report}");
    assert_eq!(report["lacking"][0]["name"], NAME, "{report}");
    assert_eq!(report["lacking"][0]["lacks"][0], "linux/s390x", "{report}");
    answer(&archway, "report").await.expect(400);
    answer(&archway, "report?need=many").await.expect(400);
}
