//! Promise 6 as a table: every way an upstream can misbehave, in every situation a client can be
//! in.
//!
//! `make soak` makes it at default settings and judges the times too (`ARCHWAY_FAULTS=default`). Every
//! other run has shorter timeouts and a machine to share, and judges everything else.

mod cell;
mod page;
mod rows;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};

use cell::{Outcome, Situation, Timeouts, play};
use rows::Row;

/// Cells that are played at the same time: fewer where times are judged.
fn at_once(timeouts: Timeouts) -> usize {
    match timeouts {
        Timeouts::Default => 4,
        Timeouts::Short => 8,
    }
}

/// No client waits longer, whatever happens.
const LONGEST: Duration = Duration::from_secs(10);

/// But for a 429, and a store's 503, which means the same: the default `patience`, and a second.
const LONGEST_OF_429: Duration = Duration::from_secs(16);

/// A client that comes after another has waited is told at once.
const AT_ONCE_MEANS: Duration = Duration::from_secs(1);

/// With which timeouts this run is.
fn timeouts() -> Timeouts {
    match std::env::var("ARCHWAY_FAULTS").as_deref() {
        Ok("default") => Timeouts::Default,
        Ok(other) => panic!("ARCHWAY_FAULTS is {other}, and can only be \"default\""),
        Err(_) => Timeouts::Short,
    }
}

#[tokio::test]
async fn no_fault_of_an_upstream_is_worse_for_a_client_than_the_table_says() {
    let (rows, timeouts) = (rows::all(), timeouts());
    let cells = rows.iter().enumerate().flat_map(|(at, row)| {
        Situation::ALL.map(move |situation| async move {
            let outcomes = Box::pin(named(row, situation, timeouts)).await;
            (at, situation, outcomes)
        })
    });
    let mut played: Vec<_> = stream::iter(cells)
        .buffer_unordered(at_once(timeouts))
        .collect()
        .await;
    played.sort_by_key(|(at, situation, _)| (*at, *situation as usize));
    let mut slow = Vec::new();
    for (at, situation, outcomes) in &played {
        let row = &rows[*at];
        for outcome in outcomes {
            assert_rules(row, *situation, outcome);
        }
        let [first, second] = outcomes.each_ref().map(|outcome| outcome.took);
        // With short timeouts all is short but what is known to be down: a machine that is busy.
        let is_judged = row.is_outage || timeouts == Timeouts::Default;
        if first >= longest(row) || (is_judged && second >= AT_ONCE_MEANS) {
            slow.push(format!("{}, {situation:?}: {outcomes:?}", row.name));
        }
    }
    let mut lines: Vec<_> = rows.iter().map(|row| (row.name, Vec::new())).collect();
    for (at, _, outcomes) in played {
        lines[at].1.push(outcomes);
    }
    assert_is_written(&page::page(&lines), timeouts);
    assert!(
        slow.is_empty(),
        "clients wait too long:\n{}",
        slow.join("\n")
    );
}

/// Plays a cell; a panic in what it shares with other cells and other tests is told with the cell's
/// name.
async fn named(row: &Row, situation: Situation, timeouts: Timeouts) -> [Outcome; 2] {
    let played = AssertUnwindSafe(play(row, situation, timeouts))
        .catch_unwind()
        .await;
    played.unwrap_or_else(|panic| panic!("{}, {situation:?}: {}", row.name, said(&*panic)))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text")
}

fn longest(row: &Row) -> Duration {
    if row.name.starts_with("429") || row.name == "store: 503" {
        LONGEST_OF_429
    } else {
        LONGEST
    }
}

fn assert_rules(row: &Row, situation: Situation, outcome: &Outcome) {
    let what = format!("{}, {situation:?}: {outcome:?}", row.name);
    assert_ne!(outcome.status, 401, "{what}");
    assert!(!outcome.has_challenge, "{what}");
    assert!(outcome.status != 404 || row.name == "404", "{what}");
    let is_refusal = matches!(row.name, "401" | "403, no permission");
    assert!(outcome.status != 403 || is_refusal, "{what}");
    let is_other =
        outcome.status.is_client_error() && !matches!(outcome.status.as_u16(), 403 | 404);
    assert!(!is_other, "{what}");
    let is_good = outcome.whole == Some(true);
    match situation {
        Situation::TagCached => assert!(is_good || row.name == "404", "{what}"),
        Situation::DigestCached => {
            assert!(is_good && !outcome.is_stale && outcome.asked == 0, "{what}");
        }
        Situation::TagCold | Situation::BlobCold | Situation::BlobHalfWay => {}
    }
}

fn assert_is_written(page: &str, timeouts: Timeouts) {
    if std::env::var_os("UPDATE_FAULTS").is_some() {
        assert_eq!(
            timeouts,
            Timeouts::Default,
            "the page is made at default settings"
        );
        std::fs::write(page::path(), page).expect("docs/ is writable");
        return;
    }
    let written = std::fs::read_to_string(page::path()).unwrap_or_default();
    let (page, written) = (page::timeless(page), page::timeless(&written));
    let mut lines = page.lines().zip(written.lines());
    let differs = lines.find(|(now, written)| now != written);
    assert!(
        page == written,
        "docs/upstream-faults.md says otherwise; run with UPDATE_FAULTS=1 ARCHWAY_FAULTS=default and look at the difference: {differs:#?}"
    );
}
