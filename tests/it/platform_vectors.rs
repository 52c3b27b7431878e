//! The platform vectors once more, over HTTP: a platform by every source that can name any, and a
//! tag in, a digest out, for indexes of both media types.
//!
//! Over HTTP a Windows platform chooses as containerd does on Windows (`windows-default`) and every
//! other as `Only`. The two `strict` vectors therefore ask what `Only` gives for their index,
//! worked out by `manifest-model`, whose own tests hold it to all vectors with their own matchers.

use std::fmt::Write;
use std::net::IpAddr;

use integration_tests::client::{Client, IMAGES_ONLY};
use integration_tests::images::{Content, DOCKER_LIST, OCI_INDEX, Stored};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::vectors::{self, Vector};
use manifest_model::{Algorithm, Choice, Digest, Manifest, Matcher, choose};

const COUNT: usize = 83;

/// The kinds of index that hold each vector, as the first part of a repository.
const FLAVORS: [&str; 2] = ["oci", "docker"];

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

/// How Archway knows a client's platform: every source of the table but the `User-Agent`, which
/// has names for few.
#[derive(Clone, Copy, Debug)]
enum Source {
    Query,
    EncodedQuery,
    Header,
    Path,
    Listener,
    VirtualHost,
    Address,
    Default,
}

const SOURCES: [Source; 8] = [
    Source::Query,
    Source::EncodedQuery,
    Source::Header,
    Source::Path,
    Source::Listener,
    Source::VirtualHost,
    Source::Address,
    Source::Default,
];

/// An Archway with a listener, a host name and an address for each platform of the vectors, and a
/// rule for each repository.
struct Ways {
    _archway: Archway,
    platforms: Vec<String>,
    /// Made once, because a client costs more than its requests.
    plain: Client,
    /// The clients of each platform's listener.
    by_listener: Vec<Client>,
    /// Those with each platform's address.
    by_address: Vec<Client>,
}

impl Ways {
    async fn to(registry: &FakeRegistry, vectors: &[Vector]) -> Self {
        let mut platforms: Vec<_> = vectors
            .iter()
            .map(|vector| vector.requested.clone())
            .collect();
        platforms.sort();
        platforms.dedup();
        let mut rules = String::new();
        for vector in vectors {
            for flavor in FLAVORS {
                let (id, platform) = (&vector.id, &vector.requested);
                let _ = writeln!(
                    rules,
                    "repositories.\"{flavor}/{id}\" = {{ platform = {platform:?} }}"
                );
            }
        }
        let mut setup = Setup::in_front_of_with(registry, &rules).listener("127.0.0.1", "");
        let (mut hosts, mut addresses) = (String::new(), String::new());
        for (number, platform) in platforms.iter().enumerate() {
            setup = setup.listener(&address(number), &format!("platform = {platform:?}"));
            let _ = writeln!(hosts, "{:?} = {platform:?}", host(number));
            let _ = writeln!(addresses, "\"{}/32\" = {platform:?}", peer(number));
        }
        let archway = setup
            .table(&format!("[platform.hosts]\n{hosts}"))
            .table(&format!("[platform.addresses]\n{addresses}"))
            .start()
            .await;
        let numbers = 0..platforms.len();
        let by_listener = numbers
            .clone()
            .map(|number| Client::new(&archway.url_at(&address(number))));
        let by_address = numbers.map(|number| {
            Client::from_address(&archway.url(), peer(number)).accepting(&IMAGES_ONLY)
        });
        Self {
            plain: archway.client(),
            by_listener: by_listener.collect(),
            by_address: by_address.collect(),
            _archway: archway,
            platforms,
        }
    }

    /// A client of `vector`'s platform, and what it puts before `/v2`.
    fn client(&self, source: Source, vector: &Vector) -> (Client, String) {
        let platform = vector.requested.as_str();
        let number = self.platforms.iter().position(|known| known == platform);
        let number = number.expect("the platform is one of them");
        let plain = self.plain.clone();
        let client = match source {
            // A percent sign of the platform itself is one of the URL's, too.
            Source::Query => plain.with_query("platform", &platform.replace('%', "%25")),
            Source::EncodedQuery => {
                let encoded = platform.replace('%', "%25").replace('+', "%2B");
                plain.with_query("platform", &encoded)
            }
            Source::Header => plain.with("archway-platform", platform),
            Source::Path => {
                let path = platform.replace('%', "%25").replace('/', "-");
                return (plain, format!("/platform/{path}"));
            }
            Source::Listener => self.by_listener[number].clone(),
            Source::VirtualHost => plain.with("host", &host(number)),
            Source::Address => self.by_address[number].clone(),
            Source::Default => plain.accepting(&IMAGES_ONLY),
        };
        (client, String::new())
    }
}

fn address(number: usize) -> String {
    format!("127.0.1.{}", number + 1)
}

/// The address of a client of the platform.
fn peer(number: usize) -> IpAddr {
    let last = u8::try_from(number + 1).expect("few platforms");
    IpAddr::from([127, 0, 2, last])
}

fn host(number: usize) -> String {
    format!("p{number}.mirror.example")
}

/// What is wrong with the answer, if anything is.
async fn complaint(
    ways: &Ways,
    source: Source,
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
        for flavor in FLAVORS {
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
