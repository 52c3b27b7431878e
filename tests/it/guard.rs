//! Who is answered at all: no web page, no client from elsewhere, nobody under a name that is not
//! ours; and what a listener or an upstream opens to those who are.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use http::StatusCode;
use integration_tests::client::{Client, blob_path, raw};
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use serde_json::Value;

const TAG: &str = "/v2/team/app/manifests/v1";

/// A client that a page in a browser is.
fn page(client: Client) -> Client {
    client
        .with("sec-fetch-site", "same-origin")
        .with("sec-fetch-mode", "cors")
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_to_loopback_reads_nothing() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let blob = blob_path("team/app", content.blobs[0].digest());
    // Stored and replayable by now: neither opens a door.
    for _ in 0..3 {
        archway.client().get(TAG).await.expect(200);
        archway.client().get(&blob).await.expect(200);
    }
    let evil = || archway.client().with("host", "evil.example");
    let attempts = [
        ("rebound", evil(), 421),
        (
            "rebound, with a port",
            archway.client().with("host", "evil.example:5000"),
            421,
        ),
        ("rebound, by a browser", page(evil()), 403),
        ("same origin", page(archway.client()), 403),
        (
            "cross origin",
            archway.client().with("origin", "http://evil.example"),
            403,
        ),
    ];
    for (how, client, status) in attempts {
        for path in [TAG, &blob, "/v2/"] {
            for _ in 0..2 {
                let answer = client.get(path).await.expect(status);
                assert_eq!(answer.error_code(), "DENIED", "{how}");
            }
        }
    }
}

#[tokio::test]
async fn every_name_of_ours_passes_and_no_other() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::new()
        .top("default_upstream = \"registry.test\"")
        .upstream_with("registry.test", &registry, "hosts = [\"hub.example\"]")
        .table("[platform]\nhosts = { \"arm.example\" = \"linux/arm64\" }")
        .listener("127.0.0.1", "names = [\"mirror.example\"]")
        .start()
        .await;
    for name in [
        "127.0.0.1",
        "10.9.9.9:5000",
        "[::1]:5000",
        "localhost",
        "LocalHost:80",
        "hub.example",
        "arm.example:5000",
        "mirror.example",
        "mirror.example:443",
    ] {
        let client = archway.client().with("host", name);
        assert_eq!(client.get(TAG).await.status, StatusCode::OK, "{name}");
    }
    for name in [
        "evil.example",
        "127.0.0.1.evil.example",
        "notmirror.example",
        "a..b",
    ] {
        let answer = archway.client().with("host", name).get(TAG).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{name}");
    }
}

#[tokio::test]
async fn two_host_headers_are_a_mistake_and_none_is_http_1_0() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let twice =
        b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = raw::exchange(archway.address(), twice).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let none = raw::exchange(archway.address(), b"GET /v2/ HTTP/1.0\r\n\r\n").await;
    assert!(
        none.starts_with(b"HTTP/1.0 200"),
        "{}",
        String::from_utf8_lossy(&none)
    );
}

#[tokio::test]
async fn no_answer_is_a_page() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let blob = blob_path("team/app", content.blobs[0].digest());
    let client = archway.client();
    let mut answers = Vec::new();
    for path in [
        TAG,
        TAG,
        TAG,
        &blob,
        &blob,
        "/v2/",
        "/",
        "/v2/none/x/manifests/v1",
    ] {
        answers.push((path, client.get(path).await));
    }
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/_archway/v1/images",
        "/none",
    ] {
        answers.push((path, archway.admin().get(path).await));
    }
    for (path, answer) in answers {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; sandbox",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_manifest_that_calls_itself_a_page_is_served_as_a_manifest() {
    let page = r#"{"schemaVersion":2,"mediaType":"text/html","config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},"layers":[],"annotations":{"a":"<script>alert(1)</script>"}}"#;
    let content = images::Content {
        manifests: vec![images::Stored::new("text/html", page)],
        blobs: Vec::new(),
    };
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    for _ in 0..3 {
        let answer = archway.client().get(TAG).await.expect(200);
        assert_eq!(answer.body, page);
        assert_eq!(answer.header("content-type"), images::OCI_MANIFEST);
    }
}

