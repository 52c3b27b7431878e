//! What is here for each platform: shown by the admin listener and the commands, exact to the byte.

use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::{self, Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use serde_json::Value;

const NAME: &str = "registry.test/team/app:v1";

async fn with(content: &Content) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::with("team/app", "v1", content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway)
}

async fn command(archway: &Archway, arguments: &[&str]) -> (i32, String) {
    let (server, admin) = (archway.url(), archway.admin_url());
    let place = ["--server", &server, "--admin", &admin];
    let output = proxy::run(&[arguments, &place].concat()).await;
    let text = String::from_utf8(output.stdout).expect("text");
    (output.status.code().expect("an end of its own"), text)
}

async fn listing(archway: &Archway, query: &str) -> Value {
    let path = format!("/_archway/v1/images{query}");
    archway.admin().get(&path).await.expect(200).json()
}

/// Platform and state of each image, in the order of the index.
fn states(image: &Value) -> Vec<(&str, &str)> {
    let parts = image["parts"].as_array().expect("parts").iter();
    let word = |value: &'static str| value;
    parts
        .map(|part| {
            let platform = part["platform"].as_str();
            (
                platform.unwrap_or(word("-")),
                part["state"].as_str().expect("a state"),
            )
        })
        .collect()
}

/// Pulls the image for one platform as containerd does.
async fn pull(archway: &Archway, repository: &str, content: &Content, platform: &str) {
    let client = archway.client();
    client.manifest(repository, "v1").await.expect(200);
    let child = content.child(platform);
    let manifest = client
        .manifest(repository, &child.digest.to_string())
        .await
        .expect(200)
        .json();
    let layers = manifest["layers"].as_array().expect("layers").iter();
    for blob in layers.chain([&manifest["config"]]) {
        let digest = blob["digest"].as_str().expect("a digest");
        client.blob(repository, digest).await.expect(200);
        archway.stores(&digest.parse().expect("a digest")).await;
    }
}

#[tokio::test]
async fn each_platform_is_cached_partial_or_absent() {
    let content = images::multi_platform("app");
    let (registry, archway) = with(&content).await;
    pull(&archway, "team/app", &content, "linux/amd64").await;
    let arm64 = content.child("linux/arm64/v8");
    let client = archway.client();
    client
        .manifest("team/app", &arm64.digest.to_string())
        .await
        .expect(200);
    let asked = registry.log().all().len();
    let all = listing(&archway, "").await;
    let image = &all["images"][0];
    assert_eq!(
        (image["repository"].as_str(), image["tag"].as_str()),
        (Some("team/app"), Some("v1"))
    );
    assert_eq!(
        states(image),
        [
            ("linux/amd64", "cached"),
            ("linux/arm64", "partial"),
            ("linux/arm/v7", "absent")
        ]
    );
    let part = &image["parts"][1];
    let own = arm64.bytes.len() as u64;
    assert_eq!(part["stored"], own);
    let config = arm64_config(&content);
    assert_eq!(
        part["size"],
        own + config + 12_000,
        "its config and two layers"
    );
    assert_eq!(image["parts"][2]["size"], Value::Null);
    assert_eq!(
        registry.log().all().len(),
        asked,
        "nobody upstream was asked"
    );
}

fn arm64_config(content: &Content) -> u64 {
    let manifest: Value =
        serde_json::from_slice(&content.child("linux/arm64/v8").bytes).expect("JSON");
    manifest["config"]["size"].as_u64().expect("a size")
}

#[tokio::test]
async fn attestations_are_told_from_images() {
    let content = images::attested("app");
    let (_registry, archway) = with(&content).await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    let all = listing(&archway, &format!("?name={NAME}")).await;
    let parts = all["images"][0]["parts"].as_array().expect("parts").clone();
    let about: Vec<_> = parts.iter().map(|part| part["attests"].as_str()).collect();
    let digest = |platform| content.child(platform).digest.to_string();
    let (amd64, arm64) = (digest("linux/amd64"), digest("linux/arm64/v8"));
    assert_eq!(
        about,
        [None, Some(amd64.as_str()), None, Some(arm64.as_str())]
    );
}

#[tokio::test]
async fn ready_is_zero_only_when_the_platform_is_whole() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content).await;
    let gate = async |platform: &str| {
        let (code, out) = command(&archway, &["ready", NAME, "--platform", platform]).await;
        (code, out)
    };
    assert_eq!(
        gate("linux/amd64").await,
        (1, format!("{NAME} is not cached\n"))
    );
    pull(&archway, "team/app", &content, "linux/amd64").await;
    assert_eq!(gate("linux/amd64").await.0, 0);
    let (code, out) = gate("linux/arm64").await;
    assert_eq!(
        (code, out.contains("not cached for linux/arm64")),
        (1, true),
        "{out}"
    );
    let (code, out) = gate("linux/amd64/v3").await;
    assert_eq!(code, 1, "what v3 could run as well does not count: {out}");
}

