//! `serve --offline --bundle`: a bundle that is served as it is, with nothing imported.

use std::fs;

use integration_tests::images::{BigBlob, Blob};

use super::import::assert_whole_now;
use super::*;

const MIB: u64 = 1 << 20;

/// A cache with an image that has a layer large enough to be sent by the kernel.
async fn source_of(layer: &BigBlob) -> (Archway, Content) {
    let content = images::of_blobs(&[layer.clone().into()]);
    let registry = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull(REPOSITORY, "v1").await;
    archway.stores_all(&pulled).await;
    stop(&mut archway).await;
    (archway, content)
}

fn serve(bundles: &[&Path]) -> Vec<String> {
    let words = bundles.iter().flat_map(|bundle| {
        let bundle = bundle.to_str().expect("a plain path").to_owned();
        ["--bundle".to_owned(), bundle]
    });
    ["--offline".to_owned()].into_iter().chain(words).collect()
}

async fn start(bundles: &[&Path]) -> Archway {
    let words = serve(bundles);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let registry = FakeRegistry::start().await;
    Setup::in_front_of(&registry).start_with(&words).await
}

#[tokio::test]
async fn a_bundle_is_served_from_its_file_and_nothing_is_stored() {
    let source = Source::new().await;
    let file = source.file("site.tar");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    let gateway = start(&[&file]).await;
    assert_whole_now(&gateway, &source).await;
    let client = gateway.client();
    let tags = client.get(&format!("/v2/{REPOSITORY}/tags/list")).await;
    assert_eq!(tags.expect(200).json()["tags"], serde_json::json!(["v1"]));
    let left_out = source.content.child("linux/arm/v7");
    let answer = client
        .manifest(REPOSITORY, left_out.digest)
        .await
        .expect(404);
    let detail = &answer.json()["errors"][0]["detail"];
    assert!(detail["left_out_by"].is_string(), "{detail}");
    assert_eq!(gateway.files("blobs"), []);
    assert_eq!(gateway.files("served/blobs"), []);
    // Once more, over what the last run has left.
    assert_whole_now(&gateway.restart().await, &source).await;
}

#[tokio::test]
async fn a_large_blob_goes_out_of_the_bundle_by_the_kernel_whole_and_in_ranges() {
    let layer = BigBlob::new("large", 24 * MIB);
    let (archway, _) = source_of(&layer).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("large.tar");
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let path = file.to_str().expect("a plain path");
    let export = ["export", &name, "--platform", "all", "-o", path];
    said(&archway.bundle_command(&export).await, 0);
    let gateway = start(&[&file]).await;
    let client = gateway.client();
    let answer = client.blob(REPOSITORY, layer.digest()).await.expect(200);
    assert!(
        answer.body.len() as u64 == layer.size()
            && Blob::from(layer.clone()).holds_at(0, &answer.body)
    );
    let sent = gateway.metric("archway_sendfile_bytes_total").await;
    assert!(sent.is_some_and(|sent| sent > 20 * MIB), "{sent:?}");
    let range = client.clone().with("range", "bytes=5000000-9999999");
    let answer = range.blob(REPOSITORY, layer.digest()).await.expect(206);
    assert!(
        answer.body.len() == 5_000_000
            && Blob::from(layer.clone()).holds_at(5_000_000, &answer.body)
    );
    assert_eq!(gateway.files("served/blobs"), []);
}

#[tokio::test]
async fn a_damaged_blob_of_it_is_an_error_before_its_first_byte() {
    let layer = BigBlob::new("large", 4 * MIB);
    let (archway, content) = source_of(&layer).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("large.tar");
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let path = file.to_str().expect("a plain path");
    let export = ["export", &name, "--platform", "all", "-o", path];
    said(&archway.bundle_command(&export).await, 0);
    let mut bytes = fs::read(&file).expect("it was written");
    let at = bytes.len() - 100_000;
    bytes[at] ^= 1;
    fs::write(&file, bytes).expect("a writable folder");
    let gateway = start(&[&file]).await;
    let client = gateway.client();
    client
        .manifest(REPOSITORY, content.root().digest)
        .await
        .expect(200);
    for _ in 0..2 {
        let answer = client.blob(REPOSITORY, layer.digest()).await;
        assert!(answer.status.is_server_error(), "{}", answer.status);
    }
}

#[tokio::test]
async fn a_delta_is_served_with_its_base_and_refused_without() {
    let source = Source::new().await;
    let (base, delta) = (source.file("base.tar"), source.file("delta.tar"));
    said(
        &source.export(&base, &["--platform", "linux/arm64"]).await,
        0,
    );
    let since = base.to_str().expect("a plain path");
    let words = ["--platform", BOTH, "--since", since];
    said(&source.export(&delta, &words).await, 0);
    assert_whole_now(&start(&[&base, &delta]).await, &source).await;
    let words = ["serve", "--config", "CONFIG", "--offline", "--bundle"];
    let words = [&words[..], &[delta.to_str().expect("a plain path")]].concat();
    let registry = FakeRegistry::start().await;
    let text = said(&Setup::in_front_of(&registry).run(&words).await, 1);
    assert!(
        text.contains("import the bundles it builds on first"),
        "{text}"
    );
    let words = ["serve", "--config", "CONFIG", "--bundle", since];
    let text = said(&Setup::new().run(&words).await, 2);
    assert!(text.contains("--offline"), "{text}");
}
