//! The order of eviction: by class, within a class by last use.
//!
//! Unwanted blobs come first, whenever they were used; `ranking` marks them. Then come those in
//! *probation*: blobs that nobody has used since they came. A use of its own brings a blob among
//! those used again, so one pass over blobs that nobody asks for twice puts out nothing but its own.
//! Manifests come last.
//!
//! The last two classes have a share of the cache each. What exceeds it, the least lately used, goes
//! back to probation: so there is always room in which a new blob can wait for its second use, and
//! manifests that nobody asks for again do not take the cache for good. (A frequency sketch as
//! `TinyLFU`'s would have to be kept on the disk to survive a restart; the class is in the row.)

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use manifest_model::Digest;
use redb::{AccessGuard, Durability, StorageError};

use super::{
    keys::{DigestKey, decode_digest, to_ms},
    media_types,
    rows::{self, BY_USE, Class, NextRow, STEP_SIZE, SeenRow},
    store::{Outcome, Store},
};

/// The classes in the order of eviction.
const CLASSES: [Class; 4] = [
    Class::Unwanted,
    Class::Probation,
    Class::Blob,
    Class::Manifest,
];

/// The share of the cache for blobs used again, in hundredths.
const BLOB_SHARE: u64 = 80;

/// The share of the cache for manifests that go last, in hundredths.
const MANIFEST_SHARE: u64 = 5;

/// A manifest of this size or more is evicted like a blob: real ones are a few KiB.
const LARGE_MANIFEST: u64 = 256 * 1024;

/// The classes that have a share: the class, its share, and the size from which on a blob is not
/// counted among it.
const SHARES: [(Class, u64, u64); 2] = [
    (Class::Blob, BLOB_SHARE, u64::MAX),
    (Class::Manifest, MANIFEST_SHARE, LARGE_MANIFEST),
];

/// What may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything.
    All,
    /// What nobody wants, and what nobody has used since it came.
    Probation,
}

impl Reach {
    fn classes(self) -> &'static [Class] {
        match self {
            Self::All => &CLASSES,
            Self::Probation => &CLASSES[..2],
        }
    }
}

/// An image in use.
#[derive(Debug)]
pub struct UsedImage {
    /// Its manifest.
    pub manifest: Digest,
    /// The blobs that the manifest names.
    pub blobs: Vec<Digest>,
    /// When it was used.
    pub used: SystemTime,
}

/// The order of all rows.
#[derive(Debug)]
pub struct EvictionOrder {
    store: Arc<Store>,
}

