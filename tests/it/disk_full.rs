//! A file system that is full: clients have their bytes, nothing half-written stays, and storing
//! resumes by itself.
//!
//! The cache lies on a small tmpfs of its own, so these tests need to be root.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::{Method, StatusCode};
use integration_tests::client::{End, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 40 * MIB;

/// A mounted tmpfs, unmounted when it is dropped.
struct Small(PathBuf);

impl Small {
    fn at(folder: &Path) -> Self {
        Self::of("64m", folder)
    }

    fn of(size: &str, folder: &Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder)
            .status();
        let mounted = mounted.expect("mount (Debian package mount)");
        assert!(mounted.success(), "mounting needs root");
        Self(folder.to_owned())
    }

    /// Fills it to the last byte; what fills it.
    fn brim(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut filler = File::create(&path).expect("a new file");
        for length in [MIB, 4096] {
            let block = vec![7; usize::try_from(length).expect("small")];
            loop {
                match filler.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn site(blob: &Blob) -> (FakeRegistry, Archway, Small) {
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await;
    let mut archway = Setup::in_front_of(&registry)
        .cache("min_free = \"1MiB\"")
        .start()
        .await;
    archway.kill();
    let small = Small::at(&archway.cache_folder());
    (registry, archway.restart().await, small)
}

async fn pull(archway: &Archway, blob: &Blob) -> End {
    let path = blob_path("team/app", blob.digest());
    let download = archway.client().open(Method::GET, &path).await;
    assert_eq!(download.status(), 200);
    within("the blob arrives", download.finish(blob)).await
}

async fn stores_again(archway: &Archway, blob: &Blob, filler: &Path) {
    std::fs::remove_file(filler).expect("the filler");
    assert_eq!(pull(archway, blob).await, End::Complete(SIZE));
    archway.stores(&blob.digest()).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_in_mid_fill_costs_no_client_its_bytes() {
    let blob = Blob::from(BigBlob::new("to the brim", SIZE));
    let (registry, archway, small) = site(&blob).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), SIZE / 4);
    let clients = join_all((0..3).map(|_| pull(&archway, &blob)));
    let disk = async {
        gate.arrived().await;
        let filler = small.brim();
        registry.faults().clear();
        gate.open();
        filler
    };
    let (ends, filler) = tokio::join!(clients, disk);
    assert_eq!(ends, [End::Complete(SIZE); 3]);
    assert!(!archway.has_stored(&blob.digest()));
    eventually("nothing half-written stays", async || {
        archway.files("ingest").is_empty().then_some(())
    })
    .await;
    assert_eq!(
        archway.metric("archway_fills_unstored_total").await,
        Some(1)
    );
    assert_eq!(
        pull(&archway, &blob).await,
        End::Complete(SIZE),
        "still full"
    );
    stores_again(&archway, &blob, &filler).await;
}

#[tokio::test]
async fn a_download_that_would_take_what_is_to_stay_free_is_passed_on() {
    let blob = Blob::from(BigBlob::new("no room", SIZE));
    let (registry, archway, small) = site(&blob).await;
    let filler = small.brim();
    let ends = join_all((0..4).map(|_| pull(&archway, &blob))).await;
    assert_eq!(ends, [End::Complete(SIZE); 4]);
    assert!(!archway.has_stored(&blob.digest()));
    // It is told once, and not for each blob and client.
    archway.log().says("the disk takes no blobs").await;
    let events = archway.log().events();
    let told = events.iter().filter(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("the disk takes no blobs") || message == "a download failed"
    });
    assert_eq!(told.count(), 1);
    let ready = archway.admin().get("/readyz").await.expect(200).text();
    assert!(ready.contains("no blob has been stored for"), "{ready}");
    let range = archway.client().with("range", "bytes=1000-2000");
    let range = range
        .get(&blob_path("team/app", blob.digest()))
        .await
        .expect(206);
    assert!(blob.holds_at(1000, &range.body) && range.body.len() == 1001);
    let before = registry.bytes_of(&blob.digest());
    for _ in 0..3 {
        let last = archway.client().with("range", "bytes=-1");
        let last = last
            .get(&blob_path("team/app", blob.digest()))
            .await
            .expect(206);
        assert!(blob.holds_at(SIZE - 1, &last.body) && last.body.len() == 1);
    }
    let sent = registry.bytes_of(&blob.digest()) - before;
    assert!(sent < SIZE, "{sent} bytes for three");
    let refused = Fault::RefuseRange(0, StatusCode::FORBIDDEN);
    registry.faults().add(On::path("/blobs/"), refused);
    let last = archway.client().with("range", "bytes=-1");
    let last = last
        .get(&blob_path("team/app", blob.digest()))
        .await
        .expect(206);
    assert!(blob.holds_at(SIZE - 1, &last.body) && last.body.len() == 1);
    registry.faults().clear();
    stores_again(&archway, &blob, &filler).await;
    archway.log().says("the disk takes blobs again").await;
}

#[tokio::test]
async fn a_small_volume_caches_at_default_settings_and_again_once_space_is_freed() {
    let blob = Blob::from(BigBlob::new("small volume", 20 * MIB));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    archway.kill();
    let small = Small::of("48m", &archway.cache_folder());
    let archway = archway.restart().await;
    let events = archway.log().events();
    let said = events
        .iter()
        .find(|event| event["message"] == "the bounds of the cache")
        .expect("the start says it");
    let (total, min_free) = (48 * MIB, 48 * MIB / 100 * 5);
    assert_eq!(said["total"], total);
    assert_eq!(said["min_free"], min_free);
    let filler = small.brim();
    assert_eq!(pull(&archway, &blob).await, End::Complete(20 * MIB));
    assert!(!archway.has_stored(&blob.digest()));
    std::fs::remove_file(filler).expect("the filler");
    let freed = Instant::now();
    assert_eq!(pull(&archway, &blob).await, End::Complete(20 * MIB));
    archway.stores(&blob.digest()).await;
    let took = freed.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_download_ahead_that_cannot_be_stored_is_given_up() {
    let registry = FakeRegistry::start().await;
    let image = |name| {
        let content = images::single(name, "linux/amd64", Flavor::Oci);
        registry.push("app", name, &content);
        content
    };
    let (_, back, next) = (image("first"), image("back"), image("next"));
    let blob = Blob::from(BigBlob::new("ahead", SIZE));
    registry.push("app", "large", &images::of_blob(&blob));
    let mut archway = Setup::in_front_of(&registry)
        .cache("min_free = \"1MiB\"")
        .prefetch("mode = \"learned\"\nmax_running = 1")
        .start()
        .await;
    archway.kill();
    let small = Small::at(&archway.cache_folder());
    let archway = archway.restart().await;
    let pulled = archway.client().pull("app", "first").await;
    archway.stores_all(&pulled).await;

    let gate = registry
        .faults()
        .hold_body(On::path(blob.digest()), SIZE / 4);
    archway.client().manifest("app", "large").await.expect(200);
    gate.arrived().await;
    let filler = small.brim();
    registry.faults().clear();
    gate.open();
    eventually("the disk fails it", async || {
        let unstored = archway.metric("archway_fills_unstored_total").await;
        (unstored == Some(1)).then_some(())
    })
    .await;
    std::fs::remove_file(filler).expect("the filler");
    eventually("the index can be written again", async || {
        archway.client().manifest("app", "back").await.expect(200);
        archway.has_stored(&back.root().digest).then_some(())
    })
    .await;
    // The one slot is free when this has come.
    archway.client().manifest("app", "next").await.expect(200);
    for blob in &next.blobs {
        archway.stores(&blob.digest()).await;
    }
    let brought = registry.bytes_of(&blob.digest());
    assert!(brought < SIZE, "{brought} bytes for nobody");
}
