//! Imports into a gateway that serves: over its socket, with its clients at work.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use integration_tests::wait::eventually;

use super::import::{assert_whole_now, exported, tags};
use super::*;

/// A gateway that runs, has nothing, and asks nobody.
async fn gateway(lines: &str) -> Archway {
    let registry = FakeRegistry::start().await;
    let setup = Setup::in_front_of(&registry).top("offline = true");
    setup.table(lines).start().await
}

#[tokio::test]
async fn a_running_gateway_takes_a_bundle_in_and_serves_it_at_once() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let gateway = gateway("").await;
    let client = gateway.client();
    client.manifest(REPOSITORY, "v1").await.expect(404);
    let dry = said(
        &gateway
            .bundle_command(&["import", &path, "--dry-run"])
            .await,
        0,
    );
    assert!(dry.contains("1 image, 9 new of 9 blobs"), "{dry}");
    client.manifest(REPOSITORY, "v1").await.expect(404);
    let text = said(&gateway.bundle_command(&["import", &path]).await, 0);
    assert!(text.contains("1 image, 9 new of 9 blobs"), "{text}");
    assert_whole_now(&gateway, &source).await;
    let imported = gateway.log().events();
    let imported = imported
        .iter()
        .filter(|event| event["message"] == "a bundle was imported");
    assert_eq!(imported.count(), 1);
    // What it brought is pinned, and survives.
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let text = said(&gateway.command(&["rm", &name]).await, 1);
    assert!(text.contains("kept by the bundle"), "{text}");
    fs::remove_file(gateway.cache_folder().join("index.redb")).expect("an index");
    let gateway = gateway.restart().await;
    assert_whole_now(&gateway, &source).await;
    let listed = said(&gateway.bundle_command(&["ls", "-o", "json"]).await, 0);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let id = listed["bundles"][0]["id"].as_str().expect("an id");
    let keep = ["keep", "--last", "1"];
    assert_eq!(
        said(&gateway.bundle_command(&keep).await, 0),
        "",
        "it has no series"
    );
    let text = said(&gateway.bundle_command(&["rm", id, "--purge"]).await, 0);
    assert!(text.contains("removed 9 blobs"), "{text}");
    gateway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(404);
    assert_eq!(gateway.files("blobs"), []);
}

#[tokio::test]
async fn the_gateway_needs_no_right_to_read_the_files_that_are_handed_over() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let third = fs::metadata(&path).expect("it was written").len() / 3 + 4096;
    said(
        &run(&["bundle", "split", &third.to_string(), &path]).await,
        0,
    );
    let gateway = gateway("").await;
    let config = gateway.cache_folder().with_file_name("archway.toml");
    // By names that mean nothing to the gateway: it runs in another folder.
    let import = |words: &[&str], input: Stdio| {
        let mut command = Command::new(integration_tests::proxy::binary());
        command
            .args(["bundle", "import", "--config"])
            .arg(&config)
            .args(words)
            .current_dir(source.folder.path())
            .stdin(input);
        command
    };
    let ran = async |mut command: Command| {
        let running = tokio::task::spawn_blocking(move || command.output());
        running.await.expect("no panic").expect("it starts")
    };
    let text = said(&ran(import(&["site.tar.002"], Stdio::null())).await, 1);
    assert!(text.contains("in a part that is not here"), "{text}");
    gateway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(404);
    let parts = ["site.tar.003", "site.tar.001", "site.tar.002"];
    said(&ran(import(&parts, Stdio::null())).await, 0);
    assert_whole_now(&gateway, &source).await;
    let site_tar = || Stdio::from(File::open(&path).expect("it is there"));
    let text = said(&ran(import(&["-"], site_tar())).await, 0);
    assert!(text.contains("-: 1 image, 0 new of 9 blobs"), "{text}");
    let unpacked = source.file("layout");
    fs::create_dir(&unpacked).expect("a folder");
    let mut tar = Command::new("tar");
    let tar = tar.args(["xf", &path, "-C"]).arg(&unpacked).status();
    assert!(tar.expect("tar").success());
    let text = said(&ran(import(&["layout"], Stdio::null())).await, 0);
    assert!(text.contains("layout: 1 image, 0 new of"), "{text}");
}

