//! Of each cached image: when it was pushed, where ECR tells it; when it was last pulled, and by
//! how many clients.

use std::net::IpAddr;

use integration_tests::auth::{Auth, EcrToken, Expired};
use integration_tests::aws::{ECR_HOST, EcrApi};
use integration_tests::client::Client;
use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::{self, Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use serde_json::Value;

const ACCOUNT: &str = "123456789012";
const CHINA: &str = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn";
/// 2023-11-14T22:13:20Z.
const PUSHED: u64 = 1_700_000_000;

async fn images(archway: &Archway) -> Vec<Value> {
    let answer = archway.admin().get("/_archway/v1/images").await.expect(200);
    answer.json()["images"].as_array().expect("images").clone()
}

async fn command(archway: &Archway) -> String {
    let (server, admin) = (archway.url(), archway.admin_url());
    let ask = [
        "images", "-o", "wide", "--server", &server, "--admin", &admin,
    ];
    let output = proxy::run(&ask).await;
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

fn from(archway: &Archway, ip: &str) -> Client {
    let ip: IpAddr = ip.parse().expect("an address");
    Client::from_address(&archway.url(), ip)
}

#[tokio::test]
async fn each_address_counts_once_as_a_client_also_over_a_restart() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2"] {
        let client = from(&archway, ip);
        // A tag is asked about first, and then pulled by the digest it means.
        client.head("/v2/team/app/manifests/v1").await.expect(200);
        let digest = content.root().digest;
        client.manifest("team/app", &digest).await.expect(200);
        client.manifest("team/app", "v1").await.expect(200);
    }
    // Who only asks whether it has changed has not pulled it.
    let poller = from(&archway, "127.0.0.9");
    poller.head("/v2/team/app/manifests/v1").await.expect(200);
    let all = images(&archway).await;
    assert_eq!(all[0]["clients"], 3);
    assert!(
        all[0]["used"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    assert!(command(&archway).await.contains("CLIENTS"));
    // The link of another image is synced, and with it what came before.
    let other = images::single("other", "linux/amd64", Flavor::Oci);
    registry.push("team/other", "v1", &other);
    archway
        .client()
        .manifest("team/other", "v1")
        .await
        .expect(200);
    let archway = archway.restart().await;
    assert_eq!(images(&archway).await[0]["clients"], 3);
    from(&archway, "127.0.0.4")
        .manifest("team/app", "v1")
        .await
        .expect(200);
    from(&archway, "127.0.0.3")
        .manifest("team/app", "v1")
        .await
        .expect(200);
    assert_eq!(images(&archway).await[0]["clients"], 4);
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart_and_others_are_not_believed() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry)
        .table("[server]\ntrusted_proxies = [\"127.0.0.2/32\"]")
        .start()
        .await;
    for (ip, forwarded) in [
        ("127.0.0.2", "192.0.2.1"),
        ("127.0.0.2", "192.0.2.2"),
        ("127.0.0.3", "192.0.2.3"),
        ("127.0.0.3", "192.0.2.4"),
    ] {
        let client = from(&archway, ip).with("x-forwarded-for", forwarded);
        client.manifest("team/app", "v1").await.expect(200);
    }
    assert_eq!(images(&archway).await[0]["clients"], 3);
}

#[tokio::test]
async fn a_manifest_that_is_answered_from_memory_was_used() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
    let first = images(&archway).await[0]["used"].to_string();
    let mut round = 0;
    eventually("the last use moves", async || {
        // Never the same request twice: that would be answered below the routes, which counts once
        // in seconds.
        round += 1;
        let client = client.clone().with("x-round", &round.to_string());
        client.manifest("team/app", "v1").await.expect(200);
        let used = images(&archway).await[0]["used"].to_string();
        (used > first).then_some(())
    })
    .await;
}

/// An ECR registry with some images, its API, and Archway in front of both.
struct Front {
    api: EcrApi,
    archway: Archway,
    contents: Vec<Content>,
}

