//! The nodes of a cluster name the platform of a runtime that asks from their addresses, and the platforms
//! for which images are downloaded ahead and reported on.

use std::time::{Duration, Instant};

use integration_tests::client::Client;
use integration_tests::images::{self, Content};
use integration_tests::kube_api::{KubeApi, node};
use integration_tests::proxy::{self, Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::schema;
use integration_tests::wait::eventually;
use serde_json::Value;
use tempfile::TempDir;

const TAG: &str = "/v2/team/app/manifests/v1";
const CONTAINERD: &str = "containerd/v2.4.2";

/// A cluster, a registry, and an Archway between them that believes this machine who asks.
struct Site {
    api: KubeApi,
    registry: FakeRegistry,
    content: Content,
    setup: Setup,
    _folder: TempDir,
}

impl Site {
    /// With an amd64 node at 10.0.0.1 and an arm64 node at 10.0.0.2.
    async fn new() -> Self {
        Self::with("").await
    }

    /// The same, with more lines for `[platform.kubernetes]`.
    async fn with(lines: &str) -> Self {
        let api = KubeApi::start().await;
        api.apply(node("intel", "amd64", "10.0.0.1"));
        api.apply(node("graviton", "arm64", "10.0.0.2"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("kubeconfig");
        api.write_kubeconfig(&path);
        let content = images::multi_platform("app");
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        let setup = Setup::in_front_of_with(&registry, "resolve = \"always\"")
            .listener("127.0.0.1", "")
            .table("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]")
            .table(&format!(
                "[platform.kubernetes]\nnodes = true\nkubeconfig = \"{}\"\n{lines}",
                path.display()
            ));
        Self {
            api,
            registry,
            content,
            setup,
            _folder: folder,
        }
    }

    async fn start(&self) -> Archway {
        let archway = self.setup.clone().start().await;
        knows(&archway, 2).await;
        archway
    }
}

/// Waits until the list is complete, and has so many nodes.
async fn knows(archway: &Archway, nodes: usize) {
    eventually("the nodes are known", async || {
        let report = archway.admin().get("/_archway/v1/nodes").await.json();
        let all = report["nodes"].as_array().expect("a list").len();
        (report["watched"] == true && all == nodes).then_some(())
    })
    .await;
}

/// A runtime at an address.
fn runtime(archway: &Archway, address: &str) -> Client {
    client(archway, address).with("user-agent", CONTAINERD)
}

fn client(archway: &Archway, address: &str) -> Client {
    let proxy = "127.0.0.2".parse().expect("an address");
    Client::from_address(&archway.url(), proxy).with("x-forwarded-for", address)
}

/// The platform that a runtime at an address is answered by; empty for the index.
async fn said(archway: &Archway, address: &str) -> String {
    runtime(archway, address).platform_said(TAG).await
}

/// Exit code and both outputs of a command, which is told the ports: in the config they are 0.
async fn command(archway: &Archway, arguments: &[&str]) -> (i32, String, String) {
    let (server, admin) = (archway.url(), archway.admin_url());
    let place = ["--server", &server, "--admin", &admin];
    let output = proxy::run(&[arguments, &place].concat()).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("an end of its own");
    (code, text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_same_tag_from_two_nodes_is_two_images_and_from_elsewhere_the_index() {
    let site = Site::new().await;
    let archway = site.start().await;
    for (address, platform, said_by) in [
        ("10.0.0.1", "linux/amd64", "linux/amd64; source=node"),
        ("10.0.0.2", "linux/arm64/v8", "linux/arm64; source=node"),
        (
            "::ffff:10.0.0.2",
            "linux/arm64/v8",
            "linux/arm64; source=node",
        ),
    ] {
        let answer = runtime(&archway, address).get(TAG).await.expect(200);
        assert_eq!(answer.header("archway-platform"), said_by, "{address}");
        assert_eq!(answer.body, site.content.child(platform).bytes, "{address}");
    }
    for other in ["10.0.0.3", "192.0.2.1"] {
        let answer = runtime(&archway, other).get(TAG).await.expect(200);
        assert_eq!(answer.body, site.content.root().bytes, "{other}");
    }
    // Who builds or copies on a node means any machine.
    for agent in ["buildkit/v0.25.1", "go-containerregistry", "skopeo/1.22.0"] {
        let builder = client(&archway, "10.0.0.2").with("user-agent", agent);
        assert_eq!(builder.platform_said(TAG).await, "", "{agent}");
    }
}

#[tokio::test]
async fn whoever_says_more_than_a_node_is_followed_and_explain_names_the_node() {
    let site = Site::new().await;
    let archway = site.start().await;
    let graviton = runtime(&archway, "10.0.0.2").with("archway-explain", "1");
    let answer = graviton.get(TAG).await.expect(200);
    let explained: Value = serde_json::from_str(answer.header("archway-explain")).expect("JSON");
    assert_eq!(explained["followed"]["source"], "node");
    assert_eq!(explained["followed"]["node"], "graviton");
    assert_eq!(explained["followed"]["explicit"], false);
    let header = graviton.clone().with("archway-platform", "linux/arm/v7");
    assert_eq!(
        header.platform_said(TAG).await,
        "linux/arm/v7; source=header"
    );
    let daemon = client(&archway, "10.0.0.2")
        .with("user-agent", "cri-o/1.33.2 go/go1.24.4 os/linux arch/amd64");
    assert_eq!(
        daemon.platform_said(TAG).await,
        "linux/amd64; source=user-agent"
    );
    let explain = [
        "explain",
        "--as",
        "X-Forwarded-For: 10.0.0.2",
        "--as",
        "User-Agent: containerd/2",
        "registry.test/team/app:v1",
    ];
    let (code, out, err) = command(&archway, &explain).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("node graviton  linux/arm64"), "{out}");
}

#[tokio::test]
async fn a_node_that_goes_or_changes_is_noticed_at_once_on_a_kept_connection_too() {
    let site = Site::new().await;
    let archway = site.start().await;
    // The second answer to the same bytes is a replay.
    for _ in 0..3 {
        assert_eq!(said(&archway, "10.0.0.2").await, "linux/arm64; source=node");
    }
    let kept = runtime(&archway, "10.0.0.1");
    for _ in 0..3 {
        assert_eq!(kept.platform_said(TAG).await, "linux/amd64; source=node");
    }
    let deleted = Instant::now();
    site.api.delete("intel");
    eventually("the hint is gone", async || {
        kept.platform_said(TAG).await.is_empty().then_some(())
    })
    .await;
    assert!(
        // Two seconds is the promise, which tests/cluster/nodes.py holds it to; this machine may be busy.
        deleted.elapsed() < Duration::from_secs(10),
        "{:?}",
        deleted.elapsed()
    );
    site.api.apply(node("other", "arm64", "10.0.0.1"));
    eventually("the address is another node's", async || {
        (kept.platform_said(TAG).await == "linux/arm64; source=node").then_some(())
    })
    .await;
    site.api.apply(node("graviton", "arm64", "10.0.0.9"));
    eventually("the node has moved", async || {
        let (old, new) = (
            said(&archway, "10.0.0.2").await,
            said(&archway, "10.0.0.9").await,
        );
        (old.is_empty() && new == "linux/arm64; source=node").then_some(())
    })
    .await;
}

#[tokio::test]
async fn pods_count_as_their_node_only_where_the_operator_says_so() {
    for (lines, expected) in [("", ""), ("pod_cidrs = true", "linux/arm64; source=node")] {
        let site = Site::with(lines).await;
        let mut with_pods = node("overlay", "arm64", "10.0.0.7");
        with_pods["spec"]["podCIDRs"] = serde_json::json!(["10.244.7.0/24"]);
        site.api.apply(with_pods);
        let archway = site.setup.clone().start().await;
        knows(&archway, 3).await;
        assert_eq!(said(&archway, "10.244.7.1").await, expected);
        assert_eq!(said(&archway, "10.0.0.7").await, "linux/arm64; source=node");
    }
}

#[tokio::test]
async fn the_selector_is_the_apis_to_follow() {
    let site = Site::with("label_selector = \"pool=builders\"").await;
    let _archway = site.start().await;
    let entries = site.api.log().all();
    let selects = |query: &str| query.contains("labelSelector=pool%3Dbuilders");
    assert!(entries.iter().all(|entry| selects(entry.query())));
    assert_eq!(entries[0].header("authorization"), "Bearer a-token");
}

#[tokio::test]
async fn without_the_key_no_cluster_is_asked() {
    let site = Site::new().await;
    let archway = Setup::in_front_of_with(&site.registry, "resolve = \"always\"")
        .start()
        .await;
    archway.client().get(TAG).await.expect(200);
    let report = archway.admin().get("/_archway/v1/nodes").await.json();
    assert_eq!(report["on"], false);
    assert!(site.api.log().all().is_empty());
}

#[tokio::test]
async fn a_new_platform_of_nodes_has_its_images_before_its_first_pull() {
    let site = Site::new().await;
    site.api.delete("graviton");
    let setup = site
        .setup
        .clone()
        .prefetch("mode = \"learned\"\nnodes = true");
    let archway = setup.start().await;
    knows(&archway, 1).await;
    let intel = runtime(&archway, "10.0.0.1");
    pull(&archway, &intel, &site.content, "linux/amd64").await;
    assert!(!archway.has_stored(&layer_of(&site.content, "linux/arm64/v8")));
    site.api.apply(node("graviton", "arm64", "10.0.0.2"));
    archway
        .stores(&site.content.child("linux/arm64/v8").digest)
        .await;
    archway
        .stores(&layer_of(&site.content, "linux/arm64/v8"))
        .await;
    assert!(
        !archway.has_stored(&layer_of(&site.content, "linux/arm/v7")),
        "no node has it"
    );
    // From now on with every new image.
    let second = images::multi_platform("second");
    site.registry.push("team/app", "v2", &second);
    let tag = "/v2/team/app/manifests/v2";
    intel.get(tag).await.expect(200);
    archway.stores(&layer_of(&second, "linux/arm64/v8")).await;
    assert!(!archway.has_stored(&layer_of(&second, "linux/arm/v7")));
}

/// Pulls an image as a runtime does.
async fn pull(archway: &Archway, client: &Client, content: &Content, platform: &str) {
    client.get(TAG).await.expect(200);
    let child = content.child(platform);
    client
        .manifest("team/app", &child.digest.to_string())
        .await
        .expect(200);
    for digest in blobs_of(content, platform) {
        client
            .blob("team/app", &digest.to_string())
            .await
            .expect(200);
        archway.stores(&digest).await;
    }
}

fn blobs_of(content: &Content, platform: &str) -> Vec<manifest_model::Digest> {
    let manifest: Value = serde_json::from_slice(&content.child(platform).bytes).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let digest = |blob: &Value| {
        blob["digest"]
            .as_str()
            .expect("a digest")
            .parse()
            .expect("one")
    };
    layers.chain([&manifest["config"]]).map(digest).collect()
}

fn layer_of(content: &Content, platform: &str) -> manifest_model::Digest {
    blobs_of(content, platform)[0]
}

#[tokio::test]
async fn the_report_takes_the_platforms_of_the_nodes() {
    let site = Site::new().await;
    let archway = site.start().await;
    runtime(&archway, "10.0.0.1").get(TAG).await.expect(200);
    let (code, out, err) = command(&archway, &["report", "--need", "nodes", "--check"]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.starts_with("0 of 1 images lack one of linux/amd64, linux/arm64\n"),
        "{out}"
    );
    // Whether a node has ever asked is known.
    let report = archway.admin().get("/_archway/v1/nodes").await.json();
    assert_eq!(report["nodes"][1]["name"], "intel");
    schema::check("nodes", &report);
    assert!(report["nodes"][1]["last_pull"].is_string(), "{report}");
    assert!(report["nodes"][0]["last_pull"].is_null(), "{report}");
    let metrics = archway.admin().get("/metrics").await.text();
    for line in [
        "archway_nodes{os=\"linux\",arch=\"amd64\"} 1",
        "archway_nodes{os=\"linux\",arch=\"arm64\"} 1",
        "archway_node_watch_up 1",
        "archway_node_hints_total{result=\"node\"} 1",
        "archway_nodes_silent 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let plain = Setup::in_front_of(&site.registry).start().await;
    let (code, _, err) = command(&plain, &["report", "--need", "nodes"]).await;
    assert_eq!(code, 1);
    assert!(
        err.contains("set nodes = true in [platform.kubernetes]"),
        "{err}"
    );
}
