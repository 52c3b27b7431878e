//! The Unix socket, and the commands that change a running Archway through it.

use std::{os::unix::fs::PermissionsExt, path::PathBuf, process::Output};

use integration_tests::{
    images,
    proxy::{Archway, Setup, UPSTREAM},
    registry::FakeRegistry,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

fn socket(archway: &Archway) -> PathBuf {
    archway.cache_folder().join("admin.sock")
}

/// What a command said on standard output and standard error, and its exit code.
fn said(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

async fn asked(archway: &Archway, request: &str) -> String {
    let mut stream = UnixStream::connect(socket(archway))
        .await
        .expect("it listens");
    let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("it answers");
    answer
}

#[tokio::test]
async fn the_socket_answers_what_the_admin_listener_does_to_its_owner_alone() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let mode = std::fs::metadata(socket(&archway)).expect("a socket");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    for route in ["/livez", "/readyz", "/metrics", "/_archway/v1/images"] {
        let answer = asked(&archway, &format!("GET {route}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{route}: {answer}");
    }
}

#[tokio::test]
async fn nothing_is_changed_over_tcp() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    for route in ["rm", "refresh", "reload"] {
        for client in [archway.admin(), archway.client()] {
            let path = format!("/_archway/v1/{route}");
            let answer = client.send(http::Method::POST, &path).await;
            assert!(
                answer.status.is_client_error(),
                "{route}: {}",
                answer.status
            );
        }
    }
    assert!(archway.has_stored(&content.root().digest));
}

#[tokio::test]
async fn a_removed_image_is_gone_at_once_and_comes_back_with_the_next_pull() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let output = archway
        .command(&["rm", "team/app:v1", "team/none:v1"])
        .await;
    let (out, err, code) = said(&output);
    assert!(out.starts_with("team/app:v1: removed 1 tag and "), "{out}");
    assert_eq!(err, "team/none:v1: not in the cache\n");
    assert_eq!(code, Some(1), "one of the two was not there");
    assert_eq!(archway.files("blobs"), []);
    let digest = content.root().digest;
    let layer = pulled.parts.last().expect("an image has layers");
    let before = registry.gets_of(layer);
    let again = archway.client().pull("team/app", "v1").await;
    assert_eq!(again.parts, pulled.parts);
    assert_eq!(registry.gets_of(layer), before + 1);
    // Manifests too, which memory had a moment ago.
    archway.stores_all(&again).await;
    // By its digest, as it was pasted from a listing.
    let output = archway
        .command(&["rm", &digest.to_string(), "-o", "json"])
        .await;
    let (out, _, code) = said(&output);
    assert_eq!(code, Some(0), "{out}");
    let rows: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(rows[0]["blobs"][0], digest.to_string());
    assert_eq!(rows[0]["tags"][0], format!("{UPSTREAM}/team/app:v1"));
}

#[tokio::test]
async fn a_name_with_a_mistake_removes_nothing() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/app", "v1").await;
    archway.stores(&content.root().digest).await;
    let output = archway.command(&["rm", "team/app:v1", "Team/App"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(archway.has_stored(&content.root().digest));
}

#[tokio::test]
async fn an_immutable_tag_moves_when_it_is_refreshed() {
    let (registry, first) = FakeRegistry::with_app().await;
    let lines = "immutable_tags = [\"v*\"]";
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    let digest = || async {
        let answer = archway.client().manifest("team/app", "v1").await;
        answer
            .expect(200)
            .header("docker-content-digest")
            .to_owned()
    };
    assert_eq!(digest().await, first.root().digest.to_string());
    let second = images::multi_platform("second");
    registry.push("team/app", "v1", &second);
    assert_eq!(digest().await, first.root().digest.to_string(), "immutable");
    // As people paste it: with Archway's own address in front.
    let pasted = format!("{}/team/app:v1", archway.address());
    let (out, err, code) = said(&archway.command(&["refresh", &pasted]).await);
    let (from, to) = (first.root().digest, second.root().digest);
    assert_eq!(
        out,
        format!("{UPSTREAM}/team/app:v1: moved from {from} to {to}\n"),
        "{err}"
    );
    assert_eq!(code, Some(0));
    assert_eq!(digest().await, to.to_string());
}

#[tokio::test]
async fn what_was_absent_a_moment_ago_is_asked_for_again_by_a_refresh() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of_with(&registry, "not_found_ttl = \"1h\"")
        .start()
        .await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(404);
    let (_, err, code) = said(&archway.command(&["refresh", "team/app:v1"]).await);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("404"), "{err}");
    registry.push("team/app", "v1", &images::multi_platform("app"));
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(404);
    let (out, err, code) = said(&archway.command(&["refresh", "team/app:v1"]).await);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with(&format!("{UPSTREAM}/team/app:v1: new, sha256:")),
        "{out}"
    );
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_refresh_of_an_offline_upstream_is_an_error() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of_with(&registry, "offline = true")
        .start()
        .await;
    let (out, err, code) = said(&archway.command(&["refresh", "team/app:v1"]).await);
    assert_eq!((out.as_str(), code), ("", Some(1)));
    assert!(err.contains("offline"), "{err}");
    assert!(registry.log().all().is_empty());
}

#[tokio::test]
async fn the_socket_of_a_killed_process_is_replaced() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    // Killed, so that its socket stays behind.
    let archway = archway.restart().await;
    let answer = asked(&archway, "GET /livez").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn the_socket_of_a_living_process_is_not() {
    let registry = FakeRegistry::start().await;
    let first = Setup::in_front_of(&registry).start().await;
    let lines = format!("socket = {:?}", socket(&first));
    let second = Setup::new()
        .admin(&lines)
        .run(&["serve", "--config", "CONFIG"])
        .await;
    let (_, err, code) = said(&second);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("another process listens on"), "{err}");
    asked(&first, "GET /livez").await;
}

#[tokio::test]
async fn without_a_socket_the_commands_say_why() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry)
        .admin("socket = \"off\"")
        .start()
        .await;
    assert!(!socket(&archway).exists());
    let (_, err, code) = said(&archway.command(&["rm", "team/app:v1"]).await);
    assert_eq!(code, Some(1));
    assert!(err.contains("`socket` of [admin] is \"off\""), "{err}");
}
