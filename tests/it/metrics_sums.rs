//! The sums of the metrics are right: what came, what went out and what was stored agree with what
//! an upstream and clients count themselves, within a hundredth.

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{Client, Download, End, blob_path};
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Content, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};

const MIB: u64 = 1 << 20;
const REPOSITORY: &str = "team/app";

/// The sum of all series of a metric.
fn sum(text: &str, name: &str) -> u64 {
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (family, _) = series.split_once('{').unwrap_or((series, ""));
        let value: f64 = value.parse().ok()?;
        (family == name).then_some(value)
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of bytes"
    )]
    let sum = values.sum::<f64>() as u64;
    sum
}

fn agree(one: u64, other: u64) -> bool {
    one.abs_diff(other) * 100 <= one.max(other)
}

async fn metrics(archway: &Archway) -> String {
    archway.admin().get("/metrics").await.expect(200).text()
}

/// Whether the admin API has the same sums, and what was saved of them.
async fn is_told(archway: &Archway, [came, sent, on_disk]: [u64; 3]) -> bool {
    let route = "/_archway/v1/overview";
    let overview = archway.admin().get(route).await.expect(200).json();
    let (traffic, disk) = (&overview["traffic"], &overview["disk"]);
    let told = [
        (&traffic["received"], came),
        (&traffic["sent"], sent),
        (&traffic["saved"], sent.saturating_sub(came)),
        (&disk["bytes"], on_disk),
    ];
    let is_right = |(value, counted): (&serde_json::Value, _)| {
        let value = value.as_u64();
        value.is_some_and(|value| agree(value, counted))
    };
    told.into_iter().all(is_right)
}

/// Waits until the three sums are those that the registry, the clients and the disk have.
async fn sums_agree(archway: &Archway, registry: &FakeRegistry, sent: u64) {
    let what = format!("{sent} bytes are counted as sent, and the other sums are right");
    eventually(&what, async || {
        let text = metrics(archway).await;
        let came = registry.log().bytes("/");
        let on_disk: u64 = archway.files("blobs").iter().map(|(_, size)| size).sum();
        let sums = [
            ("archway_upstream_received_bytes_total", came),
            ("archway_sent_bytes_total", sent),
            ("archway_cache_bytes", on_disk),
        ];
        let is_right = |(name, counted)| agree(sum(&text, name), counted);
        let is_told = is_told(archway, [came, sent, on_disk]).await;
        (is_told && sums.into_iter().all(is_right)).then_some(())
    })
    .await;
}

async fn open(client: &Client, blob: &Blob) -> Download {
    let path = blob_path(REPOSITORY, blob.digest());
    let download = client.open(Method::GET, &path).await;
    assert_eq!(download.status(), 200);
    download
}

async fn whole(client: &Client, blob: &Blob) -> u64 {
    let download = open(client, blob).await;
    let end = within("the blob arrives", download.finish(blob)).await;
    assert_eq!(end, End::Complete(blob.size()));
    blob.size()
}

/// Pulls all of an image of one platform; the bytes of it.
async fn pull(client: &Client, tag: &str, content: &Content) -> u64 {
    let manifest = client.manifest(REPOSITORY, tag).await.expect(200);
    let mut bytes = manifest.body.len() as u64;
    for blob in &content.blobs {
        bytes += whole(client, blob).await;
    }
    bytes
}

#[tokio::test]
async fn what_came_went_out_and_was_stored_adds_up() {
    let [shared, cut, wrong] =
        ["three clients", "a cut line", "a flipped bit"].map(|seed| BigBlob::new(seed, 16 * MIB));
    let [shared, cut, wrong] = [shared, cut, wrong].map(Blob::from);
    let content = images::of_blobs(&[shared.clone(), cut.clone(), wrong.clone()]);
    let registry = FakeRegistry::with(REPOSITORY, "big", &content).await;
    let [one, two] = ["one", "two"].map(|name| images::single(name, "linux/amd64", Flavor::Oci));
    registry.push(REPOSITORY, "v1", &one);
    registry.push(REPOSITORY, "v2", &two);
    let setup = Setup::in_front_of_with(&registry, "parallel = 1");
    let archway = setup.prefetch("mode = \"learned\"").start().await;
    let client = archway.client();

    // Three clients, one download.
    let mut sent: u64 = join_all((0..3).map(|_| whole(&client, &shared)))
        .await
        .into_iter()
        .sum();
    sums_agree(&archway, &registry, sent).await;

    // A connection that breaks is resumed.
    let faults = registry.faults();
    let path = format!("/blobs/{}", cut.digest());
    faults.times(1, On::path(path.as_str()), Fault::Cut(5 * MIB, Cut::Fin));
    sent += whole(&client, &cut).await;
    sums_agree(&archway, &registry, sent).await;
    assert!(sum(&metrics(&archway).await, "archway_fills_resumed_total") >= 1);

    // What comes before a client asks: the blobs of the second image.
    sent += pull(&client, "v1", &one).await;
    sent += client
        .manifest(REPOSITORY, "v2")
        .await
        .expect(200)
        .body
        .len() as u64;
    for blob in &two.blobs {
        archway.stores(&blob.digest()).await;
    }
    sums_agree(&archway, &registry, sent).await;

    // What fails: all of it came, and none of it is stored.
    let path = format!("/blobs/{}", wrong.digest());
    registry
        .faults()
        .add(On::path(path.as_str()), Fault::FlipBit(9 * MIB));
    let broken = open(&client, &wrong).await;
    let End::Broken(bytes) = within("the body breaks", broken.drain()).await else {
        panic!("a wrong blob came to an end");
    };
    sent += bytes;
    sums_agree(&archway, &registry, sent).await;
    assert!(!archway.has_stored(&wrong.digest()));
    let text = metrics(&archway).await;
    let failures = r#"archway_integrity_failures_total{place="upstream"} 1"#;
    assert!(text.contains(failures), "{failures} in\n{text}");
    let stored = sum(&text, "archway_fill_bytes_sum");
    let blobs: u64 = one.blobs.iter().chain(&two.blobs).map(Blob::size).sum();
    assert!(
        agree(stored, shared.size() + cut.size() + blobs),
        "{stored}"
    );
}

