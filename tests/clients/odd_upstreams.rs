//! What real upstreams do that no specification foresees, to skopeo, crane and containerd: whatever a
//! client gets straight from such an upstream, it gets through Archway.
//!
//! The table of outcomes is printed: `cargo test --workspace --test clients odd_upstreams -- --nocapture`.

use std::fmt::Write as _;
use std::io::Write;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, Method, StatusCode, header};
use integration_tests::auth::{Auth, TokenService};
use integration_tests::dead_end::DeadEnd;
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Content, Flavor, OCI_INDEX, OCI_MANIFEST};
use integration_tests::proxy::{self, UPSTREAM};
use integration_tests::registry::{Blobs, FakeRegistry};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};

use crate::cell::attempt;
use crate::containerd::{Node, Release, collect};
use crate::setup::Setup;
use crate::tools;

/// Of a layer: more than a download asks for at first.
const LAYER: u64 = 12_000_000;

/// What a client is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Pull,
    ListTags,
}

/// One odd thing that an upstream does, with the letter of its kind.
struct Odd {
    name: &'static str,
    task: Task,
    content: Content,
    lay: fn(&FakeRegistry, &Runtime),
    /// Whether it hangs up on the first connection.
    hangs_up: bool,
}

impl Odd {
    fn pull(name: &'static str, content: Content, lay: fn(&FakeRegistry, &Runtime)) -> Self {
        Self {
            name,
            task: Task::Pull,
            content,
            lay,
            hangs_up: false,
        }
    }

    fn list(name: &'static str, lay: fn(&FakeRegistry, &Runtime)) -> Self {
        Self {
            task: Task::ListTags,
            ..Self::pull(name, small(), lay)
        }
    }
}

/// Who pulls.
#[derive(Clone, Copy, Debug)]
enum Client {
    Skopeo,
    Crane,
    Containerd,
}

impl Client {
    const ALL: [Self; 3] = [Self::Skopeo, Self::Crane, Self::Containerd];

    /// Whether it can have what it is asked for from `registry`; `None` if it cannot be asked.
    fn has(self, setup: &Setup, node: &Node, task: Task, registry: &str) -> Option<bool> {
        let (folder, image) = (setup.folder(), format!("{registry}/team/app:v1"));
        let repository = format!("{registry}/team/app");
        let mut command = match (self, task) {
            (Self::Skopeo, Task::Pull) => {
                let mut copy = self.command(setup);
                copy.args(["copy", "--quiet", "--src-tls-verify=false"])
                    .args(["--override-os", "linux", "--override-arch", "amd64"])
                    .arg(format!("docker://{image}"))
                    .arg(format!("dir:{}", folder.path().display()));
                copy
            }
            (Self::Skopeo, Task::ListTags) => {
                let mut list = self.command(setup);
                let name = format!("docker://{repository}");
                list.args(["list-tags", "--tls-verify=false", &name]);
                list
            }
            (Self::Crane, Task::Pull) => {
                let mut pull = self.command(setup);
                pull.args(["pull", "--insecure", "--platform", "linux/amd64"])
                    .args(["--format", "oci", &image])
                    .arg(folder.path());
                pull
            }
            (Self::Crane, Task::ListTags) => {
                let mut list = self.command(setup);
                list.args(["ls", "--insecure", &repository]);
                list
            }
            (Self::Containerd, Task::Pull) => {
                let mut fetch = node.ctr(setup);
                fetch.args(["content", "fetch", "--plain-http"]).args([
                    "--platform",
                    "linux/amd64",
                    &image,
                ]);
                fetch
            }
            (Self::Containerd, Task::ListTags) => return None,
        };
        let done = attempt(&mut command);
        if matches!(self, Self::Containerd) {
            // The next one is to bring everything again.
            collect(node, setup, "default");
        }
        Some(done.is_ok())
    }

    fn command(self, setup: &Setup) -> Command {
        match self {
            Self::Crane => setup.cell.command(tools::built("crane")),
            Self::Skopeo | Self::Containerd => {
                let mut skopeo = setup.cell.command(tools::system("skopeo"));
                skopeo.arg("--insecure-policy");
                skopeo
            }
        }
    }
}

