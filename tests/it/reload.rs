//! A changed configuration comes into force without a restart, whole or not at all, and no request
//! notices.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Method;
use integration_tests::{
    client::Client,
    images,
    proxy::{Archway, Setup, UPSTREAM},
    registry::FakeRegistry,
    wait::eventually,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    task::JoinSet,
};

/// What `archway reload` said, on both outputs, and its exit code.
async fn reload(archway: &Archway) -> (String, Option<i32>) {
    let output = archway.command(&["reload"]).await;
    let text = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&text).into_owned(),
        output.status.code(),
    )
}

async fn reloaded(archway: &Archway) -> String {
    let (text, code) = reload(archway).await;
    assert_eq!(code, Some(0), "{text}");
    text
}

/// Has the socket at `path` reload, without the time that a command takes to start.
async fn reload_at(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).await.expect("it listens");
    let head = "POST /_archway/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("it answers");
    answer
}

#[tokio::test]
async fn a_new_upstream_is_served_and_one_that_is_gone_is_not() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let path = "/v2/second.test/team/app/manifests/v1";
    archway.client().get(path).await.expect(404);
    archway.extend_config(&format!(
        "[upstream.\"second.test\"]\nendpoints = [{:?}]",
        registry.url()
    ));
    let said = reloaded(&archway).await;
    assert!(
        said.starts_with("changed:\n  upstream.\"second.test\" (line "),
        "{said}"
    );
    archway.client().get(path).await.expect(200);
    archway.edit_config("second.test", "third.test");
    reloaded(&archway).await;
    // What is stored of it is not served either.
    archway.client().get(path).await.expect(404);
    assert_eq!(reloaded(&archway).await, "nothing has changed\n");
}

#[tokio::test]
async fn a_file_with_mistakes_changes_nothing_and_shows_all_of_them() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.extend_config("[upstream.\"second.test\"]\ntag_ttl = \"soon\"\nresolv = \"always\"");
    let socket = archway.cache_folder().join("admin.sock");
    let output = archway
        .command(&["reload", "--socket", socket.to_str().expect("text")])
        .await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("`tag_ttl` must be") && said.contains("unknown key `resolv`"),
        "{said}"
    );
    archway
        .client()
        .get("/v2/second.test/team/app/manifests/v1")
        .await
        .expect(404);
    archway.client().pull("team/app", "v1").await;
}

#[tokio::test]
async fn a_hang_up_reads_the_configuration_again() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.extend_config(&format!(
        "[upstream.\"second.test\"]\nendpoints = [{:?}]",
        registry.url()
    ));
    archway.hang_up();
    eventually("the upstream is served", async || {
        let answer = archway
            .client()
            .get("/v2/second.test/team/app/manifests/v1")
            .await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_given_again_is_one_of_the_new_configuration() {
    let registry = FakeRegistry::start().await;
    let content = images::multi_platform("app");
    registry.push("team/app", "v1", &content);
    let archway = Setup::in_front_of(&registry)
        .table("[platform]\ndefault = \"linux/amd64\"")
        .start()
        .await;
    // One connection, the same request again and again: answered below HTTP.
    let client = archway
        .client()
        .accepting(&["application/vnd.oci.image.manifest.v1+json"]);
    let digest = async || {
        let answer = client.manifest("team/app", "v1").await.expect(200);
        answer.header("docker-content-digest").to_owned()
    };
    for _ in 0..3 {
        assert_eq!(
            digest().await,
            content.child("linux/amd64").digest.to_string()
        );
    }
    archway.edit_config("default = \"linux/amd64\"", "default = \"linux/arm64\"");
    let said = reloaded(&archway).await;
    assert!(said.contains("platform.default (line "), "{said}");
    assert_eq!(
        digest().await,
        content.child("linux/arm64/v8").digest.to_string()
    );
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_stays() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let admin = archway.admin_url();
    archway.edit_config(
        "[admin]\naddress = \"127.0.0.1:0\"",
        "[admin]\naddress = \"off\"",
    );
    archway.extend_config("[server]\nmax_connections = 7");
    for _ in 0..2 {
        let said = reloaded(&archway).await;
        assert!(said.contains("as before, until a restart:\n"), "{said}");
        for key in ["admin.address", "server.max_connections"] {
            assert!(said.contains(&format!("  {key} (line ")), "{key}: {said}");
        }
    }
    Client::new(&admin).get("/livez").await.expect(200);
}

#[tokio::test]
async fn listeners_are_opened_changed_and_closed() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .listener("127.0.0.1", "")
        .listener("127.0.0.2", "")
        .start()
        .await;
    let (first, second) = (archway.client(), Client::new(&archway.url_at("127.0.0.2")));
    second.get("/v2/").await.expect(200);
    archway.edit_config("address = \"127.0.0.2:0\"", "address = \"127.0.0.3:0\"");
    archway.edit_config(
        "[[listener]]\naddress = \"127.0.0.1:0\"",
        "[[listener]]\naddress = \"127.0.0.1:0\"\nplatform = \"linux/arm64\"",
    );
    reloaded(&archway).await;
    // The connection is the one from before.
    let answer = first.manifest("team/app", "v1").await.expect(200);
    let child = content.child("linux/arm64/v8").digest.to_string();
    assert_eq!(answer.header("docker-content-digest"), child);
    let third = eventually("the new listener is open", async || {
        let lines = archway.log().listening();
        let mut found = lines.into_iter().map(|(_, address)| address.to_string());
        found.find(|address| address.starts_with("127.0.0.3:"))
    })
    .await;
    Client::new(&format!("http://{third}"))
        .get("/v2/")
        .await
        .expect(200);
    eventually("the old listener is closed", async || {
        second.try_open(Method::GET, "/v2/").await.err()
    })
    .await;
}

#[tokio::test]
async fn a_listener_that_cannot_be_opened_leaves_all_as_it_is() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let taken = registry.address();
    archway.extend_config(&format!(
        "[[listener]]\naddress = \"{taken}\"\n[upstream.\"second.test\"]"
    ));
    let (said, code) = reload(&archway).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!("cannot listen on {taken}")),
        "{said}"
    );
    let answer = archway
        .client()
        .get("/v2/second.test/team/app/manifests/v1")
        .await;
    assert_eq!(answer.error_code(), "NAME_UNKNOWN");
}

