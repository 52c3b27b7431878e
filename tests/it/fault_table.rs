//! Promise 6 as a table: every way an upstream can misbehave, in every situation a client can be
//! in.

mod cell;
mod page;
mod rows;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};

use cell::{Outcome, Situation, play};
use rows::Row;

/// Cells that are played at the same time.
const AT_ONCE: usize = 8;

/// No client waits longer, whatever happens.
const LONGEST: Duration = Duration::from_secs(10);

/// A client that comes after another has found the upstream dead is told at once.
const AT_ONCE_MEANS: Duration = Duration::from_secs(1);

#[tokio::test]
async fn no_fault_of_an_upstream_is_worse_for_a_client_than_the_table_says() {
    let rows = rows::all();
    let cells = rows.iter().enumerate().flat_map(|(at, row)| {
        Situation::ALL.map(move |situation| async move {
            (at, situation, Box::pin(named(row, situation)).await)
        })
    });
    let mut played: Vec<_> = stream::iter(cells)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    played.sort_by_key(|(at, situation, _)| (*at, *situation as usize));
    for (at, situation, outcomes) in &played {
        for outcome in outcomes {
            assert_rules(&rows[*at], *situation, outcome);
        }
        if let (true, [_, second]) = (rows[*at].is_outage, &outcomes[..]) {
            let name = rows[*at].name;
            assert!(
                second.took < AT_ONCE_MEANS,
                "{name}, {situation:?}: {second:?}"
            );
        }
    }
    let mut lines: Vec<_> = rows.iter().map(|row| (row.name, Vec::new())).collect();
    for (at, _, outcomes) in played {
        lines[at].1.push(outcomes);
    }
    assert_is_written(&page::page(&lines));
}

/// Plays a cell; a panic in what it shares with other cells and other tests is told with the cell's
/// name.
async fn named(row: &Row, situation: Situation) -> Vec<Outcome> {
    let played = AssertUnwindSafe(play(row, situation)).catch_unwind().await;
    played.unwrap_or_else(|panic| panic!("{}, {situation:?}: {}", row.name, said(&*panic)))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text")
}

fn assert_rules(row: &Row, situation: Situation, outcome: &Outcome) {
    let what = format!("{}, {situation:?}: {outcome:?}", row.name);
    assert!(outcome.took < LONGEST, "{what}");
    assert_ne!(outcome.status, 401, "{what}");
    assert!(!outcome.has_challenge, "{what}");
    assert!(outcome.status != 404 || row.name == "404", "{what}");
    let is_good = outcome.whole == Some(true);
    match situation {
        Situation::TagCached => assert!(is_good || row.name == "404", "{what}"),
        Situation::DigestCached => {
            assert!(is_good && !outcome.is_stale && outcome.asked == 0, "{what}");
        }
        Situation::TagCold | Situation::BlobCold | Situation::BlobHalfWay => {}
    }
}

fn assert_is_written(page: &str) {
    if std::env::var_os("UPDATE_FAULTS").is_some() {
        std::fs::write(page::path(), page).expect("docs/ is writable");
        return;
    }
    let written = std::fs::read_to_string(page::path()).unwrap_or_default();
    let (page, written) = (page::timeless(page), page::timeless(&written));
    let mut lines = page.lines().zip(written.lines());
    let differs = lines.find(|(now, written)| now != written);
    assert!(
        page == written,
        "docs/upstream-faults.md says otherwise; run with UPDATE_FAULTS=1 and look at the difference: {differs:#?}"
    );
}