/// An image with a place in its manifest changed.
fn edited(edit: impl FnOnce(&mut Value)) -> Content {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let mut root = serde_json::from_slice(&content.root().bytes).expect("JSON");
    edit(&mut root);
    content.under(OCI_MANIFEST, root.to_string())
}

fn annotated(from: &str, to: &str) -> Content {
    let content = edited(|root| root["layers"][0]["annotations"] = json!({"a": "ODD"}));
    let text = String::from_utf8_lossy(&content.root().bytes).replacen(from, to, 1);
    content.under(OCI_MANIFEST, text)
}

/// An index of which one entry has a digest of an algorithm that nobody knows.
fn blake3() -> Content {
    let content = images::multi_platform("app");
    let mut root: Value = serde_json::from_slice(&content.root().bytes).expect("JSON");
    let entries = root["manifests"].as_array_mut().expect("entries");
    let foreign = entries
        .iter_mut()
        .find(|entry| entry["platform"]["architecture"] != "amd64");
    foreign.expect("another platform")["digest"] = json!(format!("blake3:{}", "0".repeat(64)));
    content.under(OCI_INDEX, root.to_string())
}

fn status(code: u16) -> Fault {
    Fault::Status(StatusCode::from_u16(code).expect("a status"))
}

fn refuse_ranges(registry: &FakeRegistry, code: u16) {
    let status = StatusCode::from_u16(code).expect("a status");
    let refuse = Fault::RefuseRange(0, status);
    registry.faults().add(On::path("/blobs/"), refuse);
}

fn throttle_until(registry: &FakeRegistry, until: &'static str) {
    let (faults, all) = (registry.faults(), On::path("/manifests/"));
    faults.times(1, all.clone(), status(429));
    let wait = Fault::Header(header::RETRY_AFTER, HeaderValue::from_static(until));
    faults.times(1, all, wait);
}

fn tags(count: usize) -> Vec<u8> {
    let tags: Vec<_> = (0..count).map(|at| format!("tag-{at:090}")).collect();
    json!({"name": "team/app", "tags": tags})
        .to_string()
        .into_bytes()
}

fn small() -> Content {
    images::single("app", "linux/amd64", Flavor::Oci)
}

fn large() -> Content {
    images::of_blob(&Blob::from(BigBlob::new("layer", LAYER)))
}

/// What manifests hold, and what happens to ranges.
fn odd_content() -> Vec<Odd> {
    let cut_emoji = annotated("\"ODD\"", r#""x\ud83d""#);
    let twice = annotated("{\"a\":\"ODD\"}", "{\"a\":\"1\",\"a\":\"2\"}");
    vec![
        Odd::pull("A: an entry with a blake3 digest", blake3(), |_, _| ()),
        Odd::pull("A: an annotation cut in an emoji", cut_emoji, |_, _| ()),
        Odd::pull("A: an annotation twice", twice, |_, _| ()),
        Odd::pull(
            "B: 416 to ranges that end beyond the blob",
            large(),
            |registry, _| {
                registry
                    .faults()
                    .add(On::path("/blobs/"), Fault::StrictRange);
            },
        ),
        Odd::pull("B: 403 to every range", large(), |registry, _| {
            refuse_ranges(registry, 403);
        }),
        Odd::pull("B: 501 to every range", large(), |registry, _| {
            refuse_ranges(registry, 501);
        }),
        Odd::pull("B: 206 without Content-Range", large(), |registry, _| {
            registry.faults().add(On::path("/blobs/"), Fault::HideRange);
        }),
    ]
}

/// What is answered, and what is not.
fn odd_answers() -> Vec<Odd> {
    vec![
        Odd::pull(
            "C: one 429 with a Unix time that is over",
            small(),
            |registry, _| {
                throttle_until(registry, "1746136938");
            },
        ),
        Odd::list("D: tags as gzip that nobody asked for", |registry, _| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&tags(3)).expect("room");
            let body = gzip.finish().expect("room");
            let (faults, lists) = (registry.faults(), On::path("/tags/list"));
            faults.add(
                lists.clone(),
                Fault::Replace("application/json", body.into()),
            );
            let gzip = HeaderValue::from_static("gzip");
            faults.add(lists, Fault::Header(header::CONTENT_ENCODING, gzip));
        }),
        Odd::list("D: an unpaged list of 12 MB", |registry, _| {
            let list = Fault::Replace("application/json", tags(120_000).into());
            registry.faults().add(On::path("/tags/list"), list);
        }),
        Odd::pull(
            "E: a challenge with an empty scope",
            small(),
            |registry, runtime| {
                let tokens = runtime.block_on(TokenService::start(None));
                tokens.word(|wording| wording.scope = Some(String::new()));
                registry.require(Auth::Bearer(tokens));
            },
        ),
        Odd {
            hangs_up: true,
            ..Odd::pull("F: it hangs up on the first connection", small(), |_, _| ())
        },
        Odd::pull("G: HEAD of a manifest is a 404", small(), |registry, _| {
            let heads = On::path("/manifests/").method(Method::HEAD);
            registry.faults().add(heads, status(404));
        }),
        Odd::pull("H: 406 to the referrers API", small(), |registry, _| {
            registry.faults().add(On::path("/referrers/"), status(406));
        }),
        Odd::pull("J: the store says 503 at first", large(), |registry, _| {
            store_fails_once(registry, 503);
        }),
        Odd::pull("J: the store says 500 at first", large(), |registry, _| {
            store_fails_once(registry, 500);
        }),
    ]
}

