//! The media types of stored manifests, as their upstreams first gave them.

use std::{ops::Bound, sync::Arc};

use manifest_model::{Digest, Manifest, MediaType};
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{
    keys::{DigestKey, decode_digest},
    store::{Outcome, Store},
};

/// manifest digest -> media type
pub(super) const MEDIA_TYPES: TableDefinition<'_, &[u8], &str> =
    TableDefinition::new("media_types");

/// The table of media types. Every stored manifest has a row.
#[derive(Debug)]
pub(crate) struct MediaTypes {
    store: Arc<Store>,
}

impl MediaTypes {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The media type of a stored manifest.
    pub(crate) fn get(&self, digest: &Digest) -> Outcome<Option<MediaType>> {
        let table = self.store.begin_read()?.open_table(MEDIA_TYPES)?;
        Ok(table
            .get(DigestKey::of(digest).as_slice())?
            .and_then(|name| name.value().parse().ok()))
    }

    /// Up to `limit` manifests behind `after`, with their media types as text. Skips rows that no
    /// version of this code has written.
    pub(super) fn page(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Outcome<Vec<(Digest, String)>> {
        let table = self.store.begin_read()?.open_table(MEDIA_TYPES)?;
        let after = after.map(DigestKey::of);
        let from = after
            .as_ref()
            .map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
        let mut types = Vec::new();
        for row in table.range::<&[u8]>((from, Bound::Unbounded))? {
            if types.len() == limit {
                break;
            }
            let (key, media_type) = row?;
            let named = |digest| (digest, media_type.value().to_owned());
            types.extend(decode_digest(key.value()).map(named));
        }
        Ok(types)
    }
}

/// Records a manifest's media type unless it has one: bytes that do not name their own type must
/// not change because another upstream types them differently.
pub(super) fn record(transaction: &WriteTransaction, manifest: &Manifest) -> Outcome<()> {
    let key = DigestKey::of(&manifest.digest());
    let mut table = transaction.open_table(MEDIA_TYPES)?;
    if table.get(key.as_slice())?.is_none() {
        table.insert(key.as_slice(), manifest.media_type().as_str())?;
    }
    Ok(())
}

/// Replaces a manifest's media type.
pub(super) fn replace(
    transaction: &WriteTransaction,
    digest: &Digest,
    media_type: &str,
) -> Outcome<()> {
    let mut table = transaction.open_table(MEDIA_TYPES)?;
    table.insert(DigestKey::of(digest).as_slice(), media_type)?;
    Ok(())
}

pub(super) fn remove(transaction: &WriteTransaction, digest: &Digest) -> Outcome<()> {
    let mut table = transaction.open_table(MEDIA_TYPES)?;
    table.remove(DigestKey::of(digest).as_slice())?;
    Ok(())
}
