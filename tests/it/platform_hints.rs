//! Where a platform can come from: every source, the order of trust, and what happens when two
//! speak.

use std::net::IpAddr;

use integration_tests::client::{Client, IMAGES_ONLY};
use integration_tests::images;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use manifest_model::{Algorithm, Choice, Manifest, Matcher, Platform, choose};

const TAG: &str = "/v2/team/app/manifests/v1";
const CRIO_AMD64: &str = "cri-o/1.36.3 go/go1.26.1 os/linux arch/amd64";

async fn everything(registry: &FakeRegistry) -> Archway {
    Setup::in_front_of_with(
        registry,
        "resolve = \"always\"\nhosts = [\"v7.mirror.example\"]",
    )
    .listener("127.0.0.1", "")
    .listener("127.0.0.2", "platform = \"linux/arm64\"")
    .table(
        "[platform]\ndefault = \"linux/arm64\"\n\
             hosts = { \"v7.mirror.example\" = \"linux/arm/v7\" }\n\
             addresses = { \"127.0.0.3/32\" = \"linux/arm/v7\" }",
    )
    .start()
    .await
}

#[tokio::test]
async fn every_source_of_the_table_is_heard() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    let url = archway.url();
    let plain = Client::new(&url);
    let address: IpAddr = "127.0.0.3".parse().expect("an address");
    let cases = [
        (
            plain.clone().with_query("platform", "linux/arm64"),
            TAG,
            "linux/arm64; source=query",
        ),
        (
            plain.clone().with("archway-platform", "linux/arm/v7"),
            TAG,
            "linux/arm/v7; source=header",
        ),
        (
            plain.clone(),
            "/platform/linux-arm-v7/v2/team/app/manifests/v1",
            "linux/arm/v7; source=path",
        ),
        (
            plain.clone(),
            "/v2/platform/linux-arm-v7/registry.test/team/app/manifests/v1",
            "linux/arm/v7; source=path",
        ),
        (
            Client::new(&archway.url_at("127.0.0.2")),
            TAG,
            "linux/arm64; source=listener",
        ),
        (
            plain.clone().with("host", "v7.mirror.example"),
            TAG,
            "linux/arm/v7; source=host",
        ),
        (
            plain.clone().with("user-agent", CRIO_AMD64),
            TAG,
            "linux/amd64; source=user-agent",
        ),
        (
            Client::from_address(&url, address),
            TAG,
            "linux/arm/v7; source=address",
        ),
        (
            plain.clone().accepting(&IMAGES_ONLY),
            TAG,
            "linux/arm64; source=default",
        ),
        (plain.clone(), TAG, ""),
    ];
    for (client, path, expected) in cases {
        assert_eq!(client.platform_said(path).await, expected);
    }
}

#[tokio::test]
async fn the_first_source_of_the_table_wins() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    let url = archway.url();
    let address: IpAddr = "127.0.0.3".parse().expect("an address");
    // An explicit source beats every implicit one, and of two implicit ones the first wins.
    let header = Client::from_address(&url, address)
        .with("user-agent", CRIO_AMD64)
        .with("archway-platform", "linux/arm64");
    assert_eq!(
        header.platform_said(TAG).await,
        "linux/arm64; source=header"
    );
    let agent = Client::from_address(&url, address).with("user-agent", CRIO_AMD64);
    assert_eq!(
        agent.platform_said(TAG).await,
        "linux/amd64; source=user-agent"
    );
}

#[tokio::test]
async fn explicit_sources_that_agree_are_named_by_the_first() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    let listener = archway.url_at("127.0.0.2");
    let both = Client::new(&listener).with("archway-platform", "linux/aarch64");
    assert_eq!(both.platform_said(TAG).await, "linux/arm64; source=header");
    let three = both.with_query("platform", "linux/arm64/v8");
    assert_eq!(three.platform_said(TAG).await, "linux/arm64; source=query");
}

#[tokio::test]
async fn explicit_sources_that_disagree_are_a_400_that_names_both() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    let (url, listener) = (archway.url(), archway.url_at("127.0.0.2"));
    let amd64 = |client: Client| client.with("archway-platform", "linux/amd64");
    let cases = [
        (
            amd64(Client::new(&url)).with_query("platform", "linux/arm64"),
            TAG,
            ["query", "header"],
        ),
        (
            amd64(Client::new(&url)),
            "/platform/linux-arm64/v2/team/app/manifests/v1",
            ["header", "path"],
        ),
        (amd64(Client::new(&listener)), TAG, ["header", "listener"]),
        (
            amd64(Client::new(&url)).with("host", "v7.mirror.example"),
            TAG,
            ["header", "host"],
        ),
        (
            Client::new(&listener).with_query("platform", "all"),
            TAG,
            ["query", "listener"],
        ),
    ];
    for (client, path, sources) in cases {
        let answer = client.get(path).await.expect(400);
        let text = answer.json().to_string();
        for source in sources {
            assert!(text.contains(source), "{source} in {text}");
        }
        assert_eq!(client.head(path).await.status, 400);
    }
}