impl Front {
    async fn new(host: &str, region: &str, keys: &str, images: usize) -> Self {
        let registry = FakeRegistry::start().await;
        let token = EcrToken::new(Expired::Forbidden);
        registry.require(Auth::Ecr(token.clone()));
        let api = EcrApi::start(token).await;
        api.move_to(region);
        let mut contents = Vec::new();
        for number in 0..images {
            let content = images::index_of(&number.to_string(), &["linux/amd64"], Flavor::Oci);
            registry.push("team/app", &format!("v{number:03}"), &content);
            contents.push(content);
        }
        let lines = format!("{}\n{keys}", api.auth(""));
        let archway = Setup::in_front_of_as(host, &registry, &lines)
            .aws_credentials()
            .log_level("debug")
            .start()
            .await;
        for number in 0..images {
            let tag = format!("v{number:03}");
            let client = archway.client();
            client.manifest("team/app", tag.as_str()).await.expect(200);
        }
        assert_eq!(api.descriptions(), 0, "no pull asks");
        Self {
            api,
            archway,
            contents,
        }
    }

    fn has(&self, number: usize, at: u64) {
        let digest = self.contents[number].root().digest;
        self.api.has(ACCOUNT, "team/app", digest, at);
    }

    async fn pushed(&self) -> Vec<Option<String>> {
        let all = images(&self.archway).await;
        let pushed = all.iter().map(|image| image["pushed"].as_str());
        pushed.map(|time| time.map(str::to_owned)).collect()
    }
}

#[tokio::test]
async fn ecr_is_asked_once_when_images_were_pushed_also_in_china() {
    for (host, region) in [(ECR_HOST, "us-east-1"), (CHINA, "cn-north-1")] {
        let front = Front::new(host, region, "pushed_at = true", 3).await;
        for number in 0..3 {
            front.has(number, PUSHED + number as u64);
        }
        let expected = [20, 21, 22].map(|second| Some(format!("2023-11-14T22:13:{second}Z")));
        assert_eq!(front.pushed().await, expected, "{host}");
        assert_eq!(front.api.descriptions(), 1);
        assert_eq!(front.pushed().await, expected);
        assert_eq!(front.api.descriptions(), 1, "it is known now");
        assert_eq!(front.api.calls(), 1, "one token, for the pulls");
        let table = command(&front.archway).await;
        assert!(table.contains("2023-11-14T22:13:20Z"), "{table}");
    }
}

#[tokio::test]
async fn an_image_that_ecr_lacks_hides_no_other() {
    let front = Front::new(ECR_HOST, "us-east-1", "pushed_at = true", 130).await;
    let lacking = [17, 101];
    for number in 0..130 {
        if !lacking.contains(&number) {
            front.has(number, PUSHED);
        }
    }
    let pushed = front.pushed().await;
    let unknown: Vec<_> = (0..130).filter(|at| pushed[*at].is_none()).collect();
    assert_eq!(unknown, lacking);
    let calls = front.api.descriptions();
    assert!(calls <= 32, "{calls} calls");
    front.pushed().await;
    assert_eq!(front.api.descriptions(), calls, "not again so soon");
}

#[tokio::test]
async fn without_the_key_nobody_is_asked_and_without_the_permission_it_is_unknown() {
    let front = Front::new(ECR_HOST, "us-east-1", "", 1).await;
    front.has(0, PUSHED);
    assert_eq!(front.pushed().await, [None]);
    assert_eq!(front.api.descriptions(), 0);
    let front = Front::new(ECR_HOST, "us-east-1", "pushed_at = true", 1).await;
    front.api.deny_descriptions();
    assert_eq!(front.pushed().await, [None]);
    assert_eq!(front.api.descriptions(), 1);
    eventually("the reason is logged", async || {
        let log = front.archway.log().text();
        log.contains("ecr:DescribeImages was refused").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_api_that_is_asked_too_much_has_failed_and_has_not_refused() {
    let front = Front::new(ECR_HOST, "us-east-1", "pushed_at = true", 1).await;
    front.api.throttle_descriptions();
    assert_eq!(front.pushed().await, [None]);
    eventually("the reason is logged", async || {
        let log = front.archway.log().text();
        log.contains("ecr:DescribeImages failed").then_some(())
    })
    .await;
}
