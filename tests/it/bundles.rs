//! `archway bundle`: images leave one cache as a file and arrive in another with every digest.

mod carried;
mod delta;
mod disks;
mod export;
mod foreign;
mod import;
mod inbox;
mod live;
mod parts;
mod running;
mod signed;

use std::path::{Path, PathBuf};
use std::process::Output;

use integration_tests::client::IMAGES_ONLY;
use integration_tests::images::{self, Content};
use integration_tests::proxy::{Archway, Setup, UPSTREAM, run};
use integration_tests::registry::FakeRegistry;
use serde_json::Value;
use tempfile::TempDir;

const REPOSITORY: &str = "team/app";
const BOTH: &str = "linux/amd64,linux/arm64";

/// A stopped cache with an image for all its platforms, and a folder for bundles.
struct Source {
    archway: Archway,
    content: Content,
    folder: TempDir,
}

impl Source {
    async fn new() -> Self {
        let content = images::multi_platform("app");
        let registry = FakeRegistry::with(REPOSITORY, "v1", &content).await;
        let mut archway = Setup::in_front_of(&registry).start().await;
        let client = archway.client();
        client.manifest(REPOSITORY, "v1").await.expect(200);
        for manifest in &content.manifests {
            client
                .manifest(REPOSITORY, manifest.digest)
                .await
                .expect(200);
        }
        for blob in &content.blobs {
            client.blob(REPOSITORY, blob.digest()).await.expect(200);
            archway.stores(&blob.digest()).await;
        }
        stop(&mut archway).await;
        Self {
            archway,
            content,
            folder: TempDir::new().expect("a folder"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn export(&self, file: &Path, words: &[&str]) -> Output {
        let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
        let file = file.to_str().expect("a plain path");
        let words = [&["export", &name, "-o", file], words].concat();
        self.archway.bundle_command(&words).await
    }
}

async fn stop(archway: &mut Archway) {
    archway.terminate();
    archway.ended().await;
}

/// A site whose upstream cannot be reached.
async fn site() -> Archway {
    let registry = FakeRegistry::start().await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    registry.close().await;
    stop(&mut archway).await;
    archway
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{all}");
    all
}

#[tokio::test]
async fn an_image_arrives_at_a_site_with_the_digests_it_left_with() {
    let source = Source::new().await;
    let file = source.file("site.tar");
    let path = file.to_str().expect("a plain path");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    said(&run(&["bundle", "verify", path]).await, 0);

    let site = site().await;
    let text = said(&site.bundle_command(&["import", path]).await, 0);
    assert!(text.contains("1 image"), "{text}");
    let site = site.restart().await;
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    // With a server that this command cannot ask, nobody knows what is stored.
    let folder = site.cache_folder();
    let folder = folder.to_str().expect("a plain path");
    let export = [
        "bundle",
        "export",
        &name,
        "--platform",
        BOTH,
        "-o",
        "never.tar",
        "--path",
        folder,
    ];
    let refused = said(&run(&export).await, 2);
    assert!(refused.contains("--config"), "{refused}");
    let client = site.client();
    let root = source.content.root();
    let answer = client.manifest(REPOSITORY, "v1").await.expect(200);
    assert_eq!(answer.body, root.bytes);
    assert_eq!(
        answer.header("docker-content-digest"),
        root.digest.to_string()
    );
    for platform in ["linux/amd64", "linux/arm64/v8"] {
        let child = source.content.child(platform);
        let answer = client.manifest(REPOSITORY, child.digest).await.expect(200);
        assert_eq!(answer.body, child.bytes);
        let manifest: Value = serde_json::from_slice(&answer.body).expect("JSON");
        for layer in manifest["layers"].as_array().expect("layers") {
            let digest = layer["digest"].as_str().expect("a digest");
            client.blob(REPOSITORY, digest).await.expect(200);
        }
    }
    let again = said(&run(&["bundle", "inspect", path, "-o", "json"]).await, 0);
    let inspected: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(
        inspected["lock"]["images"][0]["digest"],
        root.digest.to_string()
    );
}

#[tokio::test]
async fn a_platform_that_is_left_out_is_named_and_not_served() {
    let source = Source::new().await;
    let file = source.file("arm64.tar");
    let path = file.to_str().expect("a plain path");
    said(
        &source.export(&file, &["--platform", "linux/arm64"]).await,
        0,
    );
    let text = said(&run(&["bundle", "inspect", path]).await, 0);
    let row = text.lines().last().expect("a row").split("  ");
    let cells: Vec<_> = row.map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(
        cells[2..],
        ["linux/arm64", "linux/amd64, linux/arm/v7"],
        "{text}"
    );

    let site = site().await;
    said(&site.bundle_command(&["import", path]).await, 0);
    let site = site.restart().await;
    let client = site.client();
    let arm64 = source.content.child("linux/arm64/v8");
    let amd64 = source.content.child("linux/amd64");
    client.manifest(REPOSITORY, arm64.digest).await.expect(200);
    assert!(!site.has_stored(&amd64.digest));
    let index = client
        .manifest(REPOSITORY, source.content.root().digest)
        .await;
    assert_eq!(index.expect(200).body, source.content.root().bytes);
}

#[tokio::test]
async fn an_offline_site_names_the_bundle_that_left_a_platform_out() {
    let source = Source::new().await;
    let file = source.file("arm64.tar");
    let path = file.to_str().expect("a plain path");
    said(
        &source.export(&file, &["--platform", "linux/arm64"]).await,
        0,
    );
    let amd64 = source.content.child("linux/amd64");
    let inspected = said(&run(&["bundle", "inspect", path, "-o", "json"]).await, 0);
    let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
    let id = inspected["id"].as_str().expect("an id");
    let site = site().await;
    said(&site.bundle_command(&["import", path]).await, 0);
    let offline = site
        .restart_with("endpoints", "offline = true\nendpoints")
        .await;
    let client = offline.client();
    let hinted = client
        .clone()
        .accepting(&IMAGES_ONLY)
        .with("archway-platform", "linux/amd64");
    for answer in [
        client.manifest(REPOSITORY, amd64.digest).await,
        hinted.manifest(REPOSITORY, "v1").await,
    ] {
        let error = answer.expect(404).json()["errors"][0].clone();
        assert_eq!(error["detail"]["left_out_by"], id);
        assert_eq!(error["detail"]["platforms"][0], "linux/arm64");
        let message = error["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("left it out"), "{message}");
    }
    let (admin, name) = (
        format!("--admin={}", offline.admin_url()),
        format!("{UPSTREAM}/{REPOSITORY}:v1"),
    );
    let text = said(
        &run(&["ready", &name, "--platform", "linux/amd64", &admin]).await,
        1,
    );
    assert!(
        text.contains("left it out; its upstream is offline"),
        "{text}"
    );
    let text = said(&run(&["images", &admin]).await, 0);
    assert!(text.contains("left out"), "{text}");
}

#[tokio::test]
async fn a_list_may_name_the_platform_of_an_image() {
    let source = Source::new().await;
    let list = source.file("images.txt");
    let list_path = list.to_str().expect("a plain path");
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let export = async |text: &str, file: &Path, more: &[&str]| {
        std::fs::write(&list, text).expect("a writable folder");
        let file = file.to_str().expect("a plain path");
        let words = ["export", "--from-file", list_path, "-o", file];
        source
            .archway
            .bundle_command(&[&words, more].concat())
            .await
    };
    let one = format!("# wanted\n{name} linux/arm64  # 3 times, last 2026-11-27\n");
    let two = format!("{one}{name} linux/amd64\n");
    for (text, more, expected) in [
        (&one, &[][..], ["linux/arm64", "linux/amd64, linux/arm/v7"]),
        (&two, &[], ["linux/amd64, linux/arm64", "linux/arm/v7"]),
        (
            &one,
            &["--platform", "linux/arm/v7"],
            ["linux/arm64", "linux/amd64, linux/arm/v7"],
        ),
        (
            &name,
            &["--platform", "linux/arm64"],
            ["linux/arm64", "linux/amd64, linux/arm/v7"],
        ),
    ] {
        let file = source.file("listed.tar");
        said(&export(text, &file, more).await, 0);
        let text = said(
            &run(&["bundle", "inspect", file.to_str().expect("a path")]).await,
            0,
        );
        let row = text.lines().last().expect("a row").split("  ");
        let cells: Vec<_> = row.map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells[2..], expected, "{text}");
        std::fs::remove_file(&file).expect("it was written");
    }
    let text = said(&export(&name, &source.file("none.tar"), &[]).await, 2);
    assert!(text.contains("is for no platform"), "{text}");
}

#[tokio::test]
async fn an_interrupted_export_continues_to_the_same_bytes() {
    let source = Source::new().await;
    let (whole, cut) = (source.file("whole.tar"), source.file("cut.tar"));
    said(&source.export(&whole, &["--platform", BOTH]).await, 0);
    let bytes = std::fs::read(&whole).expect("it was written");
    let partial = source.file("cut.tar.partial");
    for length in [bytes.len() / 3, bytes.len() - 700] {
        std::fs::write(&partial, &bytes[..length]).expect("a writable folder");
        let text = said(&source.export(&cut, &["--platform", BOTH]).await, 2);
        assert!(text.contains("--resume"), "{text}");
        said(
            &source.export(&cut, &["--platform", BOTH, "--resume"]).await,
            0,
        );
        assert!(std::fs::read(&cut).expect("it was written") == bytes);
        assert!(!partial.exists());
        std::fs::remove_file(&cut).expect("a writable folder");
    }
}

#[tokio::test]
async fn an_export_that_ended_before_its_lock_begins_anew() {
    let source = Source::new().await;
    let (whole, cut) = (source.file("whole.tar"), source.file("cut.tar"));
    said(&source.export(&whole, &["--platform", BOTH]).await, 0);
    let bytes = std::fs::read(&whole).expect("it was written");
    let path = cut.to_str().expect("a plain path");
    for length in [0, 700, 2000] {
        std::fs::write(source.file("cut.tar.partial"), &bytes[..length]).expect("a folder");
        said(
            &source.export(&cut, &["--platform", BOTH, "--resume"]).await,
            0,
        );
        said(&run(&["bundle", "verify", path]).await, 0);
        std::fs::remove_file(&cut).expect("a writable folder");
    }
}

#[tokio::test]
async fn a_rest_of_another_export_is_not_taken_for_this_one() {
    let source = Source::new().await;
    let (whole, cut) = (source.file("whole.tar"), source.file("cut.tar"));
    said(&source.export(&whole, &["--platform", BOTH]).await, 0);
    std::fs::copy(&whole, source.file("cut.tar.partial")).expect("a writable folder");
    let whole_path = whole;
    let words = ["--platform", "linux/arm64", "--resume"];
    let text = said(&source.export(&cut, &words).await, 2);
    assert!(text.contains("is of another export"), "{text}");
    assert!(!cut.exists());
    let whole = ["--platform", BOTH, "--resume"];
    let since = whole_path.to_str().expect("a plain path");
    for more in [
        &["--docker", "linux/arm64"],
        &["--since", since],
        &["--index", "all"],
        &["--series", "site"],
    ] {
        let text = said(&source.export(&cut, &[&whole[..], more].concat()).await, 2);
        assert!(text.contains("is of another export"), "{more:?}: {text}");
    }
    said(&source.export(&cut, &whole).await, 0);
}

#[tokio::test]
async fn a_damaged_bundle_is_refused_and_nothing_of_it_is_visible() {
    let source = Source::new().await;
    let file = source.file("site.tar");
    let path = file.to_str().expect("a plain path");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    let mut bytes = std::fs::read(&file).expect("it was written");
    let layer = bytes.len() - 4000;
    bytes[layer] ^= 1;
    std::fs::write(&file, &bytes).expect("a writable folder");
    let text = said(&run(&["bundle", "verify", path]).await, 1);
    assert!(text.contains("damaged"), "{text}");

    let site = site().await;
    said(&site.bundle_command(&["import", path]).await, 1);
    let site = site.restart().await;
    let answer = site.client().manifest(REPOSITORY, "v1").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);

    // The sound copy of the same bundle completes what the damaged one began.
    bytes[layer] ^= 1;
    std::fs::write(&file, &bytes).expect("a writable folder");
    let mut site = site;
    stop(&mut site).await;
    said(&site.bundle_command(&["import", path]).await, 0);
    let site = site.restart().await;
    site.client().manifest(REPOSITORY, "v1").await.expect(200);
}

#[tokio::test]
async fn a_delta_needs_its_base_and_says_so() {
    let source = Source::new().await;
    let (base, delta) = (source.file("base.tar"), source.file("delta.tar"));
    let base_path = base.to_str().expect("a plain path");
    let path = delta.to_str().expect("a plain path");
    said(
        &source.export(&base, &["--platform", "linux/arm64"]).await,
        0,
    );
    let words = ["--platform", BOTH, "--since", base_path];
    said(&source.export(&delta, &words).await, 0);

    let site = site().await;
    let text = said(&site.bundle_command(&["import", path]).await, 1);
    assert!(
        text.contains("import the bundles it builds on first: sha256:"),
        "{text}"
    );
    said(&site.bundle_command(&["import", base_path, path]).await, 0);
    let site = site.restart().await;
    let amd64 = source.content.child("linux/amd64");
    site.client()
        .manifest(REPOSITORY, amd64.digest)
        .await
        .expect(200);
}

#[tokio::test]
async fn what_cannot_be_carried_is_named() {
    let source = Source::new().await;
    let file = source.file("never.tar");
    let text = said(
        &source.export(&file, &["--platform", "linux/s390x"]).await,
        1,
    );
    assert!(
        text.contains("has no manifest for linux/s390x; it has linux/amd64"),
        "{text}"
    );
    let words = [
        "export",
        "docker.io/library/absent:1",
        "--platform",
        "all",
        "-o",
        "x.tar",
    ];
    let text = said(&source.archway.bundle_command(&words).await, 1);
    assert!(
        text.contains("docker.io/library/absent:1 is not stored"),
        "{text}"
    );
    assert!(!file.exists());
}