#[tokio::test]
async fn one_source_that_speaks_twice_has_to_agree_with_itself() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    let twice = |second| {
        let first = archway.client().with("archway-platform", "linux/arm64");
        first.with("archway-platform", second)
    };
    assert_eq!(
        twice("linux/aarch64").platform_said(TAG).await,
        "linux/arm64; source=header"
    );
    twice("linux/amd64").get(TAG).await.expect(400);
}

#[tokio::test]
async fn a_platform_that_cannot_be_parsed_is_a_400() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    let plain = archway.client();
    let long = format!("linux/{}", "a".repeat(300));
    for bad in ["linux/", "linux/arm64/v8/x", "linux", "lin ux/arm64", &long] {
        let answer = plain.clone().with("archway-platform", bad).get(TAG).await;
        assert_eq!(answer.status, 400, "{bad:?}: {}", answer.text());
        answer.error_code();
    }
    plain
        .clone()
        .with_query("platform", "linux%2F")
        .get(TAG)
        .await
        .expect(400);
    plain
        .get("/platform/linux-/v2/team/app/manifests/v1")
        .await
        .expect(400);
    assert!(registry.log().all().is_empty(), "nobody was asked for that");
}

#[tokio::test]
async fn an_unparsable_user_agent_is_no_hint_and_no_error() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    for agent in [
        "buildkit/v0.23 os/linux arch/arm64",
        "docker/28 os/ arch/",
        "containerd/2.1.9",
    ] {
        let answer = archway.client().with("user-agent", agent).get(TAG).await;
        assert_eq!(answer.body, content.root().bytes, "{agent}");
    }
}

#[tokio::test]
async fn host_on_a_listener_means_this_machines_platform() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .listener("127.0.0.1", "platform = \"host\"")
        .start()
        .await;
    let answer = archway.client().get(TAG).await;
    let bytes = content.root().bytes.clone();
    let index = Manifest::parse(bytes, None, Algorithm::Sha256).expect("an index");
    match choose(index.entries(), &Matcher::new(&Platform::host())) {
        Choice::Manifest(child) => {
            let digest = answer
                .expect(200)
                .header("docker-content-digest")
                .to_owned();
            assert_eq!(digest, child.digest.to_string());
        }
        _ => {
            answer.expect(404);
        }
    }
}

#[tokio::test]
async fn the_access_log_names_platform_and_source() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = everything(&registry).await;
    let client = archway.client().with("archway-platform", "linux/arm64");
    client.get(TAG).await.expect(200);
    let line = archway
        .log()
        .request("the pull is logged", |event| event["path"] == TAG)
        .await;
    assert_eq!(line["platform"], "linux/arm64");
    assert_eq!(line["platform_source"], "header");
}

#[tokio::test]
async fn a_repository_called_like_a_platform_is_reached_by_its_upstreams_name() {
    let (full, bare) = (
        images::multi_platform("full"),
        images::multi_platform("bare"),
    );
    let registry = FakeRegistry::start().await;
    registry.push("team/app", "v1", &images::multi_platform("app"));
    registry.push("platform/linux-arm64/team/app", "v1", &full);
    registry.push("platform/arm64/team/app", "v1", &bare);
    let archway = Setup::in_front_of(&registry)
        .listener("127.0.0.1", "")
        .listener("127.0.0.2", "platform_paths = false")
        .start()
        .await;
    let client = archway.client();
    let said = async |path: &str| {
        let answer = client.get(path).await.expect(200);
        (answer.header("archway-platform").to_owned(), answer.body)
    };
    let by_namespace = client.clone().with_query("ns", "registry.test");
    let full_path = "/v2/platform/linux-arm64/team/app/manifests/v1";
    let hint = by_namespace.get(full_path).await.expect(200);
    assert_eq!(hint.header("archway-platform"), "linux/arm64; source=path");
    let bare_path = "/v2/platform/arm64/team/app/manifests/v1";
    let repository = by_namespace.get(bare_path).await.expect(200);
    assert_eq!(repository.body, bare.root().bytes);
    assert_eq!(repository.header("archway-platform"), "");
    assert_eq!(said(bare_path).await.0, "linux/arm64; source=path");
    for path in [
        "/v2/registry.test/platform/linux-arm64/team/app/manifests/v1",
        "/registry.test/v2/platform/linux-arm64/team/app/manifests/v1",
    ] {
        assert_eq!(
            said(path).await,
            (String::new(), full.root().bytes.clone()),
            "{path}"
        );
    }
    let plain = Client::new(&archway.url_at("127.0.0.2"));
    for client in [
        plain.clone(),
        plain.clone().with_query("ns", "registry.test"),
    ] {
        let repository = client.get(full_path).await.expect(200);
        assert_eq!(repository.body, full.root().bytes);
    }
    plain
        .get("/platform/linux-arm64/v2/team/app/manifests/v1")
        .await
        .expect(404);
    let header = plain.with("archway-platform", "linux/arm64");
    let hint = header.get("/v2/team/app/manifests/v1").await.expect(200);
    assert_eq!(
        hint.header("archway-platform"),
        "linux/arm64; source=header"
    );
}
