//! What goes with bundles that are purged.

use std::collections::BTreeSet;

use cache::{ListedBundle, RepoKey, inspect::Removal};
use manifest_model::Digest;

/// The removal of what these bundles alone had pinned, which is `free` now, unless other repositories
/// have it too.
pub fn brought(known: &[ListedBundle], ids: &[Digest], free: Vec<Digest>) -> Vec<Removal> {
    let bundles = known.iter().filter(|bundle| ids.contains(&bundle.row.id));
    let names = bundles.flat_map(|bundle| &bundle.row.names);
    let repositories: BTreeSet<RepoKey> = names
        .filter_map(|name| name.repository.parse().ok())
        .collect();
    free.into_iter()
        .map(|blob| Removal::Brought(blob, repositories.clone()))
        .collect()
}
