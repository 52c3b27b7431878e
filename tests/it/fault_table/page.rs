//! `docs/upstream-faults.md`, as a run makes it.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::cell::Outcome;

const HEAD: &str = "\
# What clients get when an upstream misbehaves

The test `fault_table` makes this page at default settings, but for `tag_ttl` and `not_found_ttl`, which would hide the upstream
(`UPDATE_FAULTS=1 ARCHWAY_FAULTS=default cargo test --workspace --test it fault_table`). `make soak` runs it like that and judges
the times; every other run has shorter timeouts, and fails if it differs from the page in anything but a time. A real server
produced each fault of the first column in five situations:

- *tag cached*: the tag was pulled before and has expired (`tag_ttl = \"0s\"`);
- *tag not cached*, *blob cold*: nothing is cached;
- *digest cached*: the manifest was pulled before and is now requested by digest;
- *blob half-way*: the connection breaks after half of the blob, and the request for the rest meets the fault.

In each the client makes two requests, one after the other; where nothing is said of the second one, it went as the first. A cell
shows the client's result, the time it took, and the number of requests that reached the upstream. *stale* is the cached
answer with `Warning`, `Age` and `Archway-Cache: stale`. *whole* is a body with the right digest. *cut off* is a body whose
connection breaks before its end, so that no client takes it for a whole one; a small one may be a 5xx instead, if the fault came
before its headers were sent. *5xx* is 502, 503 or 504; once the upstream is known to be down, or a download to have failed, it is 503.

In every cell: nothing takes 10 s, but for a 429 and a store's 503, which are waited out for `patience` (15 s), all tries of a
client together; a second request never takes 1 s; no 401 and no challenge is relayed; a 403 or 404 comes only from one of the
upstream; and no body with a wrong byte is ever completed. A fault of the *store* is one of the address that the registry redirects blobs to; manifests
do not meet it.
";

/// The whole page.
pub(super) fn page(rows: &[(&'static str, Vec<[Outcome; 2]>)]) -> String {
    let mut text = HEAD.to_owned();
    text.push_str(
        "\n| fault | tag cached | tag not cached | digest cached | blob cold | blob half-way |\n",
    );
    text.push_str("|---|---|---|---|---|---|\n");
    for (name, cells) in rows {
        let cells: Vec<_> = cells.iter().map(|outcomes| cell(outcomes)).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}

fn cell(outcomes: &[Outcome]) -> String {
    let mut parts: Vec<_> = outcomes.iter().map(part).collect();
    parts.dedup();
    parts.join("; then ")
}

fn part(outcome: &Outcome) -> String {
    let what = match (outcome.whole, outcome.is_stale) {
        (Some(true), true) => "stale".to_owned(),
        (Some(true), false) => "whole".to_owned(),
        (Some(false), _) => "cut off".to_owned(),
        // 502 from the client that found out, 503 once it is known; which of two is which depends
        // on the time between them.
        (None, _) if outcome.code == "UNAVAILABLE" => "5xx UNAVAILABLE".to_owned(),
        (None, _) => format!("{} {}", outcome.status.as_u16(), outcome.code),
    };
    // Above three it depends on how much of a broken body had arrived.
    let asked = match outcome.asked {
        few @ 0..=3 => format!("{few}×"),
        4..=8 => "4 to 8×".to_owned(),
        _ => "more than 8×".to_owned(),
    };
    format!("{what}, {}, {asked}", class(outcome.took))
}

/// Times are written as classes: a machine is not the same twice.
fn class(took: Duration) -> &'static str {
    match took.as_secs() {
        0 => "< 1 s",
        1..5 => "< 5 s",
        5..10 => "< 10 s",
        _ => "< 16 s",
    }
}

/// A page without what differs from run to run: the times, and whether a body that goes wrong at
/// once was seen to do so before its headers had gone out.
pub(super) fn timeless(page: &str) -> String {
    let page = ["< 1 s", "< 5 s", "< 10 s", "< 16 s"]
        .iter()
        .fold(page.to_owned(), |page, class| page.replace(class, "< ? s"))
        .replace("cut off", "5xx UNAVAILABLE");
    let lines = page.lines().map(|line| {
        let cells = line.split('|').map(|cell| {
            let cell = cell.trim();
            match cell.split_once("; then ") {
                Some((first, second)) if first == second => first,
                _ => cell,
            }
        });
        cells.collect::<Vec<_>>().join("|")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Where it is kept.
pub(super) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/upstream-faults.md")
}