#[tokio::test]
async fn an_archway_that_was_started_offline_stays_offline() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .start_with(&["--offline"])
        .await;
    archway.extend_config(&format!(
        "[upstream.\"second.test\"]\nendpoints = [{:?}]",
        registry.url()
    ));
    reloaded(&archway).await;
    for host in [UPSTREAM, "second.test"] {
        let path = format!("/v2/{host}/team/app/manifests/v1");
        archway.client().get(&path).await.expect(404);
    }
    assert!(registry.log().all().is_empty());
}

#[tokio::test]
async fn levels_of_the_log_follow() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .log_level("info")
        .start()
        .await;
    archway.edit_config("level = \"info\"", "level = \"error\"");
    let said = reloaded(&archway).await;
    assert!(said.contains("log.level (line "), "{said}");
    for (from, to) in [("error", "warn"), ("warn", "info")] {
        archway.edit_config(&format!("level = \"{from}\""), &format!("level = \"{to}\""));
        reloaded(&archway).await;
    }
    let said = || {
        let mut events = archway.log().events();
        events.retain(|event| event["message"] == "the configuration was read again");
        events.len()
    };
    eventually("the last is logged", async || (said() > 0).then_some(())).await;
    assert_eq!(said(), 1, "each is logged at the level it brings");
}

/// The number of reloads beside the pulls; `make soak` makes more of them.
fn rounds() -> usize {
    let rounds = std::env::var("ARCHWAY_RELOADS");
    rounds.map_or(60, |rounds| rounds.parse().expect("a number"))
}

/// Bytes of memory of the process.
fn resident(archway: &Archway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", archway.pid()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.expect("a size").trim().trim_end_matches(" kB");
    kib.parse::<u64>().expect("a number") * 1024
}

/// A loop of pulls that ends when it is told to; every request in it has to succeed.
async fn pulls(client: Client, ends: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !ends.load(Ordering::Relaxed) {
        client.pull("team/app", "v1").await;
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_pull_fails_while_the_configuration_is_read_again_and_again() {
    let (registry, _) = FakeRegistry::with_app().await;
    let lines = "tag_ttl = \"0s\"";
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    let socket = archway.cache_folder().join("admin.sock");
    let ends = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(pulls(archway.client(), Arc::clone(&ends)));
    }
    let (rounds, mut before) = (rounds(), 0);
    for round in 0..rounds {
        // Each changes the upstream that is pulled from, so that nothing of it is kept.
        let (from, to) = match round % 2 {
            0 => ("tag_ttl = \"0s\"", "tag_ttl = \"1ms\""),
            _ => ("tag_ttl = \"1ms\"", "tag_ttl = \"0s\""),
        };
        archway.edit_config(from, to);
        let answer = reload_at(&socket).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("tag_ttl"),
            "{answer}"
        );
        if round == rounds / 2 {
            before = resident(&archway);
        }
    }
    let after = resident(&archway);
    ends.store(true, Ordering::Relaxed);
    while let Some(count) = clients.join_next().await {
        assert!(count.expect("every request succeeded") > 0);
    }
    let megabytes = |bytes: u64| bytes / 1_000_000;
    println!(
        "{rounds} reloads beside 8 clients: {} MB of memory half-way, {} MB at the end",
        megabytes(before),
        megabytes(after)
    );
    // Room for the allocator; 1 KiB for each reload would be more in the long form.
    assert!(after < before + (8 << 20), "{before} bytes, then {after}");
}
