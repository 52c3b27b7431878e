//! A TLS hello on a plain listener: docker's containerd store tries https first and falls back only
//! on an answer that starts with `HTTP/`.

use integration_tests::client::raw;
use integration_tests::images;
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;

/// A TLS 1.2 record with the start of a `ClientHello`, as Go's client sends it.
const HELLO: [u8; 64] = {
    let mut bytes = [0_u8; 64];
    let head = [
        0x16, 0x03, 0x01, 0x00, 0x3b, 0x01, 0x00, 0x00, 0x37, 0x03, 0x03,
    ];
    let mut at = 0;
    while at < head.len() {
        bytes[at] = head[at];
        at += 1;
    }
    bytes
};

#[tokio::test]
async fn a_tls_hello_on_a_plain_listener_is_answered_in_plain_http_at_once() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    for hello in [&HELLO[..], &HELLO[..5], &HELLO[..1]] {
        let answer = raw::exchange(archway.address(), hello).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer:?}");
    }
    archway.client().pull("team/app", "v1").await;
}

#[tokio::test]
async fn what_is_no_http_at_all_harms_nobody() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300_000));
    for junk in ["\r\n\r\n\r\n", "HELO example\r\n\r\n", "GET\r\n\r\n", &long] {
        let answer = raw::exchange(archway.address(), junk.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer:?}"
        );
    }
    archway.client().pull("team/app", "v1").await;
}
