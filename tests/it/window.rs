//! What operators see of a running Archway: its downloads, its upstreams, and what leaves the cache
//! next.

use http::Method;
use integration_tests::client::{Download, End, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{self, Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use serde_json::Value;

const MIB: u64 = 1 << 20;

async fn told(archway: &Archway, route: &str) -> Value {
    let path = format!("/_archway/v1/{route}");
    archway.admin().get(&path).await.expect(200).json()
}

async fn printed(archway: &Archway, command: &str) -> String {
    let output = proxy::run(&[command, "--admin", &archway.admin_url()]).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {err}");
    String::from_utf8(output.stdout).expect("text")
}

async fn open(archway: &Archway, blob: &Blob) -> Download {
    let path = blob_path("team/app", blob.digest());
    archway.client().open(Method::GET, &path).await
}

/// The download of `blob` among those that run, once `fits`.
async fn running(archway: &Archway, blob: &Blob, fits: impl Fn(&Value) -> bool) -> Value {
    let digest = blob.digest().to_string();
    eventually("the download is shown so", async || {
        let fills = told(archway, "fills").await;
        let mut running = fills["running"].as_array().expect("a list").iter();
        let found = running.find(|fill| fill["digest"] == *digest)?;
        fits(found).then(|| found.clone())
    })
    .await
}

async fn ended(archway: &Archway, blob: &Blob) -> Value {
    let digest = blob.digest().to_string();
    eventually("the download is among the ended ones", async || {
        let fills = told(archway, "fills").await;
        assert!(fills["ended"].as_array().expect("a list").len() <= 100);
        let mut ended = fills["ended"].as_array().expect("a list").iter();
        ended.find(|fill| fill["digest"] == *digest).cloned()
    })
    .await
}

#[tokio::test]
async fn a_slow_download_shows_its_bytes_and_readers_and_then_how_it_ended() {
    let blob = Blob::from(BigBlob::new("slow", 8 * MIB));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let archway = Setup::in_front_of_with(&registry, "parallel = 1\nidle_timeout = \"30s\"")
        .start()
        .await;
    let [second, last] =
        [2 * MIB, 6 * MIB].map(|at| registry.faults().hold_body(On::path("/blobs/"), at));
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(open(&archway, &blob).await);
    }
    let first = running(&archway, &blob, |fill| {
        fill["followers"] == 3 && fill["written"] == 2 * MIB
    })
    .await;
    assert_eq!(first["upstream"], UPSTREAM, "{first}");
    assert_eq!(first["repository"], "team/app", "{first}");
    assert_eq!(first["origin"], "client", "{first}");
    assert_eq!(first["from"], "upstream", "{first}");
    assert_eq!(first["size"], 8 * MIB, "{first}");
    assert_eq!(first["connections"], 1, "{first}");
    assert_eq!(first["resumed"], 0, "{first}");
    let text = printed(&archway, "top").await;
    assert!(text.contains("1 of") && text.contains("team/app"), "{text}");
    // Nothing comes while the upstream holds it back.
    running(&archway, &blob, |fill| fill["waits"] == "bytes").await;
    second.open();
    running(&archway, &blob, |fill| fill["written"] == 6 * MIB).await;
    last.open();
    for reader in readers {
        let end = within("a reader has it", reader.finish(&blob)).await;
        assert_eq!(end, End::Complete(8 * MIB));
    }
    let stored = ended(&archway, &blob).await;
    assert_eq!(stored["end"], "stored", "{stored}");
    assert_eq!(stored["written"], 8 * MIB, "{stored}");
    assert!(stored["cause"].is_null(), "{stored}");
    let fills = told(&archway, "fills").await;
    assert_eq!(fills["running"].as_array().map(Vec::len), Some(0));
    let text = printed(&archway, "fills").await;
    assert!(text.contains("stored"), "{text}");
}

#[tokio::test]
async fn a_download_that_failed_says_why() {
    let blob = Blob::from(BigBlob::new("never pushed", MIB));
    let other = Blob::from(BigBlob::new("pushed", MIB));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&other)).await;
    let archway = Setup::in_front_of(&registry).start().await;
    open(&archway, &blob).await;
    let absent = ended(&archway, &blob).await;
    assert_eq!(absent["end"], "failed", "{absent}");
    assert!(
        absent["cause"]
            .as_str()
            .is_some_and(|cause| !cause.is_empty())
    );
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::FlipBit(1000));
    open(&archway, &other).await.drain().await;
    let wrong = ended(&archway, &other).await;
    assert_eq!(wrong["end"], "wrong", "{wrong}");
}

#[tokio::test]
async fn what_is_said_to_leave_next_leaves_next() {
    let blobs: Vec<Blob> = (0..4)
        .map(|number| BigBlob::new(&format!("blob {number}"), 20 * MIB).into())
        .collect();
    let registry = FakeRegistry::start().await;
    registry.push("team/app", "v1", &images::of_blobs(&blobs));
    let archway = Setup::in_front_of(&registry)
        .cache("max_size = \"64MiB\"")
        .start()
        .await;
    let pull = async |blob: &Blob| {
        let end = within("it arrives", open(&archway, blob).await.finish(blob)).await;
        assert_eq!(end, End::Complete(20 * MIB));
        archway.stores(&blob.digest()).await;
        ended(&archway, blob).await;
    };
    for blob in &blobs[..3] {
        pull(blob).await;
    }
    // Used a second time, so that it goes after the others.
    pull(&blobs[0]).await;
    let evictions = told(&archway, "evictions").await;
    let next = evictions["next"].as_array().expect("a list");
    let order: Vec<_> = next.iter().map(|row| row["digest"].clone()).collect();
    let expected = [&blobs[1], &blobs[2], &blobs[0]].map(|blob| blob.digest().to_string());
    assert_eq!(order, expected, "{evictions}");
    let classes: Vec<_> = next.iter().map(|row| row["class"].clone()).collect();
    assert_eq!(classes, ["probation", "probation", "used_again"]);
    assert_eq!(evictions["cache"]["bytes"], 60 * MIB, "{evictions}");
    assert_eq!(evictions["cache"]["max_bytes"], 64 * MIB, "{evictions}");
    let text = printed(&archway, "evictions").await;
    assert!(text.contains(&expected[0]), "{text}");

    pull(&blobs[3]).await;
    eventually("the first of the list leaves", async || {
        (!archway.has_stored(&blobs[1].digest())).then_some(())
    })
    .await;
    assert!(archway.has_stored(&blobs[0].digest()), "the last one stays");
    let few = told(&archway, "evictions?limit=1").await;
    assert_eq!(few["next"].as_array().map(Vec::len), Some(1), "{few}");
    archway
        .admin()
        .get("/_archway/v1/evictions?limit=many")
        .await
        .expect(400);
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_shown_with_since_when_and_why() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/app", "v1").await;
    let up = told(&archway, "upstreams").await;
    assert_eq!(up["upstreams"][0]["host"], UPSTREAM, "{up}");
    assert_eq!(up["upstreams"][0]["endpoints"][0]["state"], "up", "{up}");
    registry.close().await;
    let answer = archway.client().manifest("team/app", "none").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    let down = told(&archway, "upstreams").await;
    let endpoint = &down["upstreams"][0]["endpoints"][0];
    assert_eq!(endpoint["state"], "down", "{down}");
    for key in ["since", "until", "cause"] {
        assert!(
            endpoint[key].as_str().is_some_and(|text| !text.is_empty()),
            "{down}"
        );
    }
    for command in ["upstreams", "top"] {
        let text = printed(&archway, command).await;
        assert!(text.contains("down"), "{text}");
    }
}
