//! Who is believed about a client: proxies only where they are trusted, User-Agents only of daemons
//! that pull for themselves; and what a repository's own rule changes.

use std::net::IpAddr;

use integration_tests::client::{Client, IMAGES_ONLY, raw};
use integration_tests::images;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;

const TAG: &str = "/v2/team/app/manifests/v1";
const DOCKERD: &str = "docker/28.5.2 go/go1.24.9 git-commit/f8215cc kernel/6.1.0 os/linux arch/arm64 \
                       UpstreamClient(Docker-Client/28.2.2 \\(linux\\))";
const DOCKERD_STORE: &str = "docker/28.5.2 go/go1.24.9 git-commit/f8215cc kernel/6.1.0 \
                             containerd-client/2.1.9+unknown storage-driver/overlayfs os/linux arch/arm64 \
                             UpstreamClient(Docker-Client/28.2.2 \\(linux\\))";

/// The twelve clients and their User-Agents; true where the machine's platform is told and taken.
const CLIENTS: [(&str, &str, bool); 12] = [
    ("dockerd, classic store", DOCKERD, true),
    ("dockerd, containerd store", DOCKERD_STORE, true),
    (
        "CRI-O",
        "cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64",
        true,
    ),
    ("containerd", "containerd/1.7.24", false),
    ("BuildKit", "buildkit/v0.25.1", false),
    (
        "podman",
        "containers/5.39.2 (github.com/containers/image)",
        false,
    ),
    ("skopeo", "skopeo/1.22.0", false),
    ("buildah", "Buildah/1.28.2", false),
    ("crane and kaniko", "go-containerregistry", false),
    ("oras", "oras/1.3.3", false),
    ("helm and flux", "flux/v2/helm/v4/oras/v2", false),
    ("regclient", "regclient/regctl (v0.9.2)", false),
];

/// Believes proxies at 127.0.0.2 and takes clients of 192.0.2.0/24 for arm/v7 and those of
/// 198.51.100.0/24 for nothing.
async fn behind_proxies(registry: &FakeRegistry, listener: &str) -> Archway {
    Setup::in_front_of_with(registry, "resolve = \"always\"")
        .listener("127.0.0.1", listener)
        .table("[server]\ntrusted_proxies = [\"127.0.0.2/32\"]")
        .table(
            "[platform]\naddresses = { \"192.0.2.0/24\" = \"linux/arm/v7\", \"198.51.100.0/24\" = \"all\" }",
        )
        .start()
        .await
}

#[tokio::test]
async fn of_twelve_clients_three_tell_their_platform_and_the_others_get_the_index() {
    let (registry, content) = FakeRegistry::with_app().await;
    let lines = "resolve = \"always\"\nplatform = \"linux/arm/v7\"";
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    for (name, agent, tells) in CLIENTS {
        let client = archway.client().with("user-agent", agent);
        let answer = client.get(TAG).await.expect(200);
        let expected = if tells {
            content.child("linux/arm64/v8")
        } else {
            content.root()
        };
        assert_eq!(answer.body, expected.bytes, "{name}");
        let old = client.accepting(&IMAGES_ONLY);
        let source = if tells {
            "linux/arm64; source=user-agent"
        } else {
            "linux/arm/v7; source=default"
        };
        assert_eq!(old.platform_said(TAG).await, source, "{name}");
    }
}

#[tokio::test]
async fn a_forwarded_address_counts_from_trusted_proxies_alone() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = behind_proxies(&registry, "").await;
    let from = |ip: &str, forwarded: &str| {
        let ip: IpAddr = ip.parse().expect("an address");
        Client::from_address(&archway.url(), ip).with("x-forwarded-for", forwarded)
    };
    assert_eq!(
        from("127.0.0.2", "192.0.2.7").platform_said(TAG).await,
        "linux/arm/v7; source=address"
    );
    assert_eq!(from("127.0.0.3", "192.0.2.7").platform_said(TAG).await, "");
    let forged = from("127.0.0.2", "192.0.2.7, 203.0.113.5");
    assert_eq!(forged.platform_said(TAG).await, "", "the last hop counts");
}

#[tokio::test]
async fn all_in_the_address_table_is_the_index_for_a_client_that_takes_none_too() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = behind_proxies(&registry, "").await;
    let ip: IpAddr = "127.0.0.2".parse().expect("an address");
    let client = Client::from_address(&archway.url(), ip)
        .with("x-forwarded-for", "198.51.100.1")
        .accepting(&IMAGES_ONLY);
    assert_eq!(client.get(TAG).await.expect(200).body, content.root().bytes);
}

