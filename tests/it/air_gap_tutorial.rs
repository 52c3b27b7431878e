//! The tutorial of docs/air-gap.md: its commands, run in their order, do what it says. Each side is one
//! shell in a directory of its own; what is carried is copied. Only ports and the registry differ.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use integration_tests::images;
use integration_tests::proxy::binary;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;
use tempfile::TempDir;

const TUTORIAL: &str = include_str!("../../docs/air-gap.md");

/// What a shell says after each block.
const DONE: &str = "--- done ---";

/// One side: a shell that lives as long as the tutorial, since it has servers in the background.
struct Side {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: TempDir,
    /// What stands in the tutorial, and what stands in its place.
    replaced: Vec<(String, String)>,
}

impl Side {
    fn new(replaced: Vec<(String, String)>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let bin = binary();
        let bin = bin.parent().expect("a folder");
        let mut shell = Command::new("bash")
            .args(["-e", "-o", "pipefail"])
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut input = shell.stdin.take().expect("piped");
        // However it ends: a shell without job control leaves its servers behind.
        let trap = b"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
        input.write_all(trap).expect("the shell reads");
        Self {
            input,
            output: BufReader::new(shell.stdout.take().expect("piped")),
            shell,
            folder,
            replaced,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a block; what it prints.
    fn run(&mut self, block: &str) -> String {
        let mut block = block.to_owned();
        for (from, to) in &self.replaced {
            block = block.replace(from, to);
        }
        write!(self.input, "{block}\necho '{DONE}'\n").expect("the shell reads");
        let mut printed = String::new();
        loop {
            let before = printed.len();
            let read = self.output.read_line(&mut printed).expect("text");
            assert_ne!(read, 0, "a command failed:\n{block}\n{printed}");
            if printed[before..].trim_end() == DONE {
                printed.truncate(before);
                return printed;
            }
        }
    }

    /// Runs a block that prints all of these.
    fn says(&mut self, block: &str, expected: &[&str]) -> String {
        let said = self.run(block);
        for expected in expected {
            assert!(said.contains(expected), "{expected} is not in\n{said}");
        }
        said
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.input.write_all(b"exit\n");
        let _ = self.input.flush();
        let _ = self.shell.wait();
    }
}

/// The blocks for one shell after the other, in the order of the page.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let parts = TUTORIAL.split("```sh\n").skip(1);
    let blocks = parts.map(|part| part.split("\n```").next().expect("it ends"));
    let sided = blocks.filter_map(|block| block.split_once('\n'));
    sided.filter(|(side, _)| side.starts_with("# ")).collect()
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener
        .local_addr()
        .expect("it listens")
        .port()
        .to_string()
}

/// Free ports instead of those of the page, and lines that name them where the page relies on defaults.
fn ports() -> Vec<(String, String)> {
    let [registry, admin] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let admin_lines = format!("[admin]\naddress = \"{admin}\"\n\n[cache]\n");
    let listener = format!("[[listener]]\naddress = \"{registry}\"\n\n[cache]\npath = \"connected");
    vec![
        ("[cache]\npath = \"connected".to_owned(), listener),
        ("[cache]\n".to_owned(), admin_lines),
        ("0.0.0.0:5000".to_owned(), registry.clone()),
        ("127.0.0.1:5000".to_owned(), registry),
        ("127.0.0.1:9464".to_owned(), admin),
    ]
}

fn carry(name: &str, from: &Side, to: &Side) {
    std::fs::copy(from.path(name), to.path(name)).expect("it is there");
}

#[tokio::test]
async fn the_commands_of_the_tutorial_do_what_it_says() {
    let registry = FakeRegistry::start().await;
    for (name, tag) in [("busybox", "1.37"), ("nginx", "1.29")] {
        let image = images::multi_platform(name);
        registry.push(&format!("library/{name}"), tag, &image);
    }
    let table = "[upstream.\"docker.io\"]\n".to_owned();
    let endpoint = format!("{table}endpoints = [\"{}\"]\n", registry.url());
    let played = tokio::task::spawn_blocking(move || play(&table, &endpoint));
    within("the tutorial ends", played)
        .await
        .expect("no panic in it");
}

fn play(table: &str, endpoint: &str) {
    let mut replaced = ports();
    replaced.push((table.to_owned(), endpoint.to_owned()));
    let (mut connected, mut site) = (Side::new(replaced), Side::new(ports()));
    let blocks = blocks();
    let sides: Vec<_> = blocks.iter().map(|(side, _)| *side).collect();
    let (there, here) = ("# on the connected side", "# at the site");
    assert_eq!(sides, [there, there, here, here, here, there, here]);
    let blocks: Vec<_> = blocks.into_iter().map(|(_, block)| block).collect();

    connected.says(blocks[0], &["ready"]);
    connected.run(blocks[1]);
    carry("site-1.tar", &connected, &site);
    carry("site-1.tar.sha256", &connected, &site);
    site.says(
        blocks[2],
        &[
            "1 upstream, offline",
            "every upstream is offline by configuration",
            "docker.io/library/busybox:1.37 is cached for linux/arm64",
            "offline, so this is all there is: docker.io",
        ],
    );
    let files = site.run(blocks[3]);
    let hosts = files.lines().find(|line| line.ends_with("hosts.toml"));
    let hosts = std::fs::read_to_string(site.path(hosts.expect("a file for containerd")));
    assert!(hosts.expect("text").contains("http://gateway.site:5000"));
    let nginx = "docker.io/library/nginx:1.29";
    let line = format!("{nginx}  # 1 time, last ");
    site.says(blocks[4], &["MANIFEST_UNKNOWN", "\"offline\":true", &line]);
    carry("wanted.txt", &site, &connected);
    connected.run(blocks[5]);
    carry("site-2.tar", &connected, &site);
    let ready = format!("{nginx} is cached for linux/amd64");
    let said = site.says(blocks[6], &[&ready]);
    assert!(
        !said.contains("# 1 time"),
        "nothing is wanted any more: {said}"
    );
}
