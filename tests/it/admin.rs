//! `/livez`, `/readyz` and `/metrics`: on the admin listener, there alone, and bounded.

use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;

const ROUTES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

#[tokio::test]
async fn the_admin_routes_are_on_the_admin_listener_alone() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    for route in ROUTES {
        archway.admin().get(route).await.expect(200);
        archway.client().get(route).await.expect(404);
    }
    archway.admin().get("/v2/").await.expect(404);
}

#[tokio::test]
async fn it_is_alive_and_ready_while_an_upstream_is_down() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    registry.close().await;
    let answer = archway.client().manifest("team/app", "v1").await;
    assert!(answer.status.is_server_error());
    for route in ["/livez", "/readyz"] {
        archway.admin().get(route).await.expect(200);
    }
}

#[tokio::test]
async fn the_metrics_count_requests_by_outcome() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    archway.client().pull("team/app", "v1").await;
    let answer = archway.admin().get("/metrics").await.expect(200);
    let text = answer.text();
    let names = text.lines().filter(|line| line.starts_with("# TYPE "));
    let names: Vec<_> = names.filter_map(|line| line.split(' ').nth(2)).collect();
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("archway_") || name.starts_with("process_")),
        "{names:?}"
    );
    for outcome in ["hit", "fill"] {
        assert!(
            text.contains(&format!("\"{outcome}\"")),
            "{outcome} in\n{text}"
        );
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_counted_without_an_empty_label() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client();
    client.get("/v2/Team/App/manifests/v1").await.expect(400);
    client.get("/v2/app/blobs/uploads/").await.expect(405);
    let text = archway.admin().get("/metrics").await.text();
    for (endpoint, count) in [("none", 1), ("push", 1)] {
        let counted = format!("endpoint=\"{endpoint}\",outcome=\"none\",status=\"4xx\"}} {count}");
        assert!(text.contains(&counted), "{counted} in\n{text}");
    }
    assert!(!text.contains("=\"\""), "{text}");
}

#[tokio::test]
async fn no_client_can_make_the_metrics_grow() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let lines = async || archway.admin().get("/metrics").await.text().lines().count();
    let ask = async |from: usize| {
        for number in from..from + 20 {
            let client = archway
                .client()
                .with("user-agent", &format!("agent-{number}"));
            client
                .manifest(&format!("repo-{number}/app"), &format!("tag-{number}")[..])
                .await;
            client
                .manifest(&format!("host-{number}.test/app"), "v1")
                .await;
            client.get(&format!("/path-{number}")).await;
            client
                .with("archway-platform", &format!("linux/arch{number}"))
                .manifest("app", "v1")
                .await;
        }
    };
    ask(0).await;
    let before = lines().await;
    ask(20).await;
    assert_eq!(lines().await, before);
    let text = archway.admin().get("/metrics").await.text();
    for word in [
        "repo-",
        "tag-",
        "host-",
        "path-",
        "agent-",
        "linux/arch",
        "127.0.0.1",
    ] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
}

#[tokio::test]
async fn every_request_has_one_line_in_the_access_log() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client().with("user-agent", "the-test/1");
    let blob = content.blobs[1].digest();
    client.blob("team/app", blob).await.expect(200);
    archway.stores(&blob).await;
    client.blob("team/app", blob).await.expect(200);
    let path = format!("/v2/team/app/blobs/{blob}");
    let is_hit = |event: &serde_json::Value| event["path"] == path && event["outcome"] == "hit";
    let line = archway.log().request("the hit is logged", is_hit).await;
    assert_eq!(line["message"], "request");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["status"], 200);
    assert_eq!(line["upstream"], "registry.test");
    assert_eq!(line["repository"], "team/app");
    assert_eq!(line["reference"], blob.to_string());
    assert_eq!(line["bytes"], content.blobs[1].size());
    assert_eq!(line["user_agent"], "the-test/1");
    assert!(line["duration_ms"].is_number());
    let of_path = archway.log().requests();
    let of_path: Vec<_> = of_path
        .iter()
        .filter(|event| event["path"] == path)
        .collect();
    assert_eq!(of_path.len(), 2);
    assert_eq!(of_path[0]["outcome"], "fill");
}