#[tokio::test]
async fn only_clients_of_the_named_networks_are_served() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .listener(
            "127.0.0.1",
            "allow_from = [\"10.0.0.0/8\", \"2001:db8::/32\"]",
        )
        .table("[server]\ntrusted_proxies = [\"127.0.0.1\"]")
        .start()
        .await;
    let behind = |chain: &str| archway.client().with("x-forwarded-for", chain);
    for chain in ["10.1.2.3", "192.0.2.1, 10.1.2.3", "2001:db8::1"] {
        for _ in 0..2 {
            behind(chain).get(TAG).await.expect(200);
        }
    }
    for client in [
        archway.client(),
        behind("192.0.2.1"),
        behind("10.1.2.3, 192.0.2.1"),
    ] {
        for path in [TAG, "/v2/"] {
            let answer = client.get(path).await.expect(403);
            assert_eq!(answer.error_code(), "DENIED");
            assert!(answer.text().contains("allow_from"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_listener_serves_its_upstreams_alone_however_another_is_named() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let open = FakeRegistry::with("team/app", "v1", &content).await;
    let secret = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::new()
        .top("default_upstream = \"secret.test\"")
        .upstream_with("secret.test", &secret, "hosts = [\"secret.example\"]")
        .upstream("a.open.test", &open)
        .upstream("b.open.test", &open)
        .listener(
            "127.0.0.1",
            "upstreams = [\"*.open.test\"]\nupstream = \"a.open.test\"",
        )
        .listener("127.0.0.2", "upstreams = [\"b.open.test\"]")
        .start()
        .await;
    let client = archway.client();
    for path in [
        TAG,
        "/v2/b.open.test/team/app/manifests/v1",
        "/a.open.test/v2/team/app/manifests/v1",
    ] {
        client.get(path).await.expect(200);
    }
    let refused = [
        (client.clone(), format!("{TAG}?ns=secret.test")),
        (
            client.clone(),
            "/v2/secret.test/team/app/manifests/v1".to_owned(),
        ),
        (
            client.clone(),
            "/v2/secret%2etest/team/app/manifests/v1".to_owned(),
        ),
        (
            client.clone(),
            "/secret.test/v2/team/app/tags/list".to_owned(),
        ),
        (
            client.clone(),
            format!(
                "/v2/secret.test{}",
                &blob_path("team/app", content.blobs[0].digest())[3..]
            ),
        ),
        (client.with("host", "secret.example"), TAG.to_owned()),
        (Client::new(&archway.url_at("127.0.0.2")), TAG.to_owned()),
    ];
    for (client, path) in refused {
        let answer = client.get(&path).await.expect(404);
        assert_eq!(answer.error_code(), "NAME_UNKNOWN", "{path}");
        assert!(answer.text().contains("`upstreams`"), "{}", answer.text());
    }
    Client::new(&archway.url_at("127.0.0.2"))
        .get("/v2/")
        .await
        .expect(200);
    assert_eq!(secret.log().all().len(), 0, "it was never asked");
}

#[tokio::test]
async fn only_allowed_repositories_are_served() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    registry.push("other/app", "v1", &content);
    let lines = "allow_repositories = [\"team/*\"]";
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    let client = archway.client();
    client.pull("team/app", "v1").await;
    for path in [
        "/v2/other/app/manifests/v1".to_owned(),
        "/v2/other/app/tags/list".to_owned(),
        blob_path("other/app", content.blobs[0].digest()),
        blob_path("team", content.blobs[0].digest()),
    ] {
        let answer = client.get(&path).await.expect(404);
        assert_eq!(answer.error_code(), "NAME_UNKNOWN");
        assert!(
            answer.text().contains("`allow_repositories`"),
            "{}",
            answer.text()
        );
    }
    let asked = registry.log().all();
    assert!(
        asked
            .iter()
            .all(|entry| entry.path.starts_with("/v2/team/app/"))
    );
}

#[tokio::test]
async fn the_admin_routes_answer_to_names_of_ours_and_list_images_on_this_machine_alone() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    for path in ["/livez", "/metrics", "/_archway/v1/images"] {
        archway.admin().get(path).await.expect(200);
        for name in ["evil.example", "a..b"] {
            archway
                .admin()
                .with("host", name)
                .get(path)
                .await
                .expect(421);
        }
    }
}

#[tokio::test]
async fn what_is_cached_is_for_its_user_alone_whatever_the_umask() {
    let (registry, _) = FakeRegistry::with_app().await;
    let mut archway = Setup::in_front_of(&registry)
        .limit("-Sc 0 && umask 000")
        .start()
        .await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    archway.terminate();
    archway.ended().await;
    let root = archway.cache_folder();
    assert!(
        root.join("names.jsonl").exists(),
        "it was written at the end"
    );
    let mut left = vec![root];
    while let Some(path) = left.pop() {
        let metadata = std::fs::metadata(&path).expect("nobody removes it");
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.mode() & 0o777, expected, "{}", path.display());
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder of ours");
            left.extend(entries.map(|entry| entry.expect("it can be read").path()));
        }
    }
}

