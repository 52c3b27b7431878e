//! What the documents tell to run can be run. Every `archway` command in them exists with its flags, in
//! text and in blocks; a block of shell that needs nothing but Archway says so in its first line, and
//! runs here. README's first page is one walk, in its order.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration_tests::client::Client;
use integration_tests::images;
use integration_tests::proxy::{self, binary};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;

/// The first line of a block that runs here, or in the chart's tests.
const RUNS: &str = "# runs anywhere";

/// First lines of blocks that another test runs: `air_gap_tutorial`.
const TUTORIAL: [&str; 2] = ["# on the connected side", "# at the site"];

/// Programs that a test cannot count on, or that reach what it must not: a block with one of them is
/// for people.
const OTHERS: [&str; 10] = [
    "/", "apply", "aws", "cargo", "crane", "docker", "helm", "kubectl", "make", "minisign",
];

/// Messages of the log that begin with the program's name; logging.md has them as code as well.
const MESSAGES: [&str; 2] = ["cannot run", "has started"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README and the pages of docs, by name.
fn pages() -> BTreeMap<String, String> {
    let docs = fs::read_dir(top().join("docs")).expect("docs");
    let docs = docs.map(|entry| entry.expect("a file").path());
    let pages = docs.chain([top().join("README.md")]);
    let pages = pages.filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read_to_string(&path).expect("text"))
        })
        .collect()
}

/// The blocks of shell of a page.
fn blocks(page: &str) -> Vec<&str> {
    let parts = page.split("```sh\n").skip(1);
    let ended = parts.map(|part| part.split("\n```").next().expect("it ends"));
    ended.collect()
}

/// The commands of Archway in a page: each line of a block, and each span of code in the text.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in blocks(page) {
        let joined = block.replace("\\\n", " ");
        found.extend(joined.lines().map(str::to_owned));
    }
    let mut is_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let whole = found.iter().filter_map(|line| {
        let line = line.split(" #").next()?.trim();
        line.strip_prefix("archway ").map(str::to_owned)
    });
    whole.collect()
}

/// Whether a command that has others below it takes `word` itself: it stands for something, or is a
/// value that the help has among those of its arguments.
fn takes(help: &str, word: &str) -> bool {
    let is_placeholder = word.chars().all(|letter| letter.is_ascii_uppercase());
    let arguments = help.split("\nArguments:\n").nth(1).unwrap_or_default();
    let arguments = arguments.split("\n\n").next().unwrap_or_default();
    let values = arguments.split("[possible values: ").nth(1);
    let values = values.and_then(|values| values.split(']').next());
    let mut values = values.into_iter().flat_map(|values| values.split(','));
    is_placeholder || values.any(|value| value.trim() == word)
}

/// The commands below a command, by its help, and the help itself.
async fn help(path: &[&str]) -> (Vec<String>, String) {
    let output = proxy::run(&[path, &["--help"]].concat()).await;
    let text = String::from_utf8(output.stdout).expect("text");
    let listed = text.split("\nCommands:\n").nth(1);
    let listed = listed.map(|rest| rest.split("\n\n").next().unwrap_or_default());
    let names = listed.into_iter().flat_map(str::lines);
    let names = names.filter_map(|line| line.split_whitespace().next());
    (names.map(str::to_owned).collect(), text)
}

