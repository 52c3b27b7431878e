//! An API that is away, refuses, hangs, lies or floods, and a cluster that is odd or large: Archway starts
//! and serves as if there were none, says what is wrong, and keeps the last list.

use integration_tests::client::Client;
use integration_tests::kube_api::{KubeApi, Mood, node, stout_node};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use tempfile::TempDir;

const TAG: &str = "/v2/team/app/manifests/v1";
const ARM64: &str = "linux/arm64; source=node";

struct Site {
    api: KubeApi,
    setup: Setup,
    _registry: FakeRegistry,
    _folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        let api = KubeApi::start().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("kubeconfig");
        api.write_kubeconfig(&path);
        let (registry, _) = FakeRegistry::with_app().await;
        let setup = Setup::in_front_of_with(&registry, "resolve = \"always\"")
            .table("[server]\ntrusted_proxies = [\"127.0.0.2/32\"]")
            .table(&format!(
                "[platform.kubernetes]\nnodes = true\nkubeconfig = \"{}\"",
                path.display()
            ));
        Self {
            api,
            setup,
            _registry: registry,
            _folder: folder,
        }
    }

    async fn start(&self) -> Archway {
        self.setup.clone().start().await
    }
}

async fn said(archway: &Archway, address: &str) -> String {
    let proxy = "127.0.0.2".parse().expect("an address");
    let client = Client::from_address(&archway.url(), proxy)
        .with("x-forwarded-for", address)
        .with("user-agent", "containerd/v2.4.2");
    client.platform_said(TAG).await
}

async fn hint_becomes(archway: &Archway, address: &str, expected: &str) {
    eventually("the hint is what it should be", async || {
        (said(archway, address).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whatever_the_api_does_archway_starts_serves_says_so_and_recovers() {
    for (mood, complaint) in [
        (
            Mood::Forbids,
            Some("needs a ClusterRole with the verbs list and watch for nodes"),
        ),
        (Mood::Babbles, Some("does not answer as it should")),
        (Mood::Floods, Some("does not answer as it should")),
        (Mood::Forgets, Some("too old resource version")),
        // These are told after half a minute.
        (Mood::Hangs, None),
        (Mood::NeverEnds, None),
    ] {
        let site = Site::new().await;
        site.api.apply(node("graviton", "arm64", "10.0.0.2"));
        site.api.set_mood(mood);
        let archway = site.start().await;
        within("requests are answered", archway.client().get(TAG))
            .await
            .expect(200);
        let Some(complaint) = complaint else { continue };
        archway.log().says(complaint).await;
        assert_eq!(
            archway.log().text().matches("cannot be followed").count(),
            1,
            "{mood:?}: told once"
        );
        site.api.set_mood(Mood::Fair);
        hint_becomes(&archway, "10.0.0.2", ARM64).await;
    }
}

#[tokio::test]
async fn a_list_that_was_had_outlives_its_api_and_comes_back_with_the_news() {
    let site = Site::new().await;
    site.api.apply(node("graviton", "arm64", "10.0.0.2"));
    let archway = site.start().await;
    hint_becomes(&archway, "10.0.0.2", ARM64).await;
    site.api.server().close().await;
    archway.log().says("the last list stays").await;
    assert_eq!(archway.metric("archway_node_watch_up").await, Some(0));
    assert_eq!(said(&archway, "10.0.0.2").await, ARM64);
    site.api.delete("graviton");
    site.api.apply(node("late", "amd64", "10.0.0.3"));
    assert_eq!(
        said(&archway, "10.0.0.2").await,
        ARM64,
        "the last list stays"
    );
    site.api.server().reopen().await;
    hint_becomes(&archway, "10.0.0.3", "linux/amd64; source=node").await;
    assert_eq!(said(&archway, "10.0.0.2").await, "");
    assert_eq!(archway.metric("archway_node_watch_up").await, Some(1));
}

#[tokio::test]
async fn two_nodes_with_one_address_are_told_of_and_give_no_hint() {
    let site = Site::new().await;
    site.api.apply(node("graviton", "arm64", "10.0.0.2"));
    let archway = site.start().await;
    hint_becomes(&archway, "10.0.0.2", ARM64).await;
    site.api.apply(node("impostor", "amd64", "10.0.0.2"));
    hint_becomes(&archway, "10.0.0.2", "").await;
    archway.log().says("two nodes have one address").await;
    site.api.delete("impostor");
    hint_becomes(&archway, "10.0.0.2", ARM64).await;
}

#[tokio::test]
async fn a_kubeconfig_that_is_missing_is_named_and_found_when_it_comes() {
    let site = Site::new().await;
    site.api.apply(node("graviton", "arm64", "10.0.0.2"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("later");
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of_with(&registry, "resolve = \"always\"")
        .table("[server]\ntrusted_proxies = [\"127.0.0.2/32\"]")
        .table(&format!(
            "[platform.kubernetes]\nnodes = true\nkubeconfig = \"{}\"",
            path.display()
        ))
        .start()
        .await;
    archway
        .log()
        .says(&format!("the kubeconfig {} cannot be used", path.display()))
        .await;
    site.api.write_kubeconfig(&path);
    hint_becomes(&archway, "10.0.0.2", ARM64).await;
}

/// Anonymous memory of a process, in bytes.
fn memory(archway: &Archway) -> u64 {
    let path = format!("/proc/{}/status", archway.pid());
    let status = std::fs::read_to_string(path).expect("a running process");
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .expect("the line");
    let kibibytes = line.split_whitespace().nth(1).expect("a number");
    kibibytes.parse::<u64>().expect("a number") * 1024
}

#[tokio::test]
async fn five_thousand_nodes_delay_no_start_and_cost_little_memory() {
    const NODES: u32 = 5_000;
    let site = Site::new().await;
    for at in 0..NODES {
        let (high, low) = (at / 250, at % 250 + 1);
        let architecture = if at % 2 == 0 { "amd64" } else { "arm64" };
        site.api.apply(stout_node(
            &format!("node-{at}"),
            architecture,
            &format!("10.1.{high}.{low}"),
        ));
    }
    site.api.server().close().await;
    // It starts without an answer of the API.
    let archway = site.start().await;
    within("requests are answered", archway.client().get(TAG))
        .await
        .expect(200);
    said(&archway, "10.1.0.1").await;
    let before = memory(&archway);
    site.api.server().reopen().await;
    let mut peak = before;
    eventually("the nodes are known", async || {
        peak = peak.max(memory(&archway));
        (archway.metric("archway_node_watch_up").await == Some(1)).then_some(())
    })
    .await;
    peak = peak.max(memory(&archway));
    assert_eq!(said(&archway, "10.1.0.2").await, ARM64);
    assert_eq!(site.api.lists(), 50, "pages of a hundred");
    let grown = peak - before;
    // A debug build on a busy machine; tests/cluster/nodes.py holds a release to a third of it.
    assert!(grown < 30_000_000, "{grown} bytes");
}
