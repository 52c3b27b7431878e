//! Promise 1 as a property: whatever a client says about its platform, an index is served with its
//! own bytes or not at all, and what is served in its place is one of its children, whole, and says
//! so.

use std::cell::RefCell;
use std::collections::BTreeSet;

use http::Method;
use integration_tests::client::{ALL_TYPES, Answer, Client, IMAGES_ONLY};
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use manifest_model::{Algorithm, Digest};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Everything a request can say that has to do with its platform.
#[derive(Clone, Debug)]
struct Ask {
    upstream: &'static str,
    by_digest: bool,
    head: bool,
    path: Option<&'static str>,
    query: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    accept: &'static [&'static str],
}

const PLATFORMS: [&str; 8] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/s390x",
    "Linux/AARCH64",
    "all",
    "unknown/unknown",
    "no/such/thing/at/all",
];

const USER_AGENTS: [&str; 3] = [
    "docker/28.5.2 go/go1.24.9 kernel/6.1.0 os/linux arch/arm64",
    "cri-o/1.36.3 go/go1.26.1 os/linux arch/amd64",
    "containerd/v2.1.9",
];

/// A real index and one Archway made, at an upstream of each mode.
const UPSTREAMS: [&str; 6] = [
    "needed.test/team/real",
    "explicit.test/team/real",
    "always.test/team/real",
    "needed.test/team/made",
    "explicit.test/team/made",
    "always.test/team/made",
];

fn asks() -> impl Strategy<Value = Ask> {
    let platform = || prop::option::of(prop::sample::select(PLATFORMS.to_vec()));
    let in_path = vec![
        "linux-arm64",
        "linux-amd64",
        "linux-arm-v7",
        "all",
        "nonsense-",
    ];
    (
        prop::sample::select(UPSTREAMS.to_vec()),
        any::<bool>(),
        any::<bool>(),
        prop::option::weighted(0.3, prop::sample::select(in_path)),
        platform(),
        platform(),
        prop::option::of(prop::sample::select(USER_AGENTS.to_vec())),
        prop::sample::select(vec![&ALL_TYPES[..], &IMAGES_ONLY[..], &[]]),
    )
        .prop_map(
            |(upstream, by_digest, head, path, query, header, agent, accept)| Ask {
                upstream,
                by_digest,
                head,
                path,
                query,
                headers: [("archway-platform", header), ("user-agent", agent)]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
                    .collect(),
                accept,
            },
        )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Served {
    Index,
    Child,
    Nothing,
}

/// An index as it is, and what it may be answered by.
struct Known {
    index: Answer,
    children: Vec<Digest>,
}

impl Known {
    async fn of(client: &Client, upstream: &str) -> Self {
        let path = format!("/v2/{upstream}/manifests/v1");
        let index = client.get(&path).await.expect(200);
        let entries = index.json()["manifests"]
            .as_array()
            .cloned()
            .expect("an index");
        let digest =
            |entry: &serde_json::Value| entry["digest"].as_str().and_then(|text| text.parse().ok());
        Self {
            children: entries.iter().filter_map(digest).collect(),
            index,
        }
    }

    fn digest(&self) -> &str {
        self.index.header("docker-content-digest")
    }

    /// What was served, if it was served rightly.
    fn check(&self, ask: &Ask, answer: &Answer) -> Result<Served, TestCaseError> {
        if answer.status != 200 {
            prop_assert!(
                [400, 404].contains(&answer.status.as_u16()),
                "{}",
                answer.status
            );
            prop_assert!(!ask.by_digest || answer.status == 400, "a digest is there");
            return Ok(Served::Nothing);
        }
        let named = answer.header("docker-content-digest");
        if !ask.head {
            let actual = Digest::of(Algorithm::Sha256, &answer.body).to_string();
            prop_assert_eq!(&actual, named);
        }
        if named == self.digest() {
            prop_assert!(ask.head || answer.body == self.index.body);
            prop_assert_eq!(answer.header("archway-index"), "");
            Ok(Served::Index)
        } else {
            prop_assert!(!ask.by_digest, "a digest is answered with itself");
            prop_assert!(self.children.iter().any(|child| child.to_string() == named));
            prop_assert_eq!(answer.header("archway-index"), self.digest());
            Ok(Served::Child)
        }
    }
}

async fn send(archway: &Archway, known: &Known, ask: &Ask) -> Answer {
    let mut client = archway.client().accepting(ask.accept);
    for (name, value) in &ask.headers {
        client = client.with(name, value);
    }
    if let Some(query) = ask.query {
        client = client.with_query("platform", query);
    }
    let prefix = ask
        .path
        .map(|form| format!("/platform/{form}"))
        .unwrap_or_default();
    let reference = if ask.by_digest { known.digest() } else { "v1" };
    let method = if ask.head { Method::HEAD } else { Method::GET };
    let path = format!("{prefix}/v2/{}/manifests/{reference}", ask.upstream);
    client.send(method, &path).await
}

async fn start() -> (FakeRegistry, Archway) {
    let registry = FakeRegistry::with("team/real", "v1", &images::multi_platform("real")).await;
    for platform in ["linux/amd64", "linux/arm64"] {
        let tag = platform.replace('/', "-");
        registry.push(
            "team/made",
            &tag,
            &images::single("made", platform, Flavor::Docker),
        );
    }
    let mut setup = Setup::new();
    for mode in ["needed", "explicit", "always"] {
        let host = format!("{mode}.test");
        let lines = format!(
            "resolve = \"{mode}\"\n[[upstream.\"{host}\".virtual_index]]\n\
             name = \"team/made:v1\"\nsources = [\"team/made:linux-amd64\", \"team/made:linux-arm64\"]"
        );
        setup = setup.upstream_with(&host, &registry, &lines);
    }
    (registry, setup.start().await)
}

#[test]
fn no_hint_changes_a_byte_of_an_index() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (_registry, archway) = runtime.block_on(start());
    let client = archway.client();
    let known =
        UPSTREAMS.map(|upstream| (upstream, runtime.block_on(Known::of(&client, upstream))));
    let seen = RefCell::new(BTreeSet::new());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1_000));
    let ran = runner.run(&asks(), |ask| {
        let (_, known) = known
            .iter()
            .find(|(upstream, _)| *upstream == ask.upstream)
            .expect("it was asked of these");
        let answer = runtime.block_on(send(&archway, known, &ask));
        seen.borrow_mut().insert(known.check(&ask, &answer)?);
        Ok(())
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    let all = BTreeSet::from([Served::Index, Served::Child, Served::Nothing]);
    assert_eq!(seen.into_inner(), all, "what was asked tries all there is");
    for (upstream, known) in &known {
        let again = runtime.block_on(Known::of(&client, upstream));
        assert_eq!(again.index.body, known.index.body, "{upstream}");
    }
}
