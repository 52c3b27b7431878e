//! `archway client-config apply|remove|status containerd` against a real Archway and against what is
//! none, on a node's file system in a folder.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::{fs, thread};

use integration_tests::proxy::{self, Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use tempfile::TempDir;
use tokio::net::TcpListener;

const FILE: &str = "etc/containerd/certs.d/_default/hosts.toml";
const LINK: &str = "etc/containerd/certs.d:/etc/docker/certs.d";

fn node() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(folder.path().join("etc/containerd")).expect("a fresh folder");
    folder
}

async fn archway() -> (FakeRegistry, Archway) {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway)
}

/// The arguments for a node with this containerd.
fn arguments(action: &str, node: &Path, version: &str, more: &[&str]) -> Vec<String> {
    let root = node.display().to_string();
    let own = ["client-config", action, "containerd", "--root", &root];
    let version = ["--containerd-version", version];
    let all = own.iter().chain(&version).chain(more);
    all.map(|word| (*word).to_owned()).collect()
}

async fn run(action: &str, node: &Path, version: &str, more: &[&str]) -> (i32, String) {
    let all = arguments(action, node, version, more);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let output: Output = proxy::run(&all).await;
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("an end of its own");
    (code, String::from_utf8(text).expect("text"))
}

#[tokio::test]
async fn apply_status_and_remove_agree_on_a_node_that_needs_no_restart() {
    let (_registry, archway) = archway().await;
    let (node, server) = (node(), archway.url());
    let told = ["--server", &server];
    let (url, admin) = (archway.url(), archway.admin_url());
    let own = ["--server", &url, "--admin", &admin];
    let (code, text) = run("status", node.path(), "2.4", &told).await;
    assert_eq!(code, 1, "{text}");
    let (code, text) = run("apply", node.path(), "2.4", &own).await;
    assert_eq!(code, 0, "{text}");
    let file = fs::read_to_string(node.path().join(FILE)).expect("the file is there");
    assert!(file.contains(&format!("[host.\"{url}\"]")), "{file}");
    assert!(node.path().join(LINK).join("_default/hosts.toml").exists());
    assert_eq!(run("status", node.path(), "2.4", &told).await.0, 0);
    assert_eq!(run("remove", node.path(), "2.4", &[]).await.0, 0);
    assert!(!node.path().join(FILE).exists() && !node.path().join(LINK).exists());
    assert_eq!(run("status", node.path(), "2.4", &told).await.0, 1);
}

#[tokio::test]
async fn a_containerd_that_reads_nothing_is_told_of_with_the_two_lines() {
    let (_registry, archway) = archway().await;
    let (url, admin) = (archway.url(), archway.admin_url());
    let own = ["--server", &url, "--admin", &admin];
    for (version, plugin) in [
        ("1.6", "io.containerd.grpc.v1.cri"),
        ("2.1", "io.containerd.cri.v1.images"),
    ] {
        let node = node();
        let (code, text) = run("apply", node.path(), version, &own).await;
        assert_eq!(code, 1, "{text}");
        let lines = format!(
            "\n[plugins.\"{plugin}\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n"
        );
        assert!(text.contains(&lines) && text.contains("restart"), "{text}");
        assert!(node.path().join(FILE).exists());
        let config = node.path().join("etc/containerd/config.toml");
        let lines = text.split("\n\n").last().expect("the lines");
        fs::write(config, lines).expect("a folder of ours");
        let (code, text) = run("apply", node.path(), version, &own).await;
        assert_eq!((code, text.as_str()), (0, "nothing had to change\n"));
    }
}

/// Somebody else's listener would be asked first for every image of the node.
#[tokio::test]
async fn nothing_is_written_for_a_port_where_another_program_listens() {
    let (_registry, archway) = archway().await;
    let (_other_registry, other) = self::archway().await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let hanging = format!("http://{}", hanging.local_addr().expect("bound"));
    let (foreign, _) = FakeRegistry::with_app().await;
    let (foreign, ours, other) = (foreign.url(), archway.url(), other.url());
    let admin = archway.admin_url();
    for (server, admin, said) in [
        (&hanging, &admin, "nothing answers"),
        (&foreign, &admin, "another program answers"),
        (&other, &admin, "two different Archways"),
        (&ours, &foreign, "no admin listener"),
    ] {
        let node = node();
        let own = ["--server", server, "--admin", admin];
        let (code, text) = run("apply", node.path(), "2.4", &own).await;
        assert_eq!(code, 2, "{text}");
        assert!(
            text.contains(said) && text.contains("Nothing was written"),
            "{text}"
        );
        let port = server.rsplit(':').next().expect("a port");
        assert!(
            text.contains(port) || text.contains(admin.as_str()),
            "{text}"
        );
        assert!(!node.path().join("etc/containerd/certs.d").exists());
    }
}

