//! One blob over several connections, and going on with it after cuts and kills.

use futures_util::future::join_all;
use http::{Method, StatusCode};
use integration_tests::client::{End, blob_path};
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::wait::{eventually, within};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 60 * MIB;

async fn site(blob: &Blob, lines: &str) -> (FakeRegistry, Archway, String) {
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await;
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway, blob_path("team/app", blob.digest()))
}

async fn pull(archway: &Archway, path: &str, blob: &Blob) {
    let download = archway.client().open(Method::GET, path).await;
    assert_eq!(download.status(), 200);
    let end = within("the blob arrives", download.finish(blob)).await;
    assert_eq!(end, End::Complete(blob.size()));
}

/// Ten megabytes a second on each connection, as stores do it.
fn throttle(registry: &FakeRegistry) {
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::Throttle(10_000_000));
}

#[tokio::test]
async fn a_slow_store_is_asked_over_several_connections_and_sends_each_byte_once() {
    let blob = Blob::from(BigBlob::new("several", SIZE));
    let (registry, archway, path) = site(&blob, "").await;
    throttle(&registry);
    pull(&archway, &path, &blob).await;
    assert!(
        registry.gets_of(&blob.digest()) > 2,
        "more than one after another"
    );
    assert_eq!(registry.bytes_of(&blob.digest()), SIZE);
}

#[tokio::test]
async fn switched_off_it_is_one_request() {
    let blob = Blob::from(BigBlob::new("one", SIZE));
    let (registry, archway, path) = site(&blob, "parallel = 1").await;
    throttle(&registry);
    pull(&archway, &path, &blob).await;
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn a_reader_far_ahead_does_not_wait_for_all_that_comes_before() {
    let blob = Blob::from(BigBlob::new("ahead", SIZE));
    let (registry, archway, path) = site(&blob, "").await;
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::Throttle(2_000_000));
    let first = archway.client().open(Method::GET, &path).await;
    let start = 50 * MIB;
    let ahead = archway
        .client()
        .with("range", &format!("bytes={start}-{}", start + MIB - 1));
    let part = within("what is far ahead", ahead.get(&path))
        .await
        .expect(206);
    assert!(blob.holds_at(start, &part.body));
    // In order it would have taken what comes before through connections of two megabytes a second.
    let sent = registry.bytes_of(&blob.digest());
    assert!(sent < start, "{sent} bytes had to come first");
    drop(first);
}

/// What the upstream sent for a blob whose connection it cut five times.
async fn cut_five_times(lines: &str, how: Cut) -> u64 {
    let blob = Blob::from(BigBlob::new("cuts", SIZE));
    let (registry, archway, path) = site(&blob, lines).await;
    for cut in 1..=5 {
        registry
            .faults()
            .times(1, On::path("/blobs/"), Fault::Cut(cut * SIZE / 6, how));
    }
    pull(&archway, &path, &blob).await;
    registry.bytes_of(&blob.digest())
}

#[tokio::test]
async fn a_blob_that_is_cut_five_times_is_one_clean_body_and_hardly_more_bytes() {
    for lines in ["", "parallel = 1"] {
        let sent = cut_five_times(lines, Cut::Fin).await;
        assert!(
            sent <= SIZE + SIZE / 50,
            "{sent} of {SIZE} bytes, {lines:?}"
        );
        // A reset takes with it what was on the way.
        let sent = cut_five_times(lines, Cut::Rst).await;
        assert!(sent <= SIZE + SIZE / 2, "{sent} of {SIZE} bytes, {lines:?}");
    }
}

#[tokio::test]
async fn a_download_goes_on_after_our_own_kills_where_it_was() {
    let blob = Blob::from(BigBlob::new("kills", SIZE));
    for lines in ["", "parallel = 1"] {
        let (registry, mut archway, path) = site(&blob, lines).await;
        throttle(&registry);
        for part in [3, 6, 9] {
            let download = archway.client().open(Method::GET, &path).await;
            eventually("the download has come that far", async || {
                (registry.bytes_of(&blob.digest()) >= part * SIZE / 10).then_some(())
            })
            .await;
            archway.kill();
            drop(download);
            archway = archway.restart().await;
        }
        registry.faults().clear();
        pull(&archway, &path, &blob).await;
        archway.stores(&blob.digest()).await;
        let sent = registry.bytes_of(&blob.digest());
        // What was on the way to a killed process was sent for nothing.
        assert!(sent <= SIZE + SIZE / 4, "{sent} of {SIZE} bytes, {lines:?}");
    }
}

