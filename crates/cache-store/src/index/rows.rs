//! One row per stored blob: its size, its last use, and its class. Rows are kept in a second table
//! in the order of eviction, and their sizes are summed.
//!
//! A walk over a serving process's table goes in steps: a step reads a bounded number of rows and
//! returns suspects; a bounded write transaction looks at each of them again before it removes it.
//! So nobody waits longer than for one such transaction, and rows that changed between the two
//! looks stay.

use std::{
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    time::SystemTime,
};

use manifest_model::Digest;
use redb::{Durability, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use super::{
    keys::{DigestKey, decode_digest, from_ms, now_ms},
    media_types, pins,
    store::{Outcome, Store},
};
use crate::error::CacheError;

/// size, last use in ms, class
pub(super) type BlobColumns = (u64, u64, u8);

/// digest -> (size, last use in ms, class)
pub(super) const BLOBS: TableDefinition<'_, &[u8], BlobColumns> = TableDefinition::new("blobs");
/// (class, last use in ms, digest) -> size: within a class its order is the order of eviction
pub(super) const BY_USE: TableDefinition<'_, (u8, u64, &[u8]), u64> =
    TableDefinition::new("by_use");
/// name -> number
pub(super) const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");

/// The rows of [`TOTALS`] with the sum of all sizes, and of those of pinned blobs.
const BYTES: &str = "bytes";
const PINNED_BYTES: &str = "pinned bytes";

/// How many rows one step reads, and one transaction removes at most.
pub(super) const STEP_SIZE: usize = 4096;

/// A blob's class in the order of eviction. The numbers are written to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Layers and configs that were used since they came, and all from before there was probation.
    Blob = 0,
    /// Manifests and indexes: small, and all blobs depend on them.
    Manifest = 1,
    /// Layers and configs that nobody is expected to ask for.
    Unwanted = 2,
    /// Not used since it came.
    Probation = 3,
    /// Pinned by a bundle, whatever else is true of it: never evicted.
    Pinned = 4,
}

impl Class {
    pub(super) fn decode(number: u8) -> Self {
        match number {
            1 => Self::Manifest,
            2 => Self::Unwanted,
            3 => Self::Probation,
            4 => Self::Pinned,
            _ => Self::Blob,
        }
    }
}

/// A blob's row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Its last use.
    pub used: SystemTime,
}

impl Row {
    fn decode(digest: Digest, (size, used, _): BlobColumns) -> Self {
        Self {
            digest,
            size,
            used: from_ms(used),
        }
    }
}

/// A blob as the order of eviction has it.
#[derive(Clone, Copy, Debug)]
pub struct NextRow {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Its last use that is written, or when it came.
    pub used: SystemTime,
    /// Its class: in a list of what goes next, the one that it has once its own has its share of the
    /// cache.
    pub class: Class,
}

impl NextRow {
    pub(super) fn new(class: Class, seen: &SeenRow) -> Self {
        Self {
            digest: seen.digest,
            size: seen.size,
            used: from_ms(seen.used),
            class,
        }
    }
}

/// A row as it was read, to be removed only if it has not been used or stored again since.
#[derive(Clone, Copy, Debug)]
pub struct SeenRow {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Whether nobody is expected to ask for it.
    pub is_unwanted: bool,
    pub(super) used: u64,
}

/// The outcome of one step over a table.
#[derive(Debug)]
pub struct Step<Suspect, Key = Suspect> {
    /// The rows that a test picked.
    pub suspects: Vec<Suspect>,
    /// The last key read; `None` at the end of the table.
    pub reached: Option<Key>,
}

/// The rows of all stored blobs.
#[derive(Debug)]
pub struct BlobRows {
    store: Arc<Store>,
}

impl BlobRows {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The sum of all sizes.
    pub fn bytes(&self) -> Outcome<u64> {
        self.total(BYTES)
    }

    /// How many there are.
    pub fn count(&self) -> Outcome<u64> {
        Ok(self.store.begin_read()?.open_table(BLOBS)?.len()?)
    }

    /// The sum of the sizes of pinned blobs.
    pub fn pinned_bytes(&self) -> Outcome<u64> {
        self.total(PINNED_BYTES)
    }

    fn total(&self, name: &str) -> Outcome<u64> {
        let table = self.store.begin_read()?.open_table(TOTALS)?;
        Ok(table.get(name)?.map_or(0, |total| total.value()))
    }

    /// The size a blob was stored with.
    pub fn size(&self, digest: &Digest) -> Outcome<Option<u64>> {
        Ok(self.columns(digest)?.map(|(size, _, _)| size))
    }

    /// When a blob was last used.
    pub fn last_used(&self, digest: &Digest) -> Outcome<Option<SystemTime>> {
        Ok(self.columns(digest)?.map(|(_, used, _)| from_ms(used)))
    }

    /// A blob, as the order of eviction has it.
    pub fn ranked(&self, digest: &Digest) -> Outcome<Option<NextRow>> {
        let columns = self.columns(digest)?;
        Ok(columns.map(|(size, used, class)| NextRow {
            digest: *digest,
            size,
            used: from_ms(used),
            class: Class::decode(class),
        }))
    }

    fn columns(&self, digest: &Digest) -> Outcome<Option<BlobColumns>> {
        let table = self.store.begin_read()?.open_table(BLOBS)?;
        let row = table.get(DigestKey::of(digest).as_slice())?;
        Ok(row.map(|row| row.value()))
    }

