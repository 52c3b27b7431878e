//! What every command has: completions that shells load, a manual page without a fault, a version
//! that says what it is made of.

use std::{path::Path, process::Command};

use integration_tests::proxy::{binary, run};
use tempfile::TempDir;

/// What a program says; it has to succeed.
fn said_by(program: &str, arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder);
    let output = command.output().unwrap_or_else(|error| {
        panic!("{program}: {error}; run tests/tools/install.sh clients");
    });
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{program}: {text}");
    text
}

/// A folder with the completions of a shell in the file `archway`.
async fn completions(shell: &str) -> TempDir {
    let output = run(&["completions", shell]).await;
    assert!(output.status.success(), "{output:?}");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("archway"), output.stdout).expect("a new file");
    folder
}

#[tokio::test]
async fn bash_completes_commands_and_flags() {
    let folder = completions("bash").await;
    let script = "source ./archway && COMP_WORDS=(archway cache v) COMP_CWORD=2 \
                  && _archway archway v cache && echo \"${COMPREPLY[@]}\"";
    let said = said_by("bash", &["--norc", "-c", script], folder.path());
    assert_eq!(said.trim(), "verify");
}

#[tokio::test]
async fn zsh_takes_the_completions() {
    let folder = completions("zsh").await;
    std::fs::rename(
        folder.path().join("archway"),
        folder.path().join("_archway"),
    )
    .expect("a name");
    // It leaves out a folder that is named ".".
    let script = "fpath=($PWD $fpath) && autoload -U compinit && compinit -u -D \
                  && [[ ${_comps[archway]} == _archway ]] && autoload +X _archway && which _archway";
    let said = said_by("zsh", &["-f", "-c", script], folder.path());
    assert!(said.contains("reload"), "{said}");
}

#[tokio::test]
async fn fish_completes_commands_and_values() {
    let folder = completions("fish").await;
    let complete = |line: &str| {
        let script = format!("source ./archway; complete -C '{line}'");
        said_by("fish", &["--no-config", "-c", &script], folder.path())
    };
    assert!(
        complete("archway rel").starts_with("reload\t"),
        "{}",
        complete("archway rel")
    );
    assert!(
        complete("archway images -o j").contains("json"),
        "{}",
        complete("archway images -o j")
    );
}

#[tokio::test]
async fn every_command_has_a_manual_page_without_a_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(binary())
        .args(["man", "-o"])
        .arg(folder.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let mut pages: Vec<String> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    pages.sort();
    for page in [
        "archway.1",
        "archway-serve.1",
        "archway-cache-rm.1",
        "archway-reload.1",
    ] {
        assert!(pages.iter().any(|name| name == page), "{page} in {pages:?}");
    }
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let lint = [&["-T", "lint", "-W", "all,stop"], &pages[..]].concat();
    assert_eq!(said_by("mandoc", &lint, folder.path()), "");
}

#[tokio::test]
async fn a_file_that_keeps_a_command_from_archway_is_shown_with_the_way_round_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("archway.toml");
    std::fs::write(&file, "[cahce]\n").expect("a new file");
    let output = run(&["reload", "--config", file.to_str().expect("text")]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in ["unknown key `cahce`", "was not asked", "--socket PATH"] {
        assert!(said.contains(words), "`{words}` in: {said}");
    }
}

#[tokio::test]
async fn the_version_names_the_commit_and_the_target() {
    let output = run(&["--version"]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (version, rest) = text.trim().split_once(" (").expect("a bracket");
    assert_eq!(version, "archway 0.1.0");
    let (commit, target) = rest
        .trim_end_matches(')')
        .split_once(", ")
        .expect("two parts");
    assert!(
        commit.len() == 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{text}"
    );
    assert!(target.contains("-linux-"), "{text}");
}