#[tokio::test]
async fn four_open_ranges_at_once_cost_one_download() {
    let blob = Blob::from(BigBlob::new("four", SIZE));
    let (registry, archway, path) = site(&blob, "").await;
    throttle(&registry);
    let quarters = (0..4).map(async |quarter| {
        let start = quarter * SIZE / 4;
        let client = archway.client().with("range", &format!("bytes={start}-"));
        let mut part = client.open(Method::GET, &path).await;
        assert_eq!(part.status(), 206);
        part.read_to(SIZE / 4, &blob, start).await;
    });
    within("all four quarters", join_all(quarters)).await;
    let sent = registry.bytes_of(&blob.digest());
    assert!(sent <= SIZE + SIZE / 20, "{sent} of {SIZE} bytes");
}

#[tokio::test]
async fn parts_from_a_store_take_nothing_of_the_registrys_rate() {
    let blob = Blob::from(BigBlob::new("store", SIZE));
    let (registry, archway, path) = site(&blob, "blob_rate = \"1/1h\"\nburst = 1").await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let store = On::path("/layers/");
    registry.faults().add(store, Fault::Throttle(10_000_000));
    pull(&archway, &path, &blob).await;
    assert_eq!(registry.gets_of(&blob.digest()), 1);
    let parts = registry.store_gets_of(&blob.digest());
    assert!(parts > 2, "{parts} parts");
}

#[tokio::test]
async fn a_blob_from_a_registry_with_a_rate_is_not_fetched_in_pieces() {
    let blob = Blob::from(BigBlob::new("rate", SIZE));
    let (registry, archway, path) = site(&blob, "blob_rate = \"2/1h\"\nburst = 2").await;
    throttle(&registry);
    pull(&archway, &path, &blob).await;
    assert_eq!(
        registry.gets_of(&blob.digest()),
        2,
        "its beginning, its rest"
    );
}

#[tokio::test]
async fn ranges_that_end_early_in_good_order_are_given_up_and_not_asked_for_for_ever() {
    let blob = Blob::from(BigBlob::new("short", SIZE));
    let (registry, archway, path) = site(&blob, "").await;
    let short = Fault::EndRangeAt(SIZE / 2);
    registry.faults().add(On::path("/blobs/"), short);
    let download = archway.client().open(Method::GET, &path).await;
    let end = within("the client is let go", download.finish(&blob)).await;
    assert!(
        matches!(end, End::Broken(bytes) if bytes <= SIZE / 2),
        "{end:?}"
    );
    let asked = registry.gets_of(&blob.digest());
    assert!(asked < 50, "{asked} requests for a body that is not sent");
    registry.faults().clear();
    // The failure is remembered for a moment.
    let download = eventually("a new download begins", async || {
        let download = archway.client().open(Method::GET, &path).await;
        (download.status() != 503).then_some(download)
    })
    .await;
    assert_eq!(download.finish(&blob).await, End::Complete(SIZE));
    assert!(registry.gets_of(&blob.digest()) > asked, "a new download");
}

#[tokio::test]
async fn a_piece_of_a_blob_of_unknown_size_is_not_taken_for_the_whole() {
    for size in [MIB, SIZE] {
        for blobs in [Blobs::Direct, Blobs::Redirected] {
            let blob = Blob::from(BigBlob::new("unsaid", size));
            let (registry, archway, path) = site(&blob, "").await;
            registry.quirks(|quirks| quirks.blobs = blobs);
            registry.faults().add(On::all(), Fault::HideSize);
            pull(&archway, &path, &blob).await;
            archway.stores(&blob.digest()).await;
            let gets = registry.log().gets(format_args!("/{}", blob.digest()));
            let redirects = usize::from(blobs == Blobs::Redirected);
            assert_eq!(gets, 2 + redirects, "a piece, then the whole");
        }
    }
}

#[tokio::test]
async fn trouble_at_a_store_says_nothing_about_the_registry() {
    let blob = Blob::from(BigBlob::new("trouble", SIZE));
    let (registry, archway, path) = site(&blob, "").await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let store = || On::path("/layers/");
    registry.faults().add(store(), Fault::Throttle(10_000_000));
    let mut download = archway.client().open(Method::GET, &path).await;
    download.read_to(MIB, &blob, 0).await;
    let status = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);
    registry.faults().add(store(), status);
    let end = within("the client is let go", download.finish(&blob)).await;
    assert!(matches!(end, End::Broken(_)), "{end:?}");
    let detail = archway.admin().get("/readyz").await.expect(200).text();
    assert_eq!(detail, "ready\n");
    let client = archway.client();
    client.manifest("team/app", "v1").await.expect(200);
}
