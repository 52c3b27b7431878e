//! The platform vectors once more, over HTTP: a platform by every explicit source and a tag in, a
//! digest out, for indexes of both media types.
//!
//! Over HTTP a Windows platform chooses as containerd does on Windows (`windows-default`) and every
//! other as `Only`. The two `strict` vectors therefore ask what `Only` gives for their index,
//! worked out by `manifest-model`, whose own tests hold it to all vectors with their own matchers.

use std::fmt::Write;

use integration_tests::client::Client;
use integration_tests::images::{Content, DOCKER_LIST, OCI_INDEX, Stored};
use integration_tests::proxy::{Archway, Setup};
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

/// How a client says its platform: every explicit source of the table.
#[derive(Clone, Copy, Debug)]
enum Explicit {
    Query,
    Header,
    Path,
    Listener,
    VirtualHost,
}

const SOURCES: [Explicit; 5] = [
    Explicit::Query,
    Explicit::Header,
    Explicit::Path,
    Explicit::Listener,
    Explicit::VirtualHost,
];

/// An Archway with a listener and a host name for each platform of the vectors.
struct Ways {
    archway: Archway,
    platforms: Vec<String>,
}

impl Ways {
    async fn to(registry: &FakeRegistry, vectors: &[Vector]) -> Self {
        let mut platforms: Vec<_> = vectors
            .iter()
            .map(|vector| vector.requested.clone())
            .collect();
        platforms.sort();
        platforms.dedup();
        let mut setup = Setup::in_front_of(registry).listener("127.0.0.1", "");
        let mut hosts = String::new();
        for (number, platform) in platforms.iter().enumerate() {
            setup = setup.listener(&address(number), &format!("platform = {platform:?}"));
            let _ = writeln!(hosts, "{:?} = {platform:?}", host(number));
        }
        let archway = setup
            .table(&format!("[platform.hosts]\n{hosts}"))
            .start()
            .await;
        Self { archway, platforms }
    }

    /// A client of `vector`'s platform, and what it puts before `/v2`.
    fn client(&self, source: Explicit, vector: &Vector) -> (Client, String) {
        let platform = vector.requested.as_str();
        let number = self.platforms.iter().position(|known| known == platform);
        let number = number.expect("the platform is one of them");
        let plain = self.archway.client();
        let client = match source {
            Explicit::Query => plain.with_query("platform", platform),
            Explicit::Header => plain.with("archway-platform", platform),
            Explicit::Path => return (plain, format!("/platform/{}", platform.replace('/', "-"))),
            Explicit::Listener => Client::new(&self.archway.url_at(&address(number))),
            Explicit::VirtualHost => plain.with("host", &host(number)),
        };
        (client, String::new())
    }
}

fn address(number: usize) -> String {
    format!("127.0.1.{}", number + 1)
}

fn host(number: usize) -> String {
    format!("p{number}.mirror.example")
}

/// What is wrong with the answer, if anything is.
async fn complaint(
    ways: &Ways,
    source: Explicit,
    repository: &str,
    vector: &Vector,
) -> Option<String> {
    let (client, prefix) = ways.client(source, vector);
    let path = format!("{prefix}/v2/{repository}/manifests/v");
    let get = client.get(&path).await;
    let head = client.head(&path).await;
    let got = get.header("docker-content-digest").to_owned();
    let wanted = expected(vector).map(|digest| digest.to_string());
    let fits = match &wanted {
        Some(digest) => get.status == 200 && got == *digest && body_is(&get.body, digest),
        None => get.status == 404 && get.error_code() == "MANIFEST_UNKNOWN",
    };
    let alike = head.status == get.status && head.header("docker-content-digest") == got;
    (!fits || !alike).then(|| {
        format!(
            "{repository} by {source:?} ({}, {}): wanted {wanted:?}, got {} {got} {}; HEAD {}",
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

/// The same content under an index of Docker's media type: other bytes, the same entries.
fn docker(vector: &Vector) -> Content {
    let mut content = vector.content.clone();
    let root = content.manifests.pop().expect("content has a root");
    let text = String::from_utf8(root.bytes.to_vec()).expect("JSON is text");
    let text = text.replacen(OCI_INDEX, DOCKER_LIST, 1);
    let media_type = if root.media_type == OCI_INDEX {
        DOCKER_LIST
    } else {
        &root.media_type
    };
    content.manifests.push(Stored::new(media_type, text));
    content
}

#[tokio::test]
async fn every_vector_is_chosen_as_containerd_chooses_whoever_says_the_platform() {
    let vectors = vectors::all();
    assert_eq!(vectors.len(), COUNT);
    let registry = FakeRegistry::start().await;
    for vector in &vectors {
        registry.push(&format!("oci/{}", vector.id), "v", &vector.content);
        registry.push(&format!("docker/{}", vector.id), "v", &docker(vector));
    }
    let ways = Ways::to(&registry, &vectors).await;
    let mut complaints = Vec::new();
    for vector in &vectors {
        for flavor in ["oci", "docker"] {
            let repository = format!("{flavor}/{}", vector.id);
            for source in SOURCES {
                complaints.extend(complaint(&ways, source, &repository, vector).await);
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}
