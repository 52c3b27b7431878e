//! SIGTERM: running downloads end well within the grace, nothing new is taken, and the exit is
//! clean.

use std::os::unix::fs::OpenOptionsExt;

use http::Method;
use integration_tests::auth::{Auth, Login};
use integration_tests::client::{Client, Download, End, blob_path};
use integration_tests::faults::{Gate, On};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use rustix::fs::OFlags;

const SIZE: u64 = 4_000_000;

async fn with(grace: &str) -> (FakeRegistry, Archway, Blob, Gate) {
    let blob = Blob::from(BigBlob::new("last one", SIZE));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), SIZE / 2);
    let table = format!("[server]\nshutdown_grace = \"{grace}\"");
    let archway = Setup::in_front_of(&registry).table(&table).start().await;
    (registry, archway, blob, gate)
}

/// A download of which a quarter has been read.
async fn begun(archway: &Archway, blob: &Blob) -> Download {
    let path = blob_path("team/app", blob.digest());
    let mut download = archway.client().open(Method::GET, &path).await;
    download.read_to(SIZE / 4, blob, 0).await;
    download
}

/// Waits until no new client gets an answer.
async fn refuses_new_clients(archway: &Archway) {
    let url = archway.url();
    eventually("new clients are turned away", async || {
        let answer = Client::new(&url).try_open(Method::GET, "/v2/").await;
        answer
            .map_or(true, |answer| answer.status() != 200)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_running_download_ends_well_and_the_exit_is_clean() {
    let (_registry, mut archway, blob, gate) = with("5m").await;
    let download = begun(&archway, &blob).await;
    archway.terminate();
    refuses_new_clients(&archway).await;
    assert!(archway.is_running());
    gate.open();
    let end = within("the download ends", download.finish(&blob)).await;
    assert_eq!(end, End::Complete(SIZE));
    assert_eq!(archway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_fill_that_nobody_waits_for_reaches_the_disk_within_the_grace() {
    let (registry, mut archway, blob, gate) = with("5m").await;
    let download = begun(&archway, &blob).await;
    drop(download);
    archway.terminate();
    refuses_new_clients(&archway).await;
    gate.open();
    assert_eq!(archway.ended().await.code(), Some(0));
    registry.close().await;
    let archway = archway.restart().await;
    let answer = archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    assert_eq!(answer.header("archway-cache"), "hit");
}

#[tokio::test]
async fn what_does_not_end_is_cut_after_the_grace() {
    let (_registry, mut archway, blob, _gate) = with("200ms").await;
    let download = begun(&archway, &blob).await;
    let path = blob_path("team/app", blob.digest());
    archway.terminate();
    let end = within("the download is cut", download.finish(&blob)).await;
    assert!(matches!(end, End::Broken(_)), "{end:?}");
    archway.ended().await;
    let cut = archway
        .log()
        .request("the client that was cut", |line| {
            line["path"] == path.as_str()
        })
        .await;
    assert_eq!(cut["complete"], false);
}

#[tokio::test]
async fn an_idle_archway_ends_at_once() {
    let registry = FakeRegistry::start().await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    archway.client().get("/v2/").await.expect(200);
    archway.terminate();
    assert_eq!(archway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_registry, mut archway, blob, _gate) = with("5m").await;
    let _download = begun(&archway, &blob).await;
    archway.terminate();
    refuses_new_clients(&archway).await;
    assert!(archway.is_running());
    archway.terminate();
    assert_eq!(archway.ended().await.code(), Some(0));
}

/// A FIFO that nobody writes to stands for a file system that hangs.
#[tokio::test]
async fn work_that_cannot_be_cut_does_not_outlive_the_grace() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret").expect("a writable folder");
    let auth = Auth::Basic(Login::new("me", "s3cret"));
    let (registry, _) = FakeRegistry::with_app_for(auth).await;
    let lines = format!("auth = {{ username = \"me\", password_file = {password:?} }}");
    let mut archway = Setup::in_front_of_with(&registry, &lines)
        .table("[server]\nshutdown_grace = \"200ms\"")
        .start()
        .await;
    std::fs::remove_file(&password).expect("its file");
    let made = std::process::Command::new("mkfifo").arg(&password).status();
    assert!(made.expect("mkfifo").success());
    let client = archway.client();
    let asking = client.try_open(Method::GET, "/v2/team/app/manifests/v1");
    let ending = async {
        // Can be opened once it is being read; nothing is ever written.
        let _writer = eventually("the password is read", async || {
            let mut options = std::fs::File::options();
            let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
            options.write(true).custom_flags(nonblocking);
            options.open(&password).ok()
        })
        .await;
        archway.terminate();
        archway.ended().await
    };
    let (answer, status) = tokio::join!(asking, ending);
    // The read of the password blocks no worker, so its client may still be told in time.
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 503);
    }
    assert_eq!(status.code(), Some(0));
}

/// There is one worker: the read would hold it up, were it done there.
#[tokio::test]
async fn a_password_file_that_hangs_holds_up_no_other_request() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret").expect("a writable folder");
    let auth = Auth::Basic(Login::new("me", "s3cret"));
    let (locked, _) = FakeRegistry::with_app_for(auth).await;
    let (open, _) = FakeRegistry::with_app().await;
    let lines = format!("auth = {{ username = \"me\", password_file = {password:?} }}");
    let archway = Setup::in_front_of(&open)
        .upstream_with("locked.test", &locked, &lines)
        .env("TOKIO_WORKER_THREADS", 1)
        .start()
        .await;
    std::fs::remove_file(&password).expect("its file");
    let made = std::process::Command::new("mkfifo").arg(&password).status();
    assert!(made.expect("mkfifo").success());
    let client = archway.client();
    let path = "/v2/locked.test/team/app/manifests/v1";
    let hanging = client.try_open(Method::GET, path);
    let others = async {
        let _writer = eventually("the password is read", async || {
            let mut options = std::fs::File::options();
            let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
            options.write(true).custom_flags(nonblocking);
            options.open(&password).ok()
        })
        .await;
        archway.admin().get("/livez").await.expect(200);
        archway.client().pull("team/app", "v1").await;
    };
    tokio::select! {
        _ = hanging => panic!("the password cannot have been read"),
        () = others => {}
    }
}
