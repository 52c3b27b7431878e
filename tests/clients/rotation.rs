//! ECR's token is replaced in the middle of a pull of many layers: Archway gets a new one, once,
//! and its client sees nothing.

use std::fs;
use std::path::Path;

use futures_util::future::join_all;
use integration_tests::client::Client;
use integration_tests::images::{Blob, Content, noise, of_blobs};
use serde_json::json;
use tokio::runtime;

use crate::archway::{self, More};
use crate::cell::{output, write};
use crate::gate::Gate;
use crate::standin::{ECR_HOST, Standin};

const LAYERS: usize = 20;
const REPOSITORY: &str = "team/layers";
const TAG: &str = "1.0";

#[test]
fn a_token_rotated_within_a_pull_of_20_layers_is_renewed_once_and_nobody_notices() {
    // Its own, since a token that goes would be missed by all other tests.
    let standin = Standin::start();
    let names = (0..LAYERS).map(|layer| format!("layer {layer}"));
    let layers: Vec<Blob> = names.map(|name| noise(&name, 200_000).into()).collect();
    push(&standin, &of_blobs(&layers));
    let (registry, ecr_api) = (
        Gate::before(standin.registry),
        Gate::before(standin.ecr_api),
    );
    let archway = archway::start(&standin, &registry, &ecr_api, &More::default());
    let client = Client::new(&format!("{}/{ECR_HOST}", archway.url()));
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let pull = |part: &[Blob]| {
        let pulls = part.iter().map(|layer| whole(&client, layer));
        runtime.block_on(join_all(pulls));
    };
    standin.script("mark");
    runtime.block_on(async { client.manifest(REPOSITORY, TAG).await.expect(200) });
    let (before, after) = layers.split_at(LAYERS / 2);
    pull(before);
    standin.script("rotate");
    pull(after);
    assert_eq!(standin.tokens(), 2, "the first one and one renewal");
}

async fn whole(client: &Client, layer: &Blob) {
    let answer = client.blob(REPOSITORY, layer.digest()).await.expect(200);
    assert!(layer.holds_at(0, &answer.body));
}

fn push(standin: &Standin, content: &Content) {
    let folder = standin.path("layers");
    layout(&folder, content);
    let source = format!("oci:{}:{TAG}", folder.display());
    let target = format!("docker://{}/{REPOSITORY}:{TAG}", standin.registry);
    let mut copy = standin.skopeo();
    copy.args(["copy", "--quiet", "--preserve-digests"])
        .args(["--dest-tls-verify=false", "--dest-creds"])
        .args([&standin.user_and_token(), &source, &target]);
    output(&mut copy);
}

/// An OCI image layout of `content`.
fn layout(folder: &Path, content: &Content) {
    let blobs = folder.join("blobs/sha256");
    for blob in &content.blobs {
        write(&blobs.join(blob.digest().hex()), blob.piece(0, blob.size()));
    }
    let root = content.root();
    write(&blobs.join(root.digest.hex()), &root.bytes);
    let mut descriptor = root.descriptor();
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": TAG });
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(folder.join("index.json"), index.to_string()).expect("a new file");
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    fs::write(folder.join("oci-layout"), version).expect("a new file");
}
