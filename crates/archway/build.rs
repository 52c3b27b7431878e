//! Tells the binary of which commit it is, of what day, and for which target.
//!
//! `ARCHWAY_COMMIT` goes before what git says, for sources without it.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=ARCHWAY_COMMIT");
    // Written with each commit; where there is none, the build script is not run again for it.
    if let Some(log) = git(&[
        "rev-parse",
        "--path-format=absolute",
        "--git-path",
        "logs/HEAD",
    ]) {
        println!("cargo:rerun-if-changed={log}");
    }
    let commit = env::var("ARCHWAY_COMMIT").ok();
    let commit = commit.filter(|commit| !commit.is_empty());
    let commit = commit.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    let date = git(&["log", "-1", "--format=%cs"]);
    let commit = commit.as_deref().unwrap_or("unknown commit");
    let date = date.as_deref().unwrap_or("1970-01-01");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=ARCHWAY_VERSION={version} ({commit}, {target})");
    println!("cargo:rustc-env=ARCHWAY_DATE={date}");
}

/// What git says; nothing without git or a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