impl EvictionOrder {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The next `limit` blobs in the order of eviction, after the first `skip`.
    pub fn first(&self, reach: Reach, skip: usize, limit: usize) -> Outcome<Vec<SeenRow>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let mut rows = Vec::with_capacity(CLASSES.len());
        for class in reach.classes() {
            rows.push(table.range(start_of(*class, 0)..end_of(*class))?);
        }
        decode(rows.into_iter().flatten().skip(skip).take(limit))
    }

    /// The next `limit` blobs to go from a cache of `max_size`, as if [`Self::keep_shares`] had been
    /// called. Changes nothing. Blocks: looks at all that was used again.
    pub fn next(&self, max_size: u64, limit: usize) -> Outcome<Vec<NextRow>> {
        let mut surplus = Vec::new();
        for (class, share, large) in SHARES {
            surplus.extend(self.surplus(class, max_size / 100 * share, large)?);
        }
        let returned: HashSet<_> = surplus.iter().map(|row| row.digest).collect();
        let mut next = Vec::new();
        for class in CLASSES {
            let mut rows = self.youngest_last(class, limit + returned.len())?;
            if class == Class::Probation {
                rows.append(&mut surplus);
                rows.sort_by_cached_key(|row| {
                    (row.used, DigestKey::of(&row.digest).as_slice().to_vec())
                });
            } else {
                rows.retain(|row| !returned.contains(&row.digest));
            }
            let room = limit.saturating_sub(next.len());
            next.extend(rows.iter().take(room).map(|row| NextRow::new(class, row)));
        }
        Ok(next)
    }

    fn youngest_last(&self, class: Class, limit: usize) -> Outcome<Vec<SeenRow>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        decode(table.range(start_of(class, 0)..end_of(class))?.take(limit))
    }

    /// The bytes of what nobody is expected to ask for. Blocks.
    pub fn unwanted(&self) -> Outcome<u64> {
        self.bytes_of(&[Class::Unwanted])
    }

    /// Returns to probation what exceeds the shares of a cache of `max_size`. Blocks, in steps.
    pub fn keep_shares(&self, max_size: u64) -> Outcome<()> {
        for (class, share, large) in SHARES {
            let surplus = self.surplus(class, max_size / 100 * share, large)?;
            for step in surplus.chunks(STEP_SIZE) {
                self.store.write(Durability::None, |transaction| {
                    for SeenRow { digest, .. } in step {
                        if let Some((size, used, found)) = rows::find(transaction, digest)?
                            && found == class
                        {
                            rows::record(transaction, digest, size, Class::Probation, used)?;
                        }
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// The bytes of what was used again, and of manifests.
    pub fn used_again(&self) -> Outcome<u64> {
        self.bytes_of(&[Class::Blob, Class::Manifest])
    }

    fn bytes_of(&self, classes: &[Class]) -> Outcome<u64> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let mut bytes = 0_u64;
        for class in classes {
            for row in table.range(start_of(*class, 0)..end_of(*class))? {
                bytes = bytes.saturating_add(row?.1.value());
            }
        }
        Ok(bytes)
    }

    /// The rows of a class that are `large`, or beyond the first `share` bytes of the lately used.
    fn surplus(&self, class: Class, share: u64, large: u64) -> Outcome<Vec<SeenRow>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let (mut surplus, mut kept) = (Vec::new(), 0_u64);
        for row in table.range(start_of(class, 0)..end_of(class))?.rev() {
            let row = row?;
            let size = row.1.value();
            if size < large && kept.saturating_add(size) <= share {
                kept += size;
            } else {
                surplus.push(Ok(row));
            }
        }
        decode(surplus.into_iter())
    }

    /// Moves requested blobs to the young end of the order. Then moves the blobs of `images` up to
    /// the use of their manifest, and none of them back; nobody has asked for those blobs, so each
    /// stays in its class. Returns the uses of manifests. A crash that loses this makes the next
    /// choice of candidates a little worse.
    pub fn touch(
        &self,
        requested: &[(Digest, SystemTime)],
        images: &[UsedImage],
    ) -> Outcome<Vec<(Digest, SystemTime)>> {
        let mut manifests = Vec::new();
        self.store.write(Durability::None, |transaction| {
            for (digest, used) in requested {
                if let Some((size, before, class)) = rows::find(transaction, digest)? {
                    let is_manifest = media_types::contains(transaction, digest)?;
                    if is_manifest {
                        manifests.push((*digest, *used));
                    }
                    // Whoever followed its download asked for it before it was stored.
                    let class = match class {
                        Class::Probation | Class::Unwanted if to_ms(*used) < before => class,
                        _ if is_manifest && size < LARGE_MANIFEST => Class::Manifest,
                        _ => Class::Blob,
                    };
                    rows::record(transaction, digest, size, class, to_ms(*used))?;
                }
            }
            for image in images {
                let used = to_ms(image.used);
                for digest in &image.blobs {
                    if let Some((size, before, class)) = rows::find(transaction, digest)?
                        && before < used
                    {
                        rows::record(transaction, digest, size, class, used)?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(manifests)
    }

    /// Replaces last uses after `now` by `then`. Blocks, in steps.
    pub fn correct_future_uses(&self, now: SystemTime, then: SystemTime) -> Outcome<()> {
        let (now, then) = (to_ms(now), to_ms(then));
        loop {
            let future = self.used_after(now)?;
            if future.is_empty() {
                return Ok(());
            }
            self.store.write(Durability::None, |transaction| {
                for SeenRow { digest, .. } in &future {
                    if let Some((size, used, class)) = rows::find(transaction, digest)?
                        && used > now
                    {
                        rows::record(transaction, digest, size, class, then)?;
                    }
                }
                Ok(())
            })?;
        }
    }

    fn used_after(&self, now: u64) -> Outcome<Vec<SeenRow>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let mut rows = Vec::with_capacity(CLASSES.len());
        for class in CLASSES {
            rows.push(table.range(start_of(class, now.saturating_add(1))..end_of(class))?);
        }
        decode(rows.into_iter().flatten().take(STEP_SIZE))
    }
}

/// The class of a manifest that has just come.
pub(super) fn manifest_class(size: u64) -> Class {
    if size < LARGE_MANIFEST {
        Class::Manifest
    } else {
        Class::Probation
    }
}

/// A key before all rows of a class that were used at `used` or later; no row has it.
fn start_of(class: Class, used: u64) -> (u8, u64, &'static [u8]) {
    (class as u8, used, &[])
}

/// A key behind all rows of a class.
pub(super) fn end_of(class: Class) -> (u8, u64, &'static [u8]) {
    (class as u8 + 1, 0, &[])
}

type OrderRow<'a> = (
    AccessGuard<'a, (u8, u64, &'static [u8])>,
    AccessGuard<'a, u64>,
);

/// Skips rows that no version of this code has written.
pub(super) fn decode<'a>(
    rows: impl Iterator<Item = Result<OrderRow<'a>, StorageError>>,
) -> Outcome<Vec<SeenRow>> {
    let mut seen = Vec::new();
    for row in rows {
        let (key, size) = row?;
        let (class, used, digest) = key.value();
        seen.extend(decode_digest(digest).map(|digest| SeenRow {
            digest,
            size: size.value(),
            is_unwanted: Class::decode(class) == Class::Unwanted,
            used,
        }));
    }
    Ok(seen)
}