#[tokio::test]
async fn the_proxy_protocol_tells_the_client_where_the_proxy_is_trusted() {
    let (registry, _) = FakeRegistry::with_app().await;
    let setup = |trusted: &str| {
        Setup::in_front_of_with(&registry, "resolve = \"always\"")
            .listener("127.0.0.1", "proxy_protocol = true")
            .table(&format!("[server]\ntrusted_proxies = [\"{trusted}\"]"))
            .table("[platform]\naddresses = { \"192.0.2.0/24\" = \"linux/arm/v7\" }")
    };
    let request = format!("GET {TAG} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let header = "PROXY TCP4 192.0.2.7 127.0.0.1 4711 5000\r\n";
    let trusting = setup("127.0.0.1").start().await;
    let ask = async |archway: &Archway, sent: String| {
        let answer = raw::exchange(archway.address(), sent.as_bytes()).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let told = ask(&trusting, format!("{header}{request}")).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(
        told.contains("archway-platform: linux/arm/v7; source=address"),
        "{told}"
    );
    let silent = ask(&trusting, request.clone()).await;
    assert_eq!(silent, "", "a trusted proxy has to say who its client is");
    let wary = setup("127.0.0.9").start().await;
    let forged = ask(&wary, format!("{header}{request}")).await;
    assert!(forged.starts_with("HTTP/1.1 400"), "{forged}");
    let own = ask(&wary, request).await;
    assert!(
        own.starts_with("HTTP/1.1 200") && !own.contains("archway-platform"),
        "{own}"
    );
}

#[tokio::test]
async fn all_on_a_listener_is_an_explicit_wish_for_the_index() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .listener("127.0.0.1", "platform = \"all\"")
        .start()
        .await;
    let old = archway.client().accepting(&IMAGES_ONLY);
    assert_eq!(old.get(TAG).await.expect(200).body, content.root().bytes);
    let asking = old.with("archway-platform", "linux/arm64");
    let answer = asking.get(TAG).await.expect(400);
    let text = answer.text();
    assert!(
        text.contains("listener") && text.contains("header"),
        "{text}"
    );
}

#[tokio::test]
async fn a_repositorys_rule_goes_before_its_upstreams() {
    let (registry, content) = FakeRegistry::with_app().await;
    registry.push("other/app", "v1", &content);
    let lines = "resolve = \"needed\"\nplatform = \"linux/amd64\"\n\
                 repositories.\"team/*\" = { resolve = \"always\", platform = \"linux/arm/v7\" }";
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    let dockerd = archway.client().with("user-agent", DOCKERD);
    let other = "/v2/other/app/manifests/v1";
    assert_eq!(
        dockerd.platform_said(TAG).await,
        "linux/arm64; source=user-agent"
    );
    assert_eq!(dockerd.platform_said(other).await, "");
    let old = archway.client().accepting(&IMAGES_ONLY);
    assert_eq!(old.platform_said(TAG).await, "linux/arm/v7; source=default");
    assert_eq!(
        old.platform_said(other).await,
        "linux/amd64; source=default"
    );
}

#[tokio::test]
async fn a_client_that_takes_no_index_gets_each_of_six_platforms_by_hint_and_the_default_without() {
    let platforms = [
        "linux/amd64",
        "linux/arm64/v8",
        "linux/arm/v7",
        "linux/arm/v6",
        "linux/ppc64le",
        "linux/riscv64",
    ];
    let content = images::index_of("six", &platforms, images::Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let old = archway.client().accepting(&IMAGES_ONLY);
    for platform in platforms {
        let answer = old
            .clone()
            .with("archway-platform", platform)
            .get(TAG)
            .await;
        assert_eq!(answer.expect(200).body, content.child(platform).bytes);
    }
    let answer = old.get(TAG).await.expect(200);
    assert_eq!(answer.body, content.child("linux/amd64").bytes);
    let absent = old.with_query("platform", "linux/s390x").get(TAG).await;
    let detail = absent.expect(404).json()["errors"][0]["detail"].clone();
    let available = detail["available"].as_array().expect("a list").len();
    assert_eq!(
        (detail["platform"].as_str(), available),
        (Some("linux/s390x"), 6)
    );
}

/// What a client may put into its request to say its platform: an empty value stands for nothing.
const SAID: [&str; 4] = ["", "linux/arm64", "all", "li nux//"];

#[tokio::test]
async fn whatever_hints_come_an_index_is_never_changed_by_a_byte() {
    let (registry, content) = FakeRegistry::with_app().await;
    for mode in ["needed", "explicit", "always"] {
        let lines = format!("resolve = \"{mode}\"");
        let archway = Setup::in_front_of_with(&registry, &lines).start().await;
        let by_digest = format!("/v2/team/app/manifests/{}", content.root().digest);
        let mut clients = vec![archway.client(), archway.client().accepting(&IMAGES_ONLY)];
        for (at, header) in ["archway-platform", "user-agent"].into_iter().enumerate() {
            let values = if at == 0 { &SAID[..] } else { &["", DOCKERD] };
            let with = |client: &Client, value: &&str| match *value {
                "" => client.clone(),
                value => client.clone().with(header, value),
            };
            let all = clients
                .iter()
                .flat_map(|client| values.iter().map(|value| with(client, value)));
            clients = all.collect();
        }
        for client in &clients {
            for query in SAID {
                let client = match query {
                    "" => client.clone(),
                    query => client
                        .clone()
                        .with_query("platform", &query.replace(' ', "%20")),
                };
                let answer = client.get(TAG).await;
                let known = content.manifests.iter().any(|one| one.bytes == answer.body);
                assert!(
                    known || [400, 404].contains(&answer.status.as_u16()),
                    "{}",
                    answer.text()
                );
                let answer = client.get(&by_digest).await;
                let exact = answer.body == content.root().bytes;
                assert!(exact || answer.status == 400, "{}", answer.text());
            }
        }
    }
}
