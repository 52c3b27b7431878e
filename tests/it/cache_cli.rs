//! `archway cache`: what operators see of a cache and do to it, beside a running server and without one.

mod changes;
mod listings;
mod verify;

use std::path::Path;
use std::process::Output;

use integration_tests::client::Pulled;
use integration_tests::images::{self, Content};
use integration_tests::proxy::{Archway, Setup, UPSTREAM, run};
use integration_tests::registry::FakeRegistry;
use manifest_model::Digest;
use serde_json::Value;

const REPOSITORY: &str = "team/app";

/// A server whose cache holds one image, all of it on the disk.
struct Stage {
    registry: FakeRegistry,
    archway: Archway,
    content: Content,
    pulled: Pulled,
}

impl Stage {
    async fn set() -> Self {
        let content = images::multi_platform("app");
        let registry = FakeRegistry::with(REPOSITORY, "v1", &content).await;
        let archway = Setup::in_front_of(&registry).start().await;
        let pulled = pull(&archway, REPOSITORY, "v1").await;
        Self {
            registry,
            archway,
            content,
            pulled,
        }
    }

    /// The same with the server stopped as an operator stops it.
    async fn stopped() -> Self {
        let mut stage = Self::set().await;
        stage.stop().await;
        stage
    }

    /// The same after a restart of the server, whether or not it ran.
    async fn restarted(self) -> Self {
        Self {
            archway: self.archway.restart().await,
            ..self
        }
    }

    async fn stop(&mut self) {
        self.archway.terminate();
        self.archway.ended().await;
    }

    /// A layer or config of the image.
    fn blob(&self) -> Digest {
        *self.pulled.parts.last().expect("an image has blobs")
    }

    fn name(tag: &str) -> String {
        format!("{UPSTREAM}/{REPOSITORY}:{tag}")
    }
}

async fn pull(archway: &Archway, repository: &str, tag: &str) -> Pulled {
    let pulled = archway.client().pull(repository, tag).await;
    archway.stores_all(&pulled).await;
    pulled
}

fn file(archway: &Archway, digest: &Digest) -> std::path::PathBuf {
    let folder = archway.cache_folder().join("blobs/sha256");
    folder.join(digest.hex())
}

fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a stored blob");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("a writable cache");
}

/// What a command said on standard output, if it ended with `code`.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    out
}

/// What becomes of `archway cache WORDS -o json`.
async fn asked(archway: &Archway, words: &[&str]) -> Output {
    let words = [words, &["-o", "json"]].concat();
    archway.cache_command(&words).await
}

#[track_caller]
fn json(output: &Output, code: i32) -> Value {
    let text = said(output, code);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_folder_that_holds_no_cache_is_refused_by_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("notes.txt"), "mine").expect("a writable folder");
    let path = folder.path().to_str().expect("a plain path");
    let digest = format!("sha256:{}", "0".repeat(64));
    for words in [&["verify"][..], &["ls"], &["du"], &["gc"], &["rm", &digest]] {
        let output = run(&[&["cache"], words, &["--path", path]].concat()).await;
        said(&output, 2);
        let complaint = complaint(&output);
        assert!(complaint.contains("holds no cache"), "{complaint}");
        let missing = format!("{path}/nowhere");
        let output = run(&[&["cache"], words, &["--path", &missing]].concat()).await;
        said(&output, 2);
    }
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1, "nothing was made in it");
}

#[tokio::test]
async fn an_empty_cache_has_nothing_wrong_and_nothing_in_it() {
    let registry = FakeRegistry::start().await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    archway.terminate();
    archway.ended().await;
    let verified = json(&asked(&archway, &["verify"]).await, 0);
    assert_eq!(
        (
            verified["files"].as_u64(),
            verified["findings"].as_array().map(Vec::len)
        ),
        (Some(0), Some(0))
    );
    let listed = json(&asked(&archway, &["ls"]).await, 0);
    assert_eq!(listed["blobs"].as_array().map(Vec::len), Some(0));
    let used = json(&asked(&archway, &["du"]).await, 0);
    assert_eq!(used["bytes"], 0);
    let cleaned = json(&asked(&archway, &["gc"]).await, 0);
    assert_eq!(cleaned["rows_dropped"], 0);
    assert_eq!(cleaned["index_rebuilt"], false);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_shown_as_for_serve() {
    let output = Setup::new()
        .cache("max_sise = \"1GiB\"")
        .run(&["cache", "ls", "--config", "CONFIG"])
        .await;
    said(&output, 2);
    let complaint = complaint(&output);
    assert!(complaint.contains("max_sise"), "{complaint}");
}
