//! The log: whoever reads it, or does not, holds up nobody.

use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;

/// As much as a pipe holds, several times.
const REQUESTS: usize = 100;

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_answers_nor_the_end() {
    let (registry, _) = FakeRegistry::with_app().await;
    let mut archway = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"")
        .start()
        .await;
    archway.client().pull("team/app", "v1").await;
    archway.log().stall();
    let long = format!("/v2/{}", "a".repeat(4096));
    for _ in 0..REQUESTS {
        archway.client().get(&long).await.expect(404);
    }
    // What is said of an outage is said by those who answer.
    registry.close().await;
    for _ in 0..REQUESTS {
        let client = archway.client();
        let stale = within("a stale tag", client.manifest("team/app", "v1"));
        stale.await.expect(200);
    }
    archway.admin().get("/livez").await.expect(200);
    archway.terminate();
    assert_eq!(archway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_start_that_fails_says_why_whatever_is_logged() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    for level in ["info", "off", "cache=info", "proxy=debug"] {
        let setup = Setup::new()
            .listener_at(&address.to_string(), "")
            .log_level(level);
        let ended = setup.run(&["serve", "--config", "CONFIG"]).await;
        assert_eq!(ended.status.code(), Some(1), "{level}");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("cannot listen on"), "{level}: {said}");
        assert!(said.contains(&address.to_string()), "{level}: {said}");
    }
}
