//! The bundles of a running Archway: listed, and removed.

use airgap::brought;
use cache::{CacheError, Imports, ListedBundle, inspect::Removed};
use manifest_model::Digest;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::Control;

/// Bundles that are to be removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveBundles {
    /// Their ids; those that are not here are ignored.
    pub ids: Vec<Digest>,
    /// Whether what they alone brought goes too.
    pub purge: bool,
}

/// What went with removed bundles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// How many blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Purged {
    /// What all of these removals took.
    pub fn of(removed: &[Removed]) -> Self {
        let blobs = removed.iter().flat_map(|removed| &removed.blobs);
        blobs.fold(Self::default(), |sum, (_, size)| Self {
            blobs: sum.blobs + 1,
            bytes: sum.bytes + size,
        })
    }
}

/// The bundles that are here or on their way, by id.
pub(crate) async fn list(control: &Control) -> Result<Vec<ListedBundle>, CacheError> {
    on_disk(control, Imports::list).await
}

/// Removes bundles and their pins, and with `purge` what they alone brought.
pub(crate) async fn remove(control: &Control, asked: RemoveBundles) -> Result<Purged, CacheError> {
    let RemoveBundles { ids, purge } = asked;
    let known = list(control).await?;
    let removed = ids.clone();
    let free = on_disk(control, move |imports| imports.remove(&removed)).await?;
    let purged = if purge {
        let removed = control.pull.remove(brought(&known, &ids, free)).await;
        control.server.forget_answers();
        Purged::of(&removed?)
    } else {
        control.pull.cache().write_snapshot(|| true).await?;
        Purged::default()
    };
    for bundle in known.iter().filter(|bundle| ids.contains(&bundle.row.id)) {
        let id = &bundle.row.id;
        info!(%id, purge, "a bundle was removed by an operator");
    }
    Ok(purged)
}

async fn on_disk<T: Send + 'static>(
    control: &Control,
    work: impl FnOnce(&Imports) -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CacheError> {
    let imports = control.pull.cache().imports();
    let done = tokio::task::spawn_blocking(move || work(&imports)).await;
    done.unwrap_or_else(|error| Err(CacheError::Interrupted(error)))
}
