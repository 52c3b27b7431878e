//! `Range` and conditional requests on blobs, stored or still arriving.

use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::faults::On;
use integration_tests::images::{self, Blob, noise};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;

const SIZE: usize = 1_000_000;

async fn with_blob() -> (FakeRegistry, Archway, Blob) {
    let blob = Blob::from(noise("ranged", SIZE));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway, blob)
}

/// A range as a client asks for it, and the first and last byte it has to get.
const SATISFIABLE: [(&str, usize, usize); 8] = [
    ("bytes=0-0", 0, 0),
    ("bytes=0-99", 0, 99),
    ("bytes=500-1499", 500, 1499),
    ("bytes=999900-", 999_900, 999_999),
    ("bytes=0-", 0, 999_999),
    ("bytes=-100", 999_900, 999_999),
    ("bytes=999990-2000000", 999_990, 999_999),
    ("bytes=-2000000", 0, 999_999),
];

async fn assert_ranges(archway: &Archway, blob: &Blob) {
    for (range, first, last) in SATISFIABLE {
        let client = archway.client().with("range", range);
        let answer = client.blob("team/app", blob.digest()).await.expect(206);
        let expected = format!("bytes {first}-{last}/{SIZE}");
        assert_eq!(answer.header("content-range"), expected, "{range}");
        assert_eq!(answer.body.len(), last - first + 1, "{range}");
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
        assert_eq!(answer.header("etag"), format!("\"{}\"", blob.digest()));
        assert!(blob.holds_at(first as u64, &answer.body), "{range}");
    }
}

#[tokio::test]
async fn a_range_of_a_stored_blob_is_exact() {
    let (registry, archway, blob) = with_blob().await;
    archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    assert_ranges(&archway, &blob).await;
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn a_range_of_a_blob_nobody_has_yet_is_exact_and_fills_it_once() {
    let (registry, archway, blob) = with_blob().await;
    assert_ranges(&archway, &blob).await;
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn a_range_of_a_running_fill_comes_as_soon_as_its_bytes_are_there() {
    let (registry, archway, blob) = with_blob().await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), 600_000);
    let path = blob_path("team/app", blob.digest());
    let mut whole = archway.client().open(Method::GET, &path).await;
    whole.read_to(500_000, &blob, 0).await;

    let there = archway.client().with("range", "bytes=100000-100999");
    let answer = there.get(&path).await.expect(206);
    assert!(blob.holds_at(100_000, &answer.body) && answer.body.len() == 1000);

    let client = archway.client();
    let later = async |range: &'static str, first: u64, length: usize| {
        let answer = client
            .clone()
            .with("range", range)
            .get(&path)
            .await
            .expect(206);
        assert!(blob.holds_at(first, &answer.body), "{range}");
        assert_eq!(answer.body.len(), length, "{range}");
    };
    let open = async {
        gate.arrived().await;
        gate.open();
    };
    tokio::join!(
        later("bytes=700000-700999", 700_000, 1000),
        later("bytes=-100", 999_900, 100),
        later("bytes=999000-", 999_000, 1000),
        open,
    );
    assert_eq!(
        within("the whole one ends", whole.finish(&blob)).await,
        End::Complete(SIZE as u64)
    );
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test]
async fn several_ranges_of_a_stored_blob_come_in_parts_and_of_a_cold_one_as_the_whole() {
    let (_registry, archway, blob) = with_blob().await;
    let client = archway.client().with("range", "bytes=0-9,100-109,999990-");
    let whole = client.blob("team/app", blob.digest()).await.expect(200);
    assert!(blob.holds_at(0, &whole.body) && whole.body.len() == SIZE);
    archway.stores(&blob.digest()).await;

    let answer = client.blob("team/app", blob.digest()).await.expect(206);
    assert_eq!(
        answer.header("content-length"),
        answer.body.len().to_string()
    );
    assert_eq!(answer.header("content-range"), "");
    assert_eq!(answer.header("etag"), format!("\"{}\"", blob.digest()));
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a body in parts")
        .to_owned();
    let mut expected = Vec::new();
    for (first, last) in [(0, 9), (100, 109), (999_990, 999_999)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {first}-{last}/{SIZE}\r\n\r\n"
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&whole.body[first..=last]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn several_ranges_that_overlap_or_are_too_many_get_the_whole_blob() {
    let (_registry, archway, blob) = with_blob().await;
    archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    archway.stores(&blob.digest()).await;
    let many: Vec<_> = (0..1100).map(|at| (2 * at).to_string()).collect();
    let many: Vec<_> = many.iter().map(|at| format!("{at}-{at}")).collect();
    for range in [
        "bytes=0-9,5-14",
        "bytes=0-,0-,0-",
        &format!("bytes={}", many.join(",")),
    ] {
        let client = archway.client().with("range", range);
        let answer = client.blob("team/app", blob.digest()).await.expect(200);
        assert_eq!(answer.body.len(), SIZE);
    }
    let beyond = archway.client().with("range", "bytes=2000000-,3000000-");
    beyond.blob("team/app", blob.digest()).await.expect(416);
    let one = archway.client().with("range", "bytes=0-9,2000000-");
    let one = one.blob("team/app", blob.digest()).await.expect(206);
    assert_eq!(one.header("content-range"), format!("bytes 0-9/{SIZE}"));
}

#[tokio::test]
async fn what_is_no_range_of_bytes_is_ignored() {
    let (_registry, archway, blob) = with_blob().await;
    for range in ["bytes=", "bytes=x-y", "bytes=9-1", "lines=0-1", "bytes 0-1"] {
        let client = archway.client().with("range", range);
        let answer = client.blob("team/app", blob.digest()).await.expect(200);
        assert_eq!(answer.body.len(), SIZE, "{range}");
    }
}

#[tokio::test]
async fn a_range_behind_the_end_is_a_416_with_the_size() {
    let (_registry, archway, blob) = with_blob().await;
    archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    for range in ["bytes=1000000-", "bytes=1000000-1000010", "bytes=-0"] {
        let client = archway.client().with("range", range);
        let answer = client.blob("team/app", blob.digest()).await.expect(416);
        assert_eq!(
            answer.header("content-range"),
            format!("bytes */{SIZE}"),
            "{range}"
        );
    }
}

#[tokio::test]
async fn a_known_blob_is_not_sent_again() {
    let (_registry, archway, blob) = with_blob().await;
    archway
        .client()
        .blob("team/app", blob.digest())
        .await
        .expect(200);
    let etag = format!("\"{}\"", blob.digest());
    for known in [
        etag.clone(),
        format!("\"x\", {etag}"),
        format!("W/{etag}"),
        "*".to_owned(),
    ] {
        let client = archway.client().with("if-none-match", &known);
        let answer = client.blob("team/app", blob.digest()).await.expect(304);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(
            client
                .head(&blob_path("team/app", blob.digest()))
                .await
                .status,
            304
        );
    }
    let client = archway.client().with("if-none-match", "\"sha256:0\"");
    client.blob("team/app", blob.digest()).await.expect(200);
}

#[tokio::test]
async fn a_range_on_a_manifest_does_no_harm() {
    let (_registry, archway, _blob) = with_blob().await;
    let plain = archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    // containerd with parallel layer fetch asks so for everything, manifests included.
    let client = archway.client().with("range", "bytes=0-");
    let answer = client.manifest("team/app", "v1").await;
    assert!(
        answer.status == 200 || answer.status == 206,
        "{}",
        answer.status
    );
    assert_eq!(answer.body, plain.body);
}