#[tokio::test]
async fn inspect_shows_what_is_cached_of_each_platform() {
    let content = images::attested("app");
    let (registry, archway) = with(&content).await;
    pull(&archway, "team/app", &content, "linux/amd64").await;
    let (code, out) = command(&archway, &["inspect", NAME]).await;
    assert_eq!(code, 0, "{out}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], NAME);
    let title = |line: &&str| line.starts_with("PLATFORM");
    // Above it is the age of the tag.
    let title = lines.iter().position(title).expect("a table");
    let is = |row: usize, platform, state| {
        let mut words = lines[title + row].split_whitespace();
        (words.next(), words.last()) == (Some(platform), Some(state))
    };
    assert!(is(1, "linux/amd64", "cached"), "{out}");
    assert!(is(2, "attestation", "absent"), "{out}");
    assert!(is(3, "linux/arm64", "absent"), "{out}");
    let direct = [
        "inspect", "--direct", "-o", "json", NAME, "--config", "CONFIG",
    ];
    let output = Setup::in_front_of(&registry).run(&direct).await;
    let straight: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(straight["digest"], content.root().digest.to_string());
    assert!(straight["parts"][2]["size"].as_u64().expect("a size") > 12_000);
    assert_eq!(straight["parts"][2]["state"], Value::Null);
}

#[tokio::test]
async fn inspect_shows_the_index_where_the_listener_hands_out_children() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry)
        .listener("127.0.0.1", "platform = \"linux/arm64\"")
        .start()
        .await;
    let (_, out) = command(&archway, &["inspect", NAME]).await;
    assert!(out.contains(&content.root().digest.to_string()), "{out}");
}

#[tokio::test]
async fn a_signature_is_listed_with_its_image() {
    let content = images::multi_platform("app");
    let (registry, archway) = with(&content).await;
    let tag = format!("sha256-{}.sig", content.root().digest.hex());
    registry.push(
        "team/app",
        &tag,
        &images::single("sig", "linux/amd64", Flavor::Oci),
    );
    let client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
    client.manifest("team/app", tag.as_str()).await.expect(200);
    let all = listing(&archway, "").await;
    let images = all["images"].as_array().expect("images");
    assert_eq!(images.len(), 1);
    assert_eq!(images[0]["attached"][0]["tag"], tag);
    assert_eq!(images[0]["attached"][0]["state"], "partial");
}

#[tokio::test]
async fn the_metrics_count_images_per_platform() {
    let content = images::multi_platform("app");
    let (_registry, archway) = with(&content).await;
    pull(&archway, "team/app", &content, "linux/amd64").await;
    let archway = archway.restart().await;
    let metrics = eventually("the images are counted", async || {
        let text = archway.admin().get("/metrics").await.text();
        text.contains("archway_images{").then_some(text)
    })
    .await;
    for line in [
        r#"archway_images{platform="linux/amd64",state="cached"} 1"#,
        r#"archway_images{platform="linux/arm64",state="absent"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

/// Thirty images pulled through Archway; those whose number divides by three are for amd64 alone.
async fn thirty() -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::start().await;
    for number in 0..30 {
        let name = format!("app{number:02}");
        let content = match number % 6 {
            0 => images::single(&name, "linux/amd64", Flavor::Oci),
            3 => images::index_of(&name, &["linux/amd64", "linux/arm/v7"], Flavor::Oci),
            _ => images::multi_platform(&name),
        };
        registry.push(&name, "v1", &content);
    }
    let archway = Setup::new().upstream(UPSTREAM, &registry).start().await;
    for number in 0..30 {
        let repository = format!("{UPSTREAM}/app{number:02}");
        let manifest = archway
            .client()
            .manifest(&repository, "v1")
            .await
            .expect(200)
            .json();
        if let Some(digest) = manifest["config"]["digest"].as_str() {
            archway.client().blob(&repository, digest).await.expect(200);
        }
    }
    (registry, archway)
}

#[tokio::test]
async fn the_report_finds_exactly_the_images_that_lack_a_platform() {
    let (_registry, archway) = thirty().await;
    let ask = ["report", "--need", "linux/amd64,linux/arm64"];
    let (code, out) = command(&archway, &[&ask[..], &["-o", "json"]].concat()).await;
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let lacking = report["lacking"].as_array().expect("a list").iter();
    let found: Vec<_> = lacking
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect();
    let expected: Vec<_> = (0..30)
        .step_by(3)
        .map(|number| format!("{UPSTREAM}/app{number:02}:v1"))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(
        report["lacking"][0]["lacks"],
        serde_json::json!(["linux/arm64"])
    );
    assert_eq!(report["unknown"], serde_json::json!([]));
    let (_, text) = command(&archway, &ask).await;
    assert!(text.starts_with("10 of 30 images lack one of"), "{text}");
    let (_, markdown) = command(&archway, &[&ask[..], &["-o", "markdown"]].concat()).await;
    assert!(
        markdown.contains("| IMAGE | LACKS | HAS |\n| --- | --- | --- |\n"),
        "{markdown}"
    );
}

#[tokio::test]
async fn images_come_in_pages_and_by_filter() {
    let (_registry, archway) = thirty().await;
    let mut seen = 0;
    let mut after = String::new();
    let pages = loop {
        let page = listing(&archway, &format!("?limit=7{after}")).await;
        seen += page["images"].as_array().expect("a list").len();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break seen,
        }
    };
    assert_eq!(pages, 30);
    let some = listing(&archway, &format!("?filter={UPSTREAM}/app1*")).await;
    assert_eq!(some["images"].as_array().expect("a list").len(), 10);
    let whole = listing(&archway, "?missing=linux/amd64").await;
    assert_eq!(
        whole["images"].as_array().expect("a list").len(),
        30,
        "no layer was pulled"
    );
    let (code, out) = command(
        &archway,
        &[
            "images",
            "--platform",
            "linux/arm64",
            "--missing",
            "*app00*",
        ],
    )
    .await;
    assert_eq!(code, 0);
    assert!(out.contains("app00:v1  linux/arm64  not offered"), "{out}");
    archway
        .admin()
        .get("/_archway/v1/images?missing=linux")
        .await
        .expect(400);
}