#[tokio::test]
async fn a_node_whose_system_writes_the_files_itself_is_left_alone() {
    let (_registry, archway) = archway().await;
    let (url, admin) = (archway.url(), archway.admin_url());
    let own = ["--server", &url, "--admin", &admin];
    let node = node();
    let folder = "var/lib/rancher/k3s/agent/etc/containerd";
    fs::create_dir_all(node.path().join(folder)).expect("a folder of ours");
    let (code, text) = run("apply", node.path(), "2.4", &own).await;
    assert_eq!(code, 2);
    assert!(text.contains("use `archway client-config k3s`"), "{text}");
}

#[tokio::test]
async fn an_unknown_version_is_asked_for_where_it_decides() {
    let (_registry, archway) = archway().await;
    let (url, admin, node) = (archway.url(), archway.admin_url(), node());
    let root = node.path().display().to_string();
    let words = [
        "client-config",
        "apply",
        "containerd",
        "--root",
        &root,
        "--server",
        &url,
        "--admin",
        &admin,
    ];
    let output = proxy::run(&words).await;
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("depends on containerd's version"), "{text}");
}

/// A watcher, killed at the end of a test that fails.
struct Watcher(Child);

impl Watcher {
    fn start(node: &Path, own: &[&str]) -> Self {
        let all = arguments("apply", node, "2.4", own);
        let child = Command::new(proxy::binary())
            .args(all)
            .arg("--watch")
            .env_clear()
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the binary runs"))
    }

    fn terminate(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.0
            .wait()
            .expect("a child")
            .code()
            .expect("an end of its own")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let _ = self.0.kill();
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    eventually(what, async || holds().then_some(())).await;
}

#[tokio::test]
async fn a_watcher_waits_for_archway_repairs_its_files_and_takes_them_away_at_the_end() {
    let (_registry, mut archway) = archway().await;
    let (url, admin, node) = (archway.url(), archway.admin_url(), node());
    let file = node.path().join(FILE);
    let watcher = Watcher::start(node.path(), &["--server", &url, "--admin", &admin]);
    until("the file is written", || file.exists()).await;
    fs::remove_file(&file).expect("it is there");
    until("the file is written again", || file.exists()).await;
    assert_eq!(watcher.terminate(), 0);
    assert!(!file.exists() && !node.path().join(LINK).exists());
    let watcher = Watcher::start(node.path(), &["--server", &url, "--admin", &admin]);
    until("the file is written", || file.exists()).await;
    archway.kill();
    until("the files go with Archway", || !file.exists()).await;
    assert_eq!(watcher.terminate(), 0);
}

#[tokio::test]
async fn a_watcher_that_keeps_its_files_leaves_them_at_the_end() {
    let (_registry, archway) = archway().await;
    let (url, admin, node) = (archway.url(), archway.admin_url(), node());
    let file = node.path().join(FILE);
    let own = ["--server", &url, "--admin", &admin, "--keep-on-exit"];
    let watcher = Watcher::start(node.path(), &own);
    until("the file is written", || file.exists()).await;
    assert_eq!(watcher.terminate(), 0);
    assert!(file.exists());
}

#[tokio::test]
async fn without_an_admin_listener_the_mark_of_a_ping_is_believed_and_no_other_answer() {
    let (registry, archway) = archway().await;
    let (url, foreign) = (archway.url(), registry.url());
    let node = node();
    let own = ["--server", &foreign, "--without-admin"];
    let (code, text) = run("apply", node.path(), "2.4", &own).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("another program answers"), "{text}");
    assert!(!node.path().join(FILE).exists());
    let own = ["--server", &url, "--without-admin"];
    let (code, text) = run("apply", node.path(), "2.4", &own).await;
    assert_eq!(code, 0, "{text}");
    assert!(node.path().join(FILE).exists());
}