#[tokio::test]
async fn every_command_in_the_documents_exists_with_its_flags() {
    let mut helps = BTreeMap::new();
    let mut wrong = Vec::new();
    for (name, page) in pages() {
        for command in commands(&page) {
            if MESSAGES.contains(&&*command) {
                continue;
            }
            let words: Vec<_> = command.split_whitespace().collect();
            let mut path = Vec::new();
            let mut below = helps
                .entry(String::new())
                .or_insert(help(&[]).await)
                .clone();
            for word in &words {
                if !below.0.iter().any(|known| known == word) {
                    break;
                }
                path.push(*word);
                let key = path.join(" ");
                if !helps.contains_key(&key) {
                    helps.insert(key.clone(), help(&path).await);
                }
                below = helps[&key].clone();
            }
            let is_group = !below.0.is_empty();
            let next = words.get(path.len());
            let is_unknown = is_group && next.is_some_and(|word| !takes(&below.1, word));
            if path.is_empty() || is_unknown {
                wrong.push(format!("{name}: archway {command}: no such command"));
            }
            let flags = words
                .iter()
                .filter(|word| word.starts_with('-') && word.len() > 1);
            for flag in flags {
                let flag = flag
                    .split('=')
                    .next()
                    .unwrap_or(flag)
                    .trim_end_matches([']', ')', ',']);
                if flag.starts_with("--") && !below.1.contains(flag) {
                    wrong.push(format!("{name}: archway {command}: no flag {flag}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_block_that_needs_nothing_but_archway_says_that_it_runs() {
    for (name, page) in pages() {
        for block in blocks(&page) {
            let first = block.lines().next().unwrap_or_default();
            let is_marked = first == RUNS || TUTORIAL.contains(&first);
            let needs_other = OTHERS.iter().any(|other| {
                let words = block.split(|letter: char| letter.is_whitespace() || letter == '(');
                let mut words = words.map(|word| word.trim_matches(['\'', '"']));
                words
                    .any(|word| word == *other || other.starts_with('/') && word.starts_with(other))
            });
            let is_setting = block.lines().all(|line| line.starts_with("export "));
            assert!(
                is_marked || needs_other || is_setting,
                "{name}: mark it with `{RUNS}`:\n{block}"
            );
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it listens").port()
}

/// Runs a script to its end in `folder`, as a new user would, with Archway on the path.
async fn shell(script: String, folder: &Path) -> String {
    let bin = binary();
    let path = format!(
        "{}:/usr/bin:/bin",
        bin.parent().expect("a folder").display()
    );
    let mut bash = Command::new("bash");
    bash.args(["-e", "-o", "pipefail", "-c", &script])
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("PATH", path)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || bash.output());
    let output = within("the script ends", output).await.expect("no panic");
    let output = output.expect("a shell");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{out}\n{err}");
    out
}

/// README alone, as a new user: the file it says to write, the start, a pull, and a look at it. Only the
/// ports and the registry are others, and the pull is one of this test instead of docker's.
#[tokio::test]
async fn readme_gets_somebody_from_nothing_to_a_mirror_that_is_used() {
    let content = images::multi_platform("busybox");
    let registry = FakeRegistry::with("docker/library/busybox", "latest", &content).await;
    let (port, admin) = (free_port(), free_port());
    let pages = pages();
    let run: Vec<_> = blocks(&pages["README.md"])
        .into_iter()
        .filter(|block| block.starts_with(RUNS))
        .collect();
    let [start, look] = run[..] else {
        panic!("README has a block to start with, and one to look with: {run:?}");
    };
    let upstream = "[upstream.\"public.ecr.aws\"]";
    let endpoint = format!("{upstream}\nendpoints = [\"{}\"]", registry.url());
    let ports = format!(
        "[[listener]]\naddress = \"127.0.0.1:{port}\"\n[admin]\naddress = \"127.0.0.1:{admin}\"\n[cache]\n"
    );
    let ready = format!("127.0.0.1:{admin}/readyz");
    let start = start
        .replace("127.0.0.1:9464/readyz", &ready)
        .replace("[cache]\n", &ports)
        .replace(upstream, &endpoint);
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The shell waits until it is told that the pull is done: a pipe opens when both ends are there.
    let (begun, pulled) = (folder.path().join("begun"), folder.path().join("pulled"));
    let script = format!(
        "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nmkfifo pulled\n{start}\ntouch begun\n\
         read -r _ < pulled || true\n{look}\n"
    );
    let walk = shell(script, folder.path());
    let pull = async {
        integration_tests::wait::eventually("it has started", async || {
            begun.exists().then_some(())
        })
        .await;
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        client
            .pull("public.ecr.aws/docker/library/busybox", "latest")
            .await;
        let told = tokio::task::spawn_blocking(move || fs::write(pulled, "done\n"));
        told.await.expect("no panic").expect("the shell reads");
    };
    let (said, ()) = tokio::join!(walk, pull);
    for expected in [
        "archway.toml: ok",
        "ready",
        "public.ecr.aws/docker/library/busybox:latest",
        "CLIENTS",
        "index, because no source names a platform",
    ] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
    let beside = folder.path().join("archway-cache");
    assert!(beside.is_dir(), "a path counts from the file");
}

/// The blocks of other pages that say that they run, but for those of the chart.
#[tokio::test]
async fn every_block_that_says_so_runs() {
    let chart = ["eks.md", "kubernetes.md", "README.md"];
    for (name, page) in pages() {
        let run = blocks(&page)
            .into_iter()
            .filter(|block| block.starts_with(RUNS));
        for block in run.filter(|_| !chart.contains(&&*name)) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            shell(block.to_owned(), folder.path()).await;
        }
    }
}

/// Policies that are to be copied are JSON, and of one partition each.
#[test]
fn what_is_to_be_copied_as_json_is_json() {
    for (name, page) in pages() {
        for block in page.split("```json\n").skip(1) {
            let block = block.split("\n```").next().expect("it ends");
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(block);
            let parsed = parsed.unwrap_or_else(|error| panic!("{name}: {error}:\n{block}"));
            let text = parsed.to_string();
            let partitions = ["arn:aws:", "arn:aws-cn:", "arn:aws-us-gov:"];
            let named = partitions.iter().filter(|arn| text.contains(**arn)).count();
            assert!(named <= 1, "{name}: {block}");
        }
    }
}
