//! What real upstreams do that no specification foresees, to skopeo, crane and containerd: whatever a
//! client gets straight from such an upstream, it gets through Archway.
//!
//! The tables of outcomes are printed: `cargo test --workspace --test clients odd_upstreams -- --nocapture`.

mod rows;

use std::fmt::Write;
use std::process::Command;

use integration_tests::dead_end::DeadEnd;
use integration_tests::faults::Cut;
use integration_tests::images::Content;
use integration_tests::proxy::{self, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use tokio::runtime::{self, Runtime};

use crate::cell::attempt;
use crate::containerd::{Node, Release, collect};
use crate::setup::Setup;
use crate::tools;

/// Who may pull where a registry wants a login.
const USER: &str = "me";
const PASSWORD: &str = "from-docker-login";

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
    /// Docker's config with the login that it wants, for the registry of this name.
    config: Option<fn(&str) -> String>,
}

impl Odd {
    fn pull(name: &'static str, content: Content, lay: fn(&FakeRegistry, &Runtime)) -> Self {
        Self {
            name,
            task: Task::Pull,
            content,
            lay,
            hangs_up: false,
            config: None,
        }
    }

    fn list(name: &'static str, lay: fn(&FakeRegistry, &Runtime)) -> Self {
        Self {
            task: Task::ListTags,
            ..Self::pull(name, rows::small(), lay)
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
    fn has(self, setup: &Setup, node: &Node, odd: &Odd, registry: &str) -> Option<bool> {
        let task = odd.task;
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
                fetch.args(["content", "fetch", "--plain-http"]);
                if odd.config.is_some() {
                    // It reads no config of docker's.
                    fetch.args(["--user", &format!("{USER}:{PASSWORD}")]);
                }
                fetch.args(["--platform", "linux/amd64", &image]);
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

/// Which way a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Straight,
    Through,
}

/// Whether `client` has what it asks for: from a registry of its own, since some of these things
/// happen once.
fn has(site: &Site, odd: &Odd, client: Client, way: Way) -> Option<bool> {
    let runtime = &site.runtime;
    let registry = runtime.block_on(FakeRegistry::with("team/app", "v1", &odd.content));
    (odd.lay)(&registry, runtime);
    let _inside = runtime.enter();
    let front = odd
        .hangs_up
        .then(|| DeadEnd::at_first(Cut::Rst, registry.address()));
    let upstream = front.as_ref().map_or(registry.address(), DeadEnd::address);
    let config = |name: &str| odd.config.map_or("{}".to_owned(), |config| config(name));
    if way == Way::Straight {
        let address = upstream.to_string();
        let cell = &site.setup.cell;
        cell.write("docker/config.json", &config(&address));
        let had = client.has(&site.setup, &site.node, odd, &address);
        cell.write("docker/config.json", "{}");
        return had;
    }
    let folder = site.setup.folder();
    let file = folder.path().join("config.json");
    std::fs::write(file, config(UPSTREAM)).expect("our own folder");
    let auth = match odd.config {
        Some(_) => "auth = \"docker-config\"",
        None => "",
    };
    let setup = proxy::Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[format!("http://{upstream}")], auth)
        .env("DOCKER_CONFIG", folder.path().display());
    let archway = runtime.block_on(setup.start());
    let address = archway.address().to_string();
    client.has(&site.setup, &site.node, odd, &address)
}

/// What all of it shares.
struct Site {
    setup: Setup,
    node: Node,
    runtime: Runtime,
}

impl Site {
    fn new() -> Self {
        let setup = Setup::new();
        let node = Node::start(&setup, Release::V2);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            setup,
            node,
            runtime,
        }
    }
}

#[test]
fn what_a_client_gets_of_odd_content_it_gets_through_archway() {
    compare(&rows::odd_content());
}

#[test]
fn what_a_client_gets_by_odd_answers_it_gets_through_archway() {
    compare(&rows::odd_answers());
}

fn compare(all: &[Odd]) {
    let site = Site::new();
    let (mut table, mut worse) = (String::new(), Vec::new());
    let mut had_straight = [0_usize; Client::ALL.len()];
    for odd in all {
        let outcomes = Client::ALL.map(|client| {
            let ways = [Way::Straight, Way::Through];
            let [straight, through] = ways.map(|way| has(&site, odd, client, way));
            had_straight[client as usize] += usize::from(straight == Some(true));
            if straight == Some(true) && through != Some(true) {
                worse.push(format!("{}: {client:?}", odd.name));
            }
            format!("{} / {}", word(straight), word(through))
        });
        let _ = writeln!(table, "| {} | {} |", odd.name, outcomes.join(" | "));
    }
    let head = "| straight / through Archway | skopeo | crane | containerd |\n|---|---|---|---|\n";
    // A client that has nothing straight shows nothing about Archway.
    let all_count = had_straight.iter().all(|times| *times > 0);
    assert!(all_count, "a client has nothing straight:\n{head}{table}");
    assert!(
        worse.is_empty(),
        "worse than straight: {worse:?}\n{head}{table}"
    );
}

fn word(has: Option<bool>) -> &'static str {
    match has {
        Some(true) => "ok",
        Some(false) => "fails",
        None => "-",
    }
}