fn store_fails_once(registry: &FakeRegistry, code: u16) {
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    registry
        .faults()
        .times(1, On::path("/layers/"), status(code));
}

/// Whether `client` has what it asks for, straight or `through` Archway: from a registry of its own,
/// since some of these things happen once.
fn has(site: &Site, odd: &Odd, client: Client, through: bool) -> Option<bool> {
    let runtime = &site.runtime;
    let registry = runtime.block_on(FakeRegistry::with("team/app", "v1", &odd.content));
    (odd.lay)(&registry, runtime);
    let _inside = runtime.enter();
    let front = odd
        .hangs_up
        .then(|| DeadEnd::at_first(Cut::Rst, registry.address()));
    let upstream = front.as_ref().map_or(registry.address(), DeadEnd::address);
    let setup = proxy::Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[format!("http://{upstream}")], "");
    let archway = runtime.block_on(setup.start());
    let address = if through { archway.address() } else { upstream };
    client.has(&site.setup, &site.node, odd.task, &address.to_string())
}

/// What all of it shares.
struct Site {
    setup: Setup,
    node: Node,
    runtime: Runtime,
}

#[test]
fn what_a_client_gets_from_an_odd_upstream_it_gets_through_archway() {
    let setup = Setup::new();
    let node = Node::start(&setup, Release::V2);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let site = Site {
        setup,
        node,
        runtime,
    };
    let (mut table, mut worse) = (String::new(), Vec::new());
    let mut had_straight = [0_usize; Client::ALL.len()];
    for odd in odd_content().into_iter().chain(odd_answers()) {
        let outcomes = Client::ALL.map(|client| {
            let [straight, through] =
                [false, true].map(|through| has(&site, &odd, client, through));
            had_straight[client as usize] += usize::from(straight == Some(true));
            if straight == Some(true) && through != Some(true) {
                worse.push(format!("{}: {client:?}", odd.name));
            }
            format!("{} / {}", word(straight), word(through))
        });
        let _ = writeln!(table, "| {} | {} |", odd.name, outcomes.join(" | "));
    }
    let head = "| straight / through Archway | skopeo | crane | containerd |\n|---|---|---|---|\n";
    println!("{head}{table}");
    // A client that has nothing straight shows nothing about Archway.
    let all_count = had_straight.iter().all(|times| *times > 0);
    assert!(all_count, "a client has nothing straight: {table}");
    assert!(worse.is_empty(), "worse than straight: {worse:?}");
}

fn word(has: Option<bool>) -> &'static str {
    match has {
        Some(true) => "ok",
        Some(false) => "fails",
        None => "-",
    }
}
