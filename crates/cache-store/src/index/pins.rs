//! Which bundle keeps which blob from eviction.
//!
//! A pin may be there before its blob: an import pins all it will bring first, so that nothing it has
//! brought goes before the rest has come. A blob's row has the class of pinned ones exactly while
//! there is a pin; [`rows`](super::rows) asks here whenever it writes one.

use manifest_model::Digest;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{
    keys::{DigestKey, decode_digest, digest_length, two_digests},
    store::Outcome,
};

/// blob, bundle -> nothing
pub(super) const PINS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("pins");

/// Whether any bundle pins `blob`.
pub(super) fn is_pinned(transaction: &WriteTransaction, blob: &Digest) -> Outcome<bool> {
    has_pin(&transaction.open_table(PINS)?, blob)
}

fn has_pin(table: &impl ReadableTable<&'static [u8], ()>, blob: &Digest) -> Outcome<bool> {
    let prefix = DigestKey::of(blob);
    let mut behind = table.range::<&[u8]>(prefix.as_slice()..)?;
    match behind.next() {
        Some(row) => Ok(row?.0.value().starts_with(prefix.as_slice())),
        None => Ok(false),
    }
}

/// The blob and the bundle of a key; `None` for one that no version of this code has written.
pub(super) fn decode(key: &[u8]) -> Option<(Digest, Digest)> {
    let (blob, bundle) = key.split_at(digest_length(key)?);
    Some((decode_digest(blob)?, decode_digest(bundle)?))
}

pub(super) fn insert(
    transaction: &WriteTransaction,
    blob: &Digest,
    bundle: &Digest,
) -> Outcome<()> {
    let mut table = transaction.open_table(PINS)?;
    table.insert(two_digests(blob, bundle).as_slice(), ())?;
    Ok(())
}

/// Takes the pins of `bundles` away. Returns the blobs that no bundle pins any more.
pub(super) fn remove_all(
    transaction: &WriteTransaction,
    bundles: &[Digest],
) -> Outcome<Vec<Digest>> {
    let mut table = transaction.open_table(PINS)?;
    let mut pinned = Vec::new();
    for row in table.iter()? {
        let row = row?;
        pinned.extend(decode(row.0.value()).filter(|(_, by)| bundles.contains(by)));
    }
    for (blob, bundle) in &pinned {
        table.remove(two_digests(blob, bundle).as_slice())?;
    }
    // The pins of a blob are neighbours.
    pinned.dedup_by_key(|(blob, _)| *blob);
    let mut free = Vec::new();
    for (blob, _) in pinned {
        if !has_pin(&table, &blob)? {
            free.push(blob);
        }
    }
    Ok(free)
}
