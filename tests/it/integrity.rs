//! Promise 4, verified: wrong bytes are never stored and never end as a whole body.

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Flavor, noise};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};

const SMALL: u64 = 500;
const LARGE: u64 = 5_000_000;

fn blob_of(size: u64) -> Blob {
    BigBlob::new("to be spoilt", size).into()
}

async fn with_blob(blob: &Blob) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway)
}

/// Whether a client that asks now is kept from taking what it gets for the whole blob.
async fn ends_badly(archway: &Archway, blob: &Blob) -> bool {
    let path = blob_path("team/app", blob.digest());
    // Of a small body nothing may have been sent yet, not even the headers, when the connection
    // breaks.
    let Ok(download) = archway.client().try_open(Method::GET, &path).await else {
        return true;
    };
    if download.status() != 200 {
        return download.status().is_server_error();
    }
    let announced = download.headers().get("content-length").cloned();
    let end = within("a spoilt body ends", download.drain()).await;
    match end {
        End::Broken(bytes) => bytes < blob.size(),
        // Without a length the end of a chunked body would be a whole body.
        End::Complete(bytes) => panic!("complete with {bytes} bytes of {announced:?}"),
    }
}

/// With `fault` laid on a blob of `size`: all clients notice, nothing is stored, and all heals.
async fn spoil(size: u64, fault: Fault) {
    let blob = blob_of(size);
    let (registry, archway) = with_blob(&blob).await;
    registry.faults().add(On::path("/blobs/"), fault.clone());
    let clients = (0..4).map(|_| ends_badly(&archway, &blob));
    let noticed = join_all(clients).await;
    assert_eq!(noticed, [true; 4], "{fault:?} on {size} bytes");
    assert!(!archway.has_stored(&blob.digest()), "{fault:?} on {size}");

    registry.faults().clear();
    let path = blob_path("team/app", blob.digest());
    let healed = archway.client().open(Method::GET, &path).await;
    assert_eq!(healed.status(), 200, "{fault:?} on {size}");
    assert_eq!(healed.finish(&blob).await, End::Complete(size));
    archway.stores(&blob.digest()).await;
}

#[tokio::test]
async fn one_flipped_bit_ends_no_body_and_is_not_stored() {
    for size in [SMALL, LARGE] {
        for at in [0, size / 2, size - 1] {
            spoil(size, Fault::FlipBit(at)).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_short_ends_no_body_and_is_not_stored() {
    for size in [SMALL, LARGE] {
        spoil(size, Fault::Truncate(size - 1)).await;
        spoil(size, Fault::Truncate(0)).await;
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_ends_no_body_and_is_not_stored() {
    for size in [SMALL, LARGE] {
        spoil(size, Fault::Extend(1)).await;
    }
}

#[tokio::test]
async fn a_page_in_place_of_a_small_blob_is_an_error_and_not_a_body_that_is_cut() {
    let blob = blob_of(SMALL);
    let (registry, archway) = with_blob(&blob).await;
    let page = Fault::Replace("text/html", "<html>sign in</html>".into());
    let no_length = Fault::NoLength;
    for faults in [
        vec![page],
        vec![Fault::FlipBit(1), no_length],
        vec![Fault::Extend(1)],
    ] {
        for fault in &faults {
            registry.faults().add(On::path("/blobs/"), fault.clone());
        }
        for range in [None, Some("bytes=0-9")] {
            let mut client = archway.client();
            if let Some(range) = range {
                client = client.with("range", range);
            }
            let answer = client.blob("team/app", blob.digest()).await.expect(502);
            let text = String::from_utf8_lossy(&answer.body);
            assert!(text.contains("the source of sha256:"), "{faults:?}: {text}");
        }
        registry.faults().clear();
    }
    archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_body_without_a_length_that_is_spoilt_does_not_end_well() {
    let blob = blob_of(LARGE);
    let (registry, archway) = with_blob(&blob).await;
    registry.faults().add(On::path("/blobs/"), Fault::NoLength);
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::FlipBit(LARGE - 1));
    assert!(ends_badly(&archway, &blob).await);
    assert!(!archway.has_stored(&blob.digest()));
}

#[tokio::test]
async fn a_connection_that_always_breaks_ends_no_body_and_is_not_stored() {
    for how in [Cut::Fin, Cut::Rst] {
        let blob = blob_of(LARGE);
        let (registry, archway) = with_blob(&blob).await;
        // Going on from that byte is cut at once, and starting anew is cut there again.
        registry
            .faults()
            .add(On::path("/blobs/"), Fault::Cut(LARGE / 2, how));
        assert!(ends_badly(&archway, &blob).await, "{how:?}");
        assert!(!archway.has_stored(&blob.digest()), "{how:?}");
        registry.faults().clear();
        // The failure is remembered for a moment.
        let answer = eventually("the blob is had", async || {
            let answer = archway.client().blob("team/app", blob.digest()).await;
            (answer.status != 503).then_some(answer)
        })
        .await
        .expect(200);
        assert!(blob.holds_at(0, &answer.body) && answer.body.len() as u64 == LARGE);
    }
}

#[tokio::test]
async fn a_head_does_not_vouch_for_a_spoilt_blob() {
    let blob = blob_of(LARGE);
    let (registry, archway) = with_blob(&blob).await;
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::FlipBit(7));
    archway
        .client()
        .head(&blob_path("team/app", blob.digest()))
        .await;
    assert!(ends_badly(&archway, &blob).await);
    assert!(!archway.has_stored(&blob.digest()));
}

#[tokio::test]
async fn a_range_of_a_spoilt_fill_that_holds_its_end_breaks() {
    let blob = blob_of(LARGE);
    let (registry, archway) = with_blob(&blob).await;
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::FlipBit(7));
    let client = archway.client().with("range", "bytes=-1000");
    let path = blob_path("team/app", blob.digest());
    let Ok(download) = client.try_open(Method::GET, &path).await else {
        return;
    };
    if download.status() == 206 {
        let end = within("it breaks", download.drain()).await;
        assert!(matches!(end, End::Broken(bytes) if bytes < 1000), "{end:?}");
    } else {
        assert!(download.status().is_server_error(), "{}", download.status());
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_its_digest_is_not_served() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let root = content.root();
    for fault in [Fault::FlipBit(30), Fault::Truncate(100), Fault::Extend(3)] {
        registry
            .faults()
            .add(On::path("/manifests/sha256"), fault.clone());
        let answer = archway.client().manifest("team/app", root.digest).await;
        assert!(
            answer.status.is_server_error(),
            "{fault:?}: {}",
            answer.status
        );
        registry.faults().clear();
    }
    let answer = archway
        .client()
        .manifest("team/app", root.digest)
        .await
        .expect(200);
    assert_eq!(answer.body, root.bytes);
}

#[tokio::test]
async fn a_stored_file_that_went_bad_is_not_taken_for_whole_when_it_shrank() {
    let blob = Blob::from(noise("shrinks", 300_000));
    let (registry, mut archway) = with_blob(&blob).await;
    archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    archway.stores(&blob.digest()).await;
    archway.kill();
    let (path, _) = archway
        .files("blobs")
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().contains(&blob.digest().hex()))
        .expect("the blob is stored");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("ours");
    file.set_len(100_000).expect("it can shrink");
    let archway = archway.restart().await;
    let answer = archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    assert!(blob.holds_at(0, &answer.body) && answer.body.len() == 300_000);
    assert_eq!(registry.gets_of(&blob.digest()), 2, "it was fetched anew");
}
