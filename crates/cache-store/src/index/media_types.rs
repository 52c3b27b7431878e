//! The media types of stored manifests: a function of their bytes.

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
pub struct MediaTypes {
    store: Arc<Store>,
}

impl MediaTypes {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The media type of a stored manifest.
    pub fn get(&self, digest: &Digest) -> Outcome<Option<MediaType>> {
        let table = self.store.begin_read()?.open_table(MEDIA_TYPES)?;
        Ok(table
            .get(DigestKey::of(digest).as_slice())?
            .and_then(|name| name.value().parse().ok()))
    }

    /// Up to `limit` manifests behind `after`, with their media types as text. Skips rows that no
    /// version of this code has written.
    pub fn page(&self, after: Option<&Digest>, limit: usize) -> Outcome<Vec<(Digest, String)>> {
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

/// Records a manifest's media type. It is a function of the bytes: a row that differs is one of an
/// older version, which took the word of the upstream that was first.
pub(super) fn record(transaction: &WriteTransaction, manifest: &Manifest) -> Outcome<()> {
    let (digest, media_type) = (manifest.digest(), manifest.media_type());
    restore(transaction, &digest, media_type.as_str())
}

/// Whether a digest is that of a manifest.
pub(super) fn contains(transaction: &WriteTransaction, digest: &Digest) -> Outcome<bool> {
    let table = transaction.open_table(MEDIA_TYPES)?;
    Ok(table.get(DigestKey::of(digest).as_slice())?.is_some())
}

/// Records the media type that a snapshot has for a digest.
pub(super) fn restore(
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
