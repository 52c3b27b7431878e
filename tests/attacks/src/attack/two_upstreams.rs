//! What one upstream says changes nothing that is said of another.

use std::sync::Arc;

use bytes::Bytes;
use integration_tests::client::blob_path;
use integration_tests::images::{
    self, Blob, Content, DOCKER_MANIFEST, Flavor, OCI_MANIFEST, Stored,
};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use serde_json::Value;

use crate::place::Place;
use crate::table::Row;

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    vec![wrong_type(&place).await, named(&place).await]
}

/// An image whose manifest has no `mediaType`, and its bytes.
fn untyped() -> (Content, Bytes) {
    let mut content = images::single("twin", "linux/amd64", Flavor::Oci);
    let root = content.manifests.pop().expect("it has a manifest");
    let mut value: Value = serde_json::from_slice(&root.bytes).expect("JSON");
    value
        .as_object_mut()
        .expect("an object")
        .remove("mediaType");
    (content, value.to_string().into())
}

async fn wrong_type(place: &Place) -> Row {
    let (content, bytes) = untyped();
    let registry = async |kind| {
        let content = content.clone().under(kind, bytes.clone());
        FakeRegistry::with("team/twin", "v1", &content).await
    };
    let (honest, wrong) = (
        registry(OCI_MANIFEST).await,
        registry(DOCKER_MANIFEST).await,
    );
    let setup = Setup::new()
        .upstream("a.test", &honest)
        .upstream("b.test", &wrong);
    let archway = place.start(setup).await;
    let mut said = Vec::new();
    for host in ["b.test", "a.test", "b.test", "a.test"] {
        let path = format!("/v2/{host}/team/twin/manifests/v1");
        let answer = archway.client().get(&path).await.expect(200);
        said.push((host, answer.header("content-type").to_owned(), answer.body));
    }
    let a_is_right = said
        .iter()
        .filter(|(host, ..)| *host == "a.test")
        .all(|(_, kind, body)| kind == OCI_MANIFEST && *body == bytes);
    // Before the honest one was asked, and after it.
    let b_is_the_same = said[0] == said[2];
    Row::new("two upstreams, the same bytes, one says a wrong type and is asked first").saw(
        match (a_is_right, b_is_the_same) {
            (true, true) => "the answers of both are their own",
            (false, _) => "the honest one's answer changed",
            (true, false) => "the wrong one's answer changed",
        },
        "nobody's answer changes",
        a_is_right && b_is_the_same,
    )
}

/// An upstream serves a manifest that names a private blob of another.
async fn named(place: &Place) -> Row {
    let secret = Blob::from(images::noise("secret", 100_000));
    let private = FakeRegistry::with("team/secret", "v1", &images::of_blob(&secret)).await;
    let names_it = images::of_blob(&secret);
    let root = names_it.root();
    let evil = FakeRegistry::with(
        "evil/x",
        "v1",
        &Content {
            manifests: vec![Stored::new(&root.media_type, root.bytes.clone())],
            blobs: names_it.blobs[..1].to_vec(),
        },
    )
    .await;
    let setup = Setup::new()
        .upstream("a.test", &private)
        .upstream("b.test", &evil);
    let archway = place.start(setup).await;
    let client = archway.client();
    let at = |host: &str, repository: &str| {
        let path = blob_path(repository, secret.digest());
        path.replacen("/v2/", &format!("/v2/{host}/"), 1)
    };
    client.get(&at("a.test", "team/secret")).await.expect(200);
    client
        .get("/v2/b.test/evil/x/manifests/v1")
        .await
        .expect(200);
    let stolen = client.get(&at("b.test", "evil/x")).await.status;
    let own = client.get(&at("a.test", "team/secret")).await.status;
    Row::new("a manifest that names another upstream's private blob")
        .saw(format!("through it: {stolen}"), "404", stolen == 404)
        .saw(
            format!("through its own repository: {own}"),
            "200",
            own == 200,
        )
}
