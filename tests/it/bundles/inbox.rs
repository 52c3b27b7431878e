//! The inbox of a running gateway: what a diode puts there is imported once it is whole, and put away.

use std::fs;

use integration_tests::wait::eventually;

use super::import::{assert_whole_now, exported};
use super::*;

struct Inbox {
    gateway: Archway,
    folder: TempDir,
}

impl Inbox {
    async fn new(lines: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let registry = FakeRegistry::start().await;
        let table = format!(
            "[bundles]\ninbox = \"{}\"\n{lines}",
            folder.path().display()
        );
        let setup = Setup::in_front_of(&registry).top("offline = true");
        let gateway = setup.table(&table).start().await;
        Self { gateway, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a receiver does it that is careful.
    fn renamed_in(&self, from: &Path, name: &str) {
        let hidden = self.path(&format!(".{name}"));
        fs::copy(from, &hidden).expect("a writable folder");
        fs::rename(hidden, self.path(name)).expect("a writable folder");
    }

    async fn puts_away(&self, name: &str) -> Value {
        let report = self.path(&format!("{name}.report.json"));
        let (_, bundle) = name.split_once('/').expect("a folder");
        let is_away = async || (report.exists() && !self.path(bundle).exists()).then_some(());
        eventually("the bundle is put away", is_away).await;
        serde_json::from_slice(&fs::read(report).expect("a report")).expect("JSON")
    }
}

#[tokio::test]
async fn a_bundle_in_the_inbox_is_imported_and_put_away_and_another_is_refused_with_the_reason() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let inbox = Inbox::new("").await;
    let damaged = source.file("damaged.tar");
    let mut bytes = fs::read(&path).expect("it was written");
    let at = bytes.len() - 4000;
    bytes[at] ^= 1;
    fs::write(&damaged, bytes).expect("a writable folder");
    fs::write(inbox.path("site.tar.sha256"), "sums").expect("a writable folder");
    inbox.renamed_in(&damaged, "damaged.tar");
    inbox.renamed_in(Path::new(&path), "site.tar");
    let report = inbox.puts_away("done/site.tar").await;
    assert_eq!(report["imported"]["images"], 1, "{report}");
    assert!(inbox.path("done/site.tar.sha256").exists());
    let report = inbox.puts_away("refused/damaged.tar").await;
    let reason = report["refused"].as_str().expect("a reason");
    assert!(
        reason.contains("are not those its digest names"),
        "{reason}"
    );
    assert!(inbox.path("refused/damaged.tar").exists());
    assert_whole_now(&inbox.gateway, &source).await;
}

#[tokio::test]
async fn a_bundle_that_is_still_coming_is_waited_for_and_said_to_be() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let third = fs::metadata(&path).expect("it was written").len() / 3 + 4096;
    said(
        &run(&["bundle", "split", &third.to_string(), &path]).await,
        0,
    );
    let whole = fs::read(&path).expect("it was written");
    let inbox = Inbox::new("").await;
    fs::write(inbox.path("half.tar"), &whole[..whole.len() / 2]).expect("a writable folder");
    for part in ["site.tar.001", "site.tar.003", "site.lock.json"] {
        inbox.renamed_in(&source.file(part), part);
    }
    let waits = "a bundle in the inbox is not complete";
    let waiting = async || {
        let events = inbox.gateway.log().events().into_iter();
        let events = events.filter(|event| event["message"] == waits);
        let names = events.map(|event| event["name"].as_str().expect("a name").to_owned());
        names.collect::<Vec<_>>()
    };
    let both_wait = async || (waiting().await.len() == 2).then_some(());
    eventually("both are said to wait", both_wait).await;
    fs::write(inbox.path("half.tar"), &whole).expect("a writable folder");
    let report = inbox.puts_away("done/half.tar").await;
    assert_eq!(report["imported"]["new_blobs"], 9, "{report}");
    inbox.renamed_in(&source.file("site.tar.002"), "site.tar.002");
    let report = inbox.puts_away("done/site.tar").await;
    assert_eq!(report["imported"]["new_blobs"], 0, "{report}");
    for part in [
        "site.tar.001",
        "site.tar.002",
        "site.tar.003",
        "site.lock.json",
    ] {
        assert!(inbox.path(&format!("done/{part}")).exists(), "{part}");
    }
    assert_eq!(waiting().await.len(), 2, "each was said once");
    assert_whole_now(&inbox.gateway, &source).await;
}

#[tokio::test]
async fn the_trusted_keys_apply_to_the_inbox_too() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let [_, public] = signed::key_pair(source.folder.path(), "site");
    let inbox = Inbox::new(&format!("trusted_keys = [\"{public}\"]")).await;
    inbox.renamed_in(Path::new(&path), "site.tar");
    let report = inbox.puts_away("refused/site.tar").await;
    let reason = report["refused"].as_str().expect("a reason");
    assert!(reason.contains("the bundle is not signed"), "{reason}");
    inbox
        .gateway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(404);
}