#[tokio::test]
async fn what_is_passed_on_unstored_is_counted_as_well() {
    let [held, passed] = ["held", "passed on"].map(|seed| Blob::from(BigBlob::new(seed, 16 * MIB)));
    let content = images::of_blobs(&[held.clone(), passed.clone()]);
    let registry = FakeRegistry::with(REPOSITORY, "big", &content).await;
    let path = format!("/blobs/{}", held.digest());
    let gate = registry.faults().hold_body(On::path(path.as_str()), MIB);
    let archway = Setup::in_front_of_with(&registry, "parallel = 1")
        .cache("max_fills = 1")
        .start()
        .await;
    let client = archway.client();
    let first = open(&client, &held).await;
    gate.arrived().await;
    let sent = whole(&client, &passed).await;
    gate.open();
    let end = within("the held one arrives", first.finish(&held)).await;
    assert_eq!(end, End::Complete(held.size()));
    archway.stores(&held.digest()).await;
    assert!(!archway.has_stored(&passed.digest()));
    sums_agree(&archway, &registry, sent + held.size()).await;
    let text = metrics(&archway).await;
    assert_eq!(sum(&text, "archway_fill_bytes_sum"), held.size());
}

/// A label that a client could choose would let it fill the memory of every Prometheus.
#[tokio::test]
async fn there_are_fewer_than_two_thousand_series_whatever_clients_ask() {
    // With the built-in upstreams, which are more than most have.
    let archway = Setup::new().top("offline = true").start().await;
    let count = async || {
        let text = metrics(&archway).await;
        let series = text.lines().filter(|line| !line.starts_with('#'));
        (series.count(), text)
    };
    let (before, _) = count().await;
    assert!(before < 2000, "{before} series");
    for number in 0..50 {
        let word = format!("madeup{number}");
        let client = || archway.client().with("user-agent", &word);
        client().manifest(&format!("{word}/app"), &word[..]).await;
        let platform = client().with("archway-platform", &format!("linux/{word}"));
        platform.manifest("app", &word[..]).await;
        let host = client().with_query("ns", &format!("{word}.example"));
        host.manifest("app", "v1").await;
    }
    let (after, text) = count().await;
    assert!(!text.contains("madeup"), "{text}");
    assert!(after < 2000, "{after} series");
}

#[tokio::test]
async fn a_scraper_gets_the_text_that_it_accepts() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let classic = archway.admin().accepting(&["text/plain;version=0.0.4"]);
    let classic = classic.get("/metrics").await.expect(200);
    assert!(classic.header("content-type").starts_with("text/plain"));
    let text = classic.text();
    let counter = "# TYPE archway_sent_bytes_total counter\n";
    assert!(text.contains(counter) && !text.contains("# EOF"), "{text}");
    let open = archway.admin().get("/metrics").await.expect(200);
    assert!(
        open.header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(open.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_platform_that_an_image_lacks_is_a_refusal_and_no_hit() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(200);
    let missing = archway.client().with("archway-platform", "linux/s390x");
    missing.manifest(REPOSITORY, "v1").await.expect(404);
    eventually("it is counted", async || {
        let text = metrics(&archway).await;
        let refused = r#"{endpoint="manifest",outcome="refused",status="4xx"} 1"#;
        let missing = r#"archway_platform_missing_total{platform="linux/s390x"} 1"#;
        (text.contains(refused) && text.contains(missing)).then_some(())
    })
    .await;
}