/// Gives a folder to a user, as root alone can.
fn give(folder: &Path, user: u32) {
    std::os::unix::fs::chown(folder, Some(user), Some(user)).expect("root gives");
}

#[tokio::test]
async fn a_cache_in_another_users_directory_is_refused_and_its_commands_are_roots_too() {
    let (registry, _) = FakeRegistry::with_app().await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    archway.terminate();
    archway.ended().await;
    let root = archway.cache_folder();
    if std::fs::metadata(&root).expect("it is there").uid() != 0 {
        // These tests do not run as root: nobody here can give a folder away.
        return;
    }
    for (path, _) in archway.files("") {
        give(&path, 4321);
    }
    for folder in ["", "blobs", "blobs/sha256", "blobs/sha512", "ingest"] {
        give(&root.join(folder), 4321);
    }
    let refused = archway.run_another().await;
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("belongs to user 4321"), "{said}");
    for command in [&["ls"][..], &["rm", "registry.test/team/app:v1"]] {
        let output = archway.cache_command(command).await;
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    for (path, _) in archway.files("") {
        let owner = std::fs::metadata(&path).expect("it is there").uid();
        assert_eq!(owner, 4321, "{}", path.display());
    }
}

#[tokio::test]
async fn an_open_listener_before_credentials_is_warned_of() {
    let registry = FakeRegistry::start().await;
    let login = "auth = { username = \"me\", password_env = \"SECRET\" }";
    let setup = |listener: &str, lines: &str| {
        Setup::new()
            .upstream("open.test", &registry)
            .upstream_with("private.test", &registry, login)
            .env("SECRET", "hunter2")
            .listener(listener, lines)
    };
    let warned = |events: Vec<Value>| -> Vec<Value> {
        let of_it = |event: &Value| {
            event["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("everybody who reaches"))
        };
        events.into_iter().filter(of_it).collect()
    };
    let archway = setup("0.0.0.0", "").start().await;
    let found = warned(archway.log().events());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["level"], "WARN");
    assert_eq!(found[0]["listener"], "0.0.0.0:0");
    assert_eq!(found[0]["upstreams"], "private.test");
    assert_eq!(found[0]["identity"], "the user me");
    for lines in [
        "allow_from = [\"127.0.0.0/8\"]",
        "upstreams = [\"open.test\"]",
    ] {
        let archway = setup("0.0.0.0", lines).start().await;
        assert_eq!(
            warned(archway.log().events()),
            Vec::<Value>::new(),
            "{lines}"
        );
    }
    let words = ["doctor", "upstreams", "--config", "CONFIG", "open.test"];
    let output = setup("0.0.0.0", "").run(&words).await;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        table
            .contains("warning: everybody who reaches 0.0.0.0:0 reads private.test as the user me"),
        "{table}"
    );
}
