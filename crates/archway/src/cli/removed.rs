//! What `archway rm` and `archway cache rm` share: names, and what is said of those that went.

use control::{RemovalName, RemovedName};
use terminal::table::size;

use super::output::{CommandOutput, Exit, Failure, counted};

/// The names of the command line.
pub(super) fn parse(names: &[String]) -> Result<Vec<RemovalName>, Failure> {
    let names = names.iter().map(|name| name.parse::<RemovalName>());
    names
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::unusable(&error))
}

/// Whether there was something to remove for every name, and it went.
pub(super) fn exit(rows: &[RemovedName]) -> Exit {
    if rows.iter().all(RemovedName::is_done) {
        Exit::Success
    } else {
        Exit::Negative
    }
}

/// A line for each name; of those of which nothing went on standard error.
pub(super) fn text(rows: &[RemovedName]) -> CommandOutput {
    let (done, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_done());
    CommandOutput::new(lines(&done), exit(rows)).with_notes(lines(&others))
}

fn lines(rows: &[&RemovedName]) -> String {
    rows.iter().map(|row| line(row) + "\n").collect()
}

fn line(row: &RemovedName) -> String {
    if !row.found {
        return format!("{}: not in the cache", row.name);
    }
    if let Some(bundle) = row.kept_by.first() {
        return format!(
            "{}: kept by the bundle {bundle}; `archway bundle rm` removes that",
            row.name
        );
    }
    format!(
        "{}: removed {} and {}, {}",
        row.name,
        counted(row.tags.len() as u64, "tag"),
        counted(row.blobs.len() as u64, "blob"),
        size(row.bytes)
    )
}
