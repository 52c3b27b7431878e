//! The platform vectors once more, over HTTP: `Archway-Platform` and a tag in, a digest out.
//!
//! Over HTTP a Windows platform chooses as containerd does on Windows (`windows-default`) and every
//! other as `Only`. The two `strict` vectors therefore ask what `Only` gives for their index, worked out
//! by `manifest-model`, whose own tests hold it to all vectors with their own matchers.

use integration_tests::client::Client;
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::vectors::{self, Vector};
use manifest_model::{Algorithm, Choice, Digest, Manifest, Matcher, choose};

const COUNT: usize = 58;

/// What the running binary has to answer; nothing means that no entry fits.
fn expected(vector: &Vector) -> Option<Digest> {
    if vector.matcher != "strict" {
        return vector.expected;
    }
    let root = vector.content.root();
    let index = Manifest::parse(root.bytes.clone(), None, Algorithm::Sha256).expect("an index");
    let wanted = vector.requested.parse().expect("a platform");
    match choose(index.entries(), &Matcher::new(&wanted)) {
        Choice::Manifest(entry) => Some(entry.digest),
        Choice::None => None,
        other => panic!(
            "{}: the strict vectors are plain indexes: {other:?}",
            vector.id
        ),
    }
}

/// What is wrong with the answer, if anything is.
async fn complaint(client: Client, vector: &Vector) -> Option<String> {
    let client = client.with("archway-platform", &vector.requested);
    let repository = format!("vectors/{}", vector.id);
    let get = client.manifest(&repository, "v").await;
    let head = client.head(&format!("/v2/{repository}/manifests/v")).await;
    let got = get.header("docker-content-digest").to_owned();
    let wanted = expected(vector).map(|digest| digest.to_string());
    let fits = match &wanted {
        Some(digest) => get.status == 200 && got == *digest && body_is(&get.body, digest),
        None => get.status == 404 && get.error_code() == "MANIFEST_UNKNOWN",
    };
    let alike = head.status == get.status && head.header("docker-content-digest") == got;
    (!fits || !alike).then(|| {
        format!(
            "{} ({}, {}): wanted {wanted:?}, got {} {got} {}; HEAD {}",
            vector.id,
            vector.requested,
            vector.matcher,
            get.status,
            get.header("archway-platform"),
            head.status
        )
    })
}

fn body_is(body: &[u8], digest: &str) -> bool {
    Digest::of(Algorithm::Sha256, body).to_string() == digest
}

#[tokio::test]
async fn every_vector_is_chosen_as_containerd_chooses() {
    let vectors = vectors::all();
    assert_eq!(vectors.len(), COUNT);
    let registry = FakeRegistry::start().await;
    for vector in &vectors {
        registry.push(&format!("vectors/{}", vector.id), "v", &vector.content);
    }
    let archway = Setup::in_front_of(&registry).start().await;
    let mut complaints = Vec::new();
    for vector in &vectors {
        complaints.extend(complaint(archway.client(), vector).await);
    }
    assert!(
        complaints.is_empty(),
        "{} of {COUNT}:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}