    /// Records blobs that are about to become visible, with their sizes. Durable when this returns.
    pub fn record_blobs(&self, blobs: &[(Digest, u64)]) -> Outcome<()> {
        self.store.write(Durability::Immediate, |transaction| {
            let now = now_ms();
            blobs.iter().try_for_each(|(digest, size)| {
                record(transaction, digest, *size, Class::Probation, now)
            })
        })
    }

    /// Every row.
    pub fn all(&self) -> Outcome<Vec<Row>> {
        let table = self.store.begin_read()?.open_table(BLOBS)?;
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            let digest = decode_digest(key.value());
            rows.extend(digest.map(|digest| Row::decode(digest, value.value())));
        }
        Ok(rows)
    }

    /// One step behind `after`: the rows for which `is_gone`.
    pub fn step(
        &self,
        after: &[u8],
        is_gone: impl Fn(&Row) -> Result<bool, CacheError>,
    ) -> Result<Step<SeenRow, Vec<u8>>, CacheError> {
        let mut read = self.read_step(after)?;
        let mut suspects = Vec::new();
        for (key, columns) in &read {
            let Some(digest) = decode_digest(key) else {
                continue;
            };
            if is_gone(&Row::decode(digest, *columns))? {
                let (size, used, class) = *columns;
                suspects.push(SeenRow {
                    digest,
                    size,
                    is_unwanted: Class::decode(class) == Class::Unwanted,
                    used,
                });
            }
        }
        Ok(Step {
            suspects,
            reached: read.pop().map(|(key, _)| key),
        })
    }

    fn read_step(&self, after: &[u8]) -> Outcome<Vec<(Vec<u8>, BlobColumns)>> {
        let table = self.store.begin_read()?.open_table(BLOBS)?;
        let mut read = Vec::with_capacity(STEP_SIZE);
        let range = table.range::<&[u8]>((Excluded(after), Unbounded))?;
        for row in range.take(STEP_SIZE) {
            let (key, columns) = row?;
            read.push((key.value().to_vec(), columns.value()));
        }
        Ok(read)
    }

    /// The row of a blob, to be removed later.
    pub fn seen(&self, digest: &Digest) -> Outcome<Option<SeenRow>> {
        let columns = self.columns(digest)?;
        Ok(columns.map(|(size, used, class)| SeenRow {
            digest: *digest,
            size,
            is_unwanted: Class::decode(class) == Class::Unwanted,
            used,
        }))
    }

    /// Removes the rows of deleted files, unless they were used or stored again since they were
    /// read.
    pub fn remove_unchanged(&self, seen: &[SeenRow]) -> Outcome<()> {
        self.store.write(Durability::Immediate, |transaction| {
            for SeenRow { digest, used, .. } in seen {
                let current = find(transaction, digest)?.map(|(_, used, _)| used);
                if current == Some(*used) {
                    remove(transaction, digest)?;
                    media_types::remove(transaction, digest)?;
                }
            }
            Ok(())
        })
    }

    /// Removes the rows of blobs that the caller has deleted.
    pub fn remove(&self, digests: &[Digest]) -> Outcome<()> {
        self.store.write(Durability::Immediate, |transaction| {
            for digest in digests {
                remove(transaction, digest)?;
                media_types::remove(transaction, digest)?;
            }
            Ok(())
        })
    }
}

/// A blob's size, last use and class.
pub(super) fn find(
    transaction: &WriteTransaction,
    digest: &Digest,
) -> Outcome<Option<(u64, u64, Class)>> {
    let table = transaction.open_table(BLOBS)?;
    let row = table.get(DigestKey::of(digest).as_slice())?;
    Ok(row.map(|row| {
        let (size, used, class) = row.value();
        (size, used, Class::decode(class))
    }))
}

/// Writes a blob's row, its place in the order and the totals; replaces an earlier row. A pinned
/// blob has the class of those, in place of `class`.
pub(super) fn record(
    transaction: &WriteTransaction,
    digest: &Digest,
    size: u64,
    class: Class,
    used: u64,
) -> Outcome<()> {
    remove(transaction, digest)?;
    let class = if pins::is_pinned(transaction, digest)? {
        Class::Pinned
    } else {
        class
    };
    let key = DigestKey::of(digest);
    transaction
        .open_table(BLOBS)?
        .insert(key.as_slice(), (size, used, class as u8))?;
    transaction
        .open_table(BY_USE)?
        .insert((class as u8, used, key.as_slice()), size)?;
    change_totals(transaction, class, |total| total + size)
}

fn remove(transaction: &WriteTransaction, digest: &Digest) -> Outcome<()> {
    let key = DigestKey::of(digest);
    let old = transaction
        .open_table(BLOBS)?
        .remove(key.as_slice())?
        .map(|row| row.value());
    if let Some((size, used, class)) = old {
        transaction
            .open_table(BY_USE)?
            .remove((class, used, key.as_slice()))?;
        let class = Class::decode(class);
        change_totals(transaction, class, |total| total.saturating_sub(size))?;
    }
    Ok(())
}

/// Changes the totals that a row of `class` counts in.
fn change_totals(
    transaction: &WriteTransaction,
    class: Class,
    change: impl Fn(u64) -> u64,
) -> Outcome<()> {
    let mut totals = transaction.open_table(TOTALS)?;
    let names: &[&str] = match class {
        Class::Pinned => &[BYTES, PINNED_BYTES],
        _ => &[BYTES],
    };
    for name in names {
        let total = totals.get(name)?.map_or(0, |total| total.value());
        totals.insert(name, change(total))?;
    }
    Ok(())
}
