//! The audit log: one line for each manifest that is answered, however it is answered, and none for
//! anything else. The access log says the same of who asked.

use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The lines, once there are so many.
async fn lines(archway: &Archway, number: usize) -> Vec<Value> {
    let path = archway.cache_folder().join("audit.log");
    let what = format!("{number} lines in the audit log");
    eventually(&what, async || {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        (lines.len() >= number).then_some(lines)
    })
    .await
}

async fn audited(registry: &FakeRegistry) -> Archway {
    let mut archway = Setup::in_front_of(registry).start().await;
    archway.kill();
    let path = archway.cache_folder().join("audit.log");
    archway.extend_config(&format!("[audit]\npath = \"{}\"", path.display()));
    archway.restart().await
}

#[tokio::test]
async fn each_manifest_that_is_answered_has_one_line_and_nothing_else_has() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = audited(&registry).await;
    let client = || archway.client().with("user-agent", "the-test/1");
    let root = content.root().digest;
    // From the upstream, from the cache, and twice given again.
    for _ in 0..4 {
        client().manifest("team/app", "v1").await.expect(200);
    }
    let path = "/v2/team/app/manifests/v1";
    client().head(path).await.expect(200);
    let child = content.child("linux/arm64/v8").digest;
    let arm64 = client().with("archway-platform", "linux/arm64");
    let arm64 = arm64.with("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-01"));
    arm64.manifest("team/app", "v1").await.expect(200);
    // None of these is a manifest that was answered.
    client().manifest("team/app", "none").await.expect(404);
    let blob = content.blobs[1].digest();
    client().blob("team/app", blob).await.expect(200);
    client().get("/v2/").await.expect(200);
    client().manifest("team/app", root).await.expect(200);

    let lines = lines(&archway, 7).await;
    assert_eq!(lines.len(), 7, "{lines:#?}");
    for line in &lines {
        assert_eq!(line["event"], "manifest");
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["upstream"], "registry.test");
        assert_eq!(line["repository"], "team/app");
        assert_eq!(line["user_agent"], "the-test/1");
        assert!(line["timestamp"].is_string() && line["id"].is_string());
    }
    let digests: Vec<_> = lines.iter().map(|line| line["digest"].clone()).collect();
    let expected = |at| if at == 5 { child } else { root }.to_string();
    assert_eq!(digests, (0..7).map(expected).collect::<Vec<_>>());
    assert_eq!(lines[0]["outcome"], "miss");
    assert_eq!(lines[3]["outcome"], "hit");
    assert_eq!(lines[4]["method"], "HEAD");
    assert_eq!(lines[5]["platform_source"], "header");
    assert_eq!(lines[5]["trace_id"], TRACE);
    assert_eq!(lines[6]["reference"], root.to_string());
}

#[tokio::test]
async fn the_access_log_says_who_asked_and_how() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let blob = content.blobs[1].digest();
    let client = archway.client().with("range", "bytes=10-19");
    let client = client.with("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-00"));
    client.blob("team/app", blob).await.expect(206);
    let is_part = |line: &Value| line["status"] == 206;
    let line = archway.log().request("the part is logged", is_part).await;
    assert_eq!(line["client"], "127.0.0.1");
    assert_eq!(line["protocol"], "http/1");
    assert_eq!(line["digest"], blob.to_string());
    assert_eq!(line["range"], "bytes=10-19");
    assert_eq!(line["trace_id"], TRACE);
    assert!(
        line["listener"]
            .as_str()
            .is_some_and(|text| text.contains(':'))
    );
}
