//! Lists are read before they are an answer: what is no list is trouble, and what clients are slow
//! to read is held once.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use http::{HeaderValue, Method, header};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Flavor, OCI_INDEX, OCI_MANIFEST};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use serde_json::json;

const JSON: &str = "application/json";

/// A list of tags of about so many bytes.
fn list_of(bytes: usize) -> Bytes {
    let tag = format!("\"{}\",", "t".repeat(125));
    format!(
        "{{\"name\":\"a\",\"tags\":[{}\"end\"]}}",
        tag.repeat(bytes / 128)
    )
    .into()
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it").into()
}

fn says_gzip() -> Fault {
    Fault::Header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))
}

async fn with_list(body: Bytes, lines: &str) -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::start().await;
    let faults = registry.faults();
    faults.add(On::path("/tags/list"), Fault::Replace(JSON, body));
    let archway = Setup::in_front_of_with(&registry, lines).start().await;
    (registry, archway)
}

#[tokio::test]
async fn a_page_or_half_a_text_in_place_of_a_list_is_trouble() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let digest = format!("sha256:{}", "0a".repeat(32));
    let referrers = format!("referrers/{digest}");
    for (path, kind, body) in [
        ("tags/list", "text/html", "<html>Sign in</html>"),
        ("tags/list", JSON, r#"{"name":"a","tags":["a"#),
        ("tags/list", JSON, r#"{"errors":[{"code":"DENIED"}]}"#),
        (&referrers, "text/html", "<html>Sign in</html>"),
        (&referrers, OCI_INDEX, r#"{"manifests":[{}]}"#),
        (&referrers, JSON, "[]"),
    ] {
        registry.faults().clear();
        let replace = Fault::Replace(kind, Bytes::from_static(body.as_bytes()));
        registry.faults().add(On::path(path), replace);
        let answer = archway.client().get(&format!("/v2/team/app/{path}")).await;
        assert_eq!(answer.status, 502, "{path}: {body}");
        assert_eq!(answer.error_code(), "UNAVAILABLE", "{path}: {body}");
    }
}

#[tokio::test]
async fn what_a_proxy_has_compressed_unasked_arrives_as_it_was() {
    let plain = list_of(200_000);
    let (registry, archway) = with_list(gzip(&plain), "").await;
    registry.faults().add(On::all(), says_gzip());
    let list = archway.client().get("/v2/team/app/tags/list").await;
    let list = list.expect(200);
    assert_eq!(list.body, plain);
    assert_eq!(list.header("content-encoding"), "");

    let image = images::single("app", "linux/amd64", Flavor::Oci);
    registry.push("team/app", "v1", &image);
    let body = gzip(&image.root().bytes);
    registry
        .faults()
        .add(On::path("/manifests/"), Fault::Replace(OCI_MANIFEST, body));
    let digest = image.root().digest.to_string();
    for reference in ["v1", &digest] {
        let manifest = archway.client().manifest("team/app", &reference).await;
        let manifest = manifest.expect(200);
        assert_eq!(manifest.body, image.root().bytes);
        assert_eq!(manifest.header("content-encoding"), "");
    }
}

#[tokio::test]
async fn a_bomb_and_other_bytes_than_the_digests_are_refused() {
    let (registry, archway) = with_list(gzip(&list_of(8 << 20)), "list_max = \"1MiB\"").await;
    registry.faults().add(On::all(), says_gzip());
    let list = archway.client().get("/v2/team/app/tags/list").await;
    assert!(list.expect(502).text().contains("`list_max`"));

    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let other = images::single("other", "linux/amd64", Flavor::Oci);
    registry.push("team/app", "v1", &image);
    let body = gzip(&other.root().bytes);
    registry
        .faults()
        .add(On::path("/manifests/"), Fault::Replace(OCI_MANIFEST, body));
    let digest = image.root().digest;
    let manifest = archway.client().manifest("team/app", digest).await;
    assert_eq!(manifest.status, 502);
}

#[tokio::test]
async fn a_list_of_forty_thousand_images_is_served_and_a_larger_one_names_the_key() {
    let long = list_of(12 << 20);
    let (registry, archway) = with_list(long.clone(), "").await;
    let list = archway.client().get("/v2/team/app/tags/list").await;
    assert_eq!(list.expect(200).body, long);
    let archway = Setup::in_front_of_with(&registry, "list_max = \"1MB\"");
    let archway = archway.start().await;
    let list = archway.client().get("/v2/team/app/tags/list").await;
    let said = list.expect(502).text();
    assert!(said.contains("`list_max`, 1000000 bytes"), "{said}");
}

#[tokio::test]
async fn all_who_ask_at_the_same_time_cost_one_call() {
    let (registry, archway) = with_list(list_of(7 << 20), "").await;
    let gate = registry.faults().hold_headers(On::path("/tags/list"));
    let ask = async || {
        let list = archway.client().get("/v2/team/app/tags/list").await;
        list.status.as_u16()
    };
    let crowd = join_all((0..20).map(|_| ask()));
    let opened = async {
        eventually("all are there", async || {
            let there = archway.metric("archway_connections").await;
            (there >= Some(20)).then_some(())
        })
        .await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(crowd, opened);
    assert_eq!(answers, [200; 20]);
    assert_eq!(registry.log().gets("/tags/list"), 1);
}

#[tokio::test]
async fn clients_that_do_not_read_a_list_hold_it_once_and_all_lists_have_a_bound() {
    let (_registry, archway) = with_list(list_of(14 << 20), "").await;
    let open = async |name: usize| {
        let path = format!("/v2/team/app{name}/tags/list");
        archway.client().open(Method::GET, &path).await
    };
    let mut readers = Vec::new();
    // Each for itself, these would be 84 MB.
    for _ in 0..6 {
        readers.push(open(0).await);
    }
    for name in 1..4 {
        readers.push(open(name).await);
    }
    assert!(readers.iter().all(|reader| reader.status() == 200));
    let refused = open(4).await.whole().await.expect(503);
    assert_ne!(refused.header("retry-after"), "");
    assert!(refused.text().contains("as many"), "{}", refused.text());
    // Another bound than that of the repository: what is short of room finds it again.
    drop(readers);
    eventually("there is room again", async || {
        (open(4).await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_pages_of_a_large_list_keep_their_links() {
    let registry = FakeRegistry::start().await;
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    for number in 0..3 {
        registry.push("team/app", &format!("v{number}"), &content);
    }
    registry.faults().add(On::path("/tags/list"), says_gzip());
    let archway = Setup::in_front_of(&registry).start().await;
    let page = archway.client().get("/v2/team/app/tags/list?n=2").await;
    let page = page.expect(200);
    assert_eq!(page.json()["tags"], json!(["v0", "v1"]), "a false label");
    assert!(page.header("link").contains("n=2"), "{:?}", page.headers);
}
