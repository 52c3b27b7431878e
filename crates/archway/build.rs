//! Tells the binary of which commit it is, of what day, and for which target.
//!
//! `ARCHWAY_COMMIT` and `SOURCE_DATE_EPOCH` go before what git says, for sources without it.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=ARCHWAY_COMMIT");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
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
    let epoch = env::var("SOURCE_DATE_EPOCH").ok();
    let date = epoch.and_then(|seconds| seconds.parse().ok()).map(day);
    let date = date.or_else(|| git(&["log", "-1", "--format=%cs"]));
    let commit = commit.as_deref().unwrap_or("unknown commit");
    let date = date.as_deref().unwrap_or("1970-01-01");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=ARCHWAY_VERSION={version} ({commit}, {target})");
    println!("cargo:rustc-env=ARCHWAY_DATE={date}");
}

/// The day of a time in seconds since 1970, as `2026-11-29`.
fn day(seconds: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut days, mut year) = (seconds / 86_400, 1970);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// What git says; nothing without git or a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
