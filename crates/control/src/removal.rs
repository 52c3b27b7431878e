//! `rm`: stored content that goes at once, while clients pull.

use cache::{CacheError, inspect::Removal};
use tracing::info;

use crate::{Control, RemovalName, RemovalNameError, RemovedName};

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoveError {
    /// A text is no name; nothing was removed of the others either.
    #[error(transparent)]
    Name(#[from] RemovalNameError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Removes what the names mean, all of which are read before anything goes.
pub(crate) async fn remove(
    control: &Control,
    names: &[String],
) -> Result<Vec<RemovedName>, RemoveError> {
    let parsed = names.iter().map(|name| name.parse::<RemovalName>());
    let parsed: Vec<RemovalName> = parsed.collect::<Result<_, _>>()?;
    let config = control.config.current();
    let removals = parsed.iter().map(|name| name.removal(&config));
    let removals: Vec<Removal> = removals.collect();
    let removed = control.pull.remove(removals).await;
    // Some may be gone even if it failed.
    control.server.forget_answers();
    let removed = removed?;
    let rows = std::iter::zip(names, &removed);
    let rows: Vec<RemovedName> = rows
        .map(|(name, removed)| RemovedName::new(name, removed))
        .collect();
    for row in rows.iter().filter(|row| row.is_done()) {
        info!(
            name = row.name,
            tags = row.tags.len(),
            blobs = row.blobs.len(),
            bytes = row.bytes,
            "removed by an operator"
        );
    }
    Ok(rows)
}