#[tokio::test]
async fn a_running_gateway_refuses_what_a_stopped_one_does_with_the_same_words() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let bytes = fs::read(&path).expect("it was written");
    let damaged = source.file("damaged.tar");
    let mut wrong = bytes.clone();
    wrong[bytes.len() - 4000] ^= 1;
    fs::write(&damaged, wrong).expect("a writable folder");
    let cut = source.file("cut.tar");
    fs::write(&cut, &bytes[..bytes.len() - 9000]).expect("a writable folder");
    let none = source.file("none.tar");
    fs::write(&none, "no bundle").expect("a writable folder");
    let base = source.file("base.tar");
    let only = ["--platform", "linux/arm64"];
    said(&source.export(&base, &only).await, 0);
    let delta = source.file("delta.tar");
    let since = [
        "--platform",
        BOTH,
        "--since",
        base.to_str().expect("a path"),
    ];
    said(&source.export(&delta, &since).await, 0);
    let running = gateway("").await;
    let mut stopped = gateway("").await;
    stop(&mut stopped).await;
    let files = [&damaged, &cut, &none, &delta, &source.file("absent.tar")];
    for file in files {
        let import = ["import", file.to_str().expect("a plain path")];
        let of_stopped = stopped.bundle_command(&import).await;
        let of_running = running.bundle_command(&import).await;
        assert_eq!(
            String::from_utf8_lossy(&of_running.stderr),
            String::from_utf8_lossy(&of_stopped.stderr)
        );
        assert_eq!(of_running.status.code(), of_stopped.status.code());
        assert_ne!(of_running.status.code(), Some(0), "{file:?}");
    }
    running
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(404);
    said(&running.bundle_command(&["import", &path]).await, 0);
    assert_whole_now(&running, &source).await;
}

#[tokio::test]
async fn images_of_an_upstream_that_is_not_configured_are_refused_with_the_table_to_add() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let registry = FakeRegistry::start().await;
    let setup = Setup::new().upstream("other.test", &registry);
    let mut gateway = setup.top("offline = true").start().await;
    let import = ["import", &path];
    let running = said(&gateway.bundle_command(&import).await, 2);
    let reason = format!("no upstream {UPSTREAM}; add [upstream.\"{UPSTREAM}\"]");
    assert!(running.contains(&reason), "{running}");
    stop(&mut gateway).await;
    assert_eq!(said(&gateway.bundle_command(&import).await, 2), running);
    assert_eq!(gateway.files("blobs"), []);
}

#[tokio::test]
async fn an_import_whose_client_leaves_stops_and_the_next_one_goes_on() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let bytes = fs::read(&path).expect("it was written");
    let gateway = gateway("").await;
    let config = gateway.cache_folder().with_file_name("archway.toml");
    // Half of a bundle comes out of a pipe, and then nothing more.
    let mut command = Command::new(integration_tests::proxy::binary());
    let command = command
        .args(["bundle", "import", "-", "--config"])
        .arg(config);
    let mut importing = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut pipe = importing.stdin.take().expect("piped");
    let half = bytes[..bytes.len() / 2].to_vec();
    let pipe = tokio::task::spawn_blocking(move || {
        std::io::Write::write_all(&mut pipe, &half).expect("somebody reads");
        pipe
    });
    let pipe = pipe.await.expect("no panic");
    let has_come = async || (!gateway.files("ingest").is_empty()).then_some(());
    eventually("some of it has come", has_come).await;
    gateway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(404);
    importing.kill().expect("it runs");
    importing.wait().expect("it ran");
    drop(pipe);
    let text = said(&gateway.bundle_command(&["import", &path]).await, 0);
    assert!(!text.contains("9 new of 9"), "{text}");
    assert_whole_now(&gateway, &source).await;
}

#[tokio::test]
async fn a_gateway_that_ends_says_so_to_who_imports() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let bytes = fs::read(&path).expect("it was written");
    let mut gateway = gateway("").await;
    let config = gateway.cache_folder().with_file_name("archway.toml");
    let mut command = Command::new(integration_tests::proxy::binary());
    let command = command
        .args(["bundle", "import", "-", "--config"])
        .arg(config);
    let command = command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut importing = command.spawn().expect("it starts");
    let mut pipe = importing.stdin.take().expect("piped");
    let half = bytes[..bytes.len() / 2].to_vec();
    std::io::Write::write_all(&mut pipe, &half).expect("a pipe holds that much");
    let has_come = async || (!gateway.files("ingest").is_empty()).then_some(());
    eventually("some of it has come", has_come).await;
    gateway.terminate();
    let waiting = tokio::task::spawn_blocking(move || importing.wait_with_output());
    let text = said(&waiting.await.expect("no panic").expect("it ran"), 2);
    assert!(
        text.contains("is shutting down; what has come stays"),
        "{text}"
    );
    drop(pipe);
    gateway.ended().await;
    said(&gateway.bundle_command(&["import", &path]).await, 0);
    assert_eq!(tags(&gateway).await.len(), 1);
}

#[tokio::test]
async fn a_stored_blob_that_has_rotted_comes_again() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let gateway = gateway("").await;
    said(&gateway.bundle_command(&["import", &path]).await, 0);
    let (file, _) = gateway
        .files("blobs")
        .into_iter()
        .max_by_key(|(_, size)| *size)
        .expect("there are blobs");
    let mut bytes = fs::read(&file).expect("it is there");
    bytes[7] ^= 1;
    fs::write(&file, bytes).expect("a writable folder");
    said(&gateway.cache_command(&["verify"]).await, 1);
    let text = said(&gateway.bundle_command(&["import", &path]).await, 0);
    assert!(
        text.contains("note: 1 stored blob had to come again"),
        "{text}"
    );
    said(&gateway.cache_command(&["verify"]).await, 0);
    assert_whole_now(&gateway, &source).await;
}