/// A closed port costs a pull nothing; one behind which nobody answers costs it much.
#[tokio::test]
async fn an_archway_that_hangs_has_no_files_until_it_answers_again() {
    let (_registry, archway) = archway().await;
    let (url, admin, node) = (archway.url(), archway.admin_url(), node());
    let file = node.path().join(FILE);
    let watcher = Watcher::start(node.path(), &["--server", &url, "--admin", &admin]);
    until("the file is written", || file.exists()).await;
    signal(&archway, rustix::process::Signal::STOP);
    until("the files go", || !file.exists()).await;
    signal(&archway, rustix::process::Signal::CONT);
    until("the files are back", || file.exists()).await;
    assert_eq!(watcher.terminate(), 0);
}

fn signal(archway: &Archway, signal: rustix::process::Signal) {
    let pid = i32::try_from(archway.pid()).ok();
    let pid = pid.and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a process"), signal).expect("it runs");
}

/// A node that lost its power, or a pod that was killed, has the files of then.
#[tokio::test]
async fn files_of_a_predecessor_go_if_no_archway_answers() {
    let (_registry, mut archway) = archway().await;
    let (url, admin, node) = (archway.url(), archway.admin_url(), node());
    let own = ["--server", &url, "--admin", &admin];
    assert_eq!(run("apply", node.path(), "2.4", &own).await.0, 0);
    archway.kill();
    let watcher = Watcher::start(node.path(), &own);
    let file = node.path().join(FILE);
    until("the files go", || !file.exists()).await;
    assert_eq!(watcher.terminate(), 0);
}

#[tokio::test]
async fn remove_says_so_where_config_toml_cannot_be_read() {
    let (_registry, archway) = archway().await;
    let (url, admin, node) = (archway.url(), archway.admin_url(), node());
    let own = ["--server", &url, "--admin", &admin];
    assert_eq!(run("apply", node.path(), "2.4", &own).await.0, 0);
    let config = node.path().join("etc/containerd/config.toml");
    fs::write(config, "version = \n").expect("a folder of ours");
    let (code, text) = run("remove", node.path(), "2.4", &[]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("config.toml is broken"), "{text}");
    assert!(!node.path().join(FILE).exists(), "the defaults are cleared");
}

/// What the doctor says of a node's files.
async fn doctor(node: &Path, more: &[&str]) -> (i32, String) {
    let root = node.display().to_string();
    let words = ["doctor", "clients", "--node", "--root", &root];
    let all: Vec<&str> = words.iter().chain(more).copied().collect();
    let output = proxy::run(&all).await;
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("an end of its own");
    (code, String::from_utf8(text).expect("text"))
}

#[tokio::test]
async fn the_doctor_ends_with_0_where_all_is_well_1_with_findings_and_2_where_it_cannot_look() {
    let (_registry, archway) = archway().await;
    let (url, admin, node) = (archway.url(), archway.admin_url(), node());
    let told = ["--server", &url, "--containerd-version", "2.4"];
    let (code, text) = doctor(node.path(), &told).await;
    assert_eq!(code, 1, "{text}");
    let finding =
        "finding: containerd takes `/etc/containerd/certs.d:/etc/docker/certs.d` for one path";
    assert!(text.contains(finding), "{text}");
    let own = ["--server", &url, "--admin", &admin];
    assert_eq!(run("apply", node.path(), "2.4", &own).await.0, 0);
    let (code, text) = doctor(node.path(), &told).await;
    assert_eq!(code, 0, "{text}");
    let route = format!(
        "docker.io\n  1. {url}: for tags and digests, by /etc/containerd/certs.d:/etc/docker/certs.d/_default/hosts.toml\n  \
         2. https://registry-1.docker.io: the registry itself\n"
    );
    assert!(
        text.contains(&route) && text.contains("no findings"),
        "{text}"
    );
    // What an unset `config_path` means depends on the version.
    let (code, text) = doctor(node.path(), &["--server", &url]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("depends on containerd's version"), "{text}");
}
