//! The order of eviction: by class, within a class by last use.
//!
//! Unwanted blobs come first, whenever they were used; `ranking` marks them. A use of its own
//! brings a blob back among the others. Manifests come last.

use std::{sync::Arc, time::SystemTime};

use manifest_model::Digest;
use redb::{AccessGuard, Durability, StorageError};

use super::{
    keys::{decode_digest, to_ms},
    rows::{self, BY_USE, Class, STEP_SIZE, SeenRow},
    store::{Outcome, Store},
};

/// The classes in the order of eviction.
const CLASSES: [Class; 3] = [Class::Unwanted, Class::Blob, Class::Manifest];

/// An image in use.
#[derive(Debug)]
pub(crate) struct UsedImage {
    pub(crate) manifest: Digest,
    pub(crate) blobs: Vec<Digest>,
    pub(crate) used: SystemTime,
}

/// The order of all rows.
#[derive(Debug)]
pub(crate) struct EvictionOrder {
    store: Arc<Store>,
}

impl EvictionOrder {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The next `limit` blobs in the order of eviction, after the first `skip`.
    pub(crate) fn first(&self, skip: usize, limit: usize) -> Outcome<Vec<SeenRow>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let mut rows = Vec::with_capacity(CLASSES.len());
        for class in CLASSES {
            rows.push(table.range(start_of(class, 0)..end_of(class))?);
        }
        decode(rows.into_iter().flatten().skip(skip).take(limit))
    }

    /// Moves requested blobs to the young end of the order. Then moves the blobs of `images` up to
    /// the use of their manifest, and none of them back; nobody has asked for those blobs, so each
    /// stays in its class. Returns the uses of manifests. A crash that loses this makes the next
    /// choice of candidates a little worse.
    pub(crate) fn touch(
        &self,
        requested: &[(Digest, SystemTime)],
        images: &[UsedImage],
    ) -> Outcome<Vec<(Digest, SystemTime)>> {
        let mut manifests = Vec::new();
        self.store.write(Durability::None, |transaction| {
            for (digest, used) in requested {
                if let Some((size, _, class)) = rows::find(transaction, digest)? {
                    let class = match class {
                        Class::Manifest => {
                            manifests.push((*digest, *used));
                            Class::Manifest
                        }
                        Class::Blob | Class::Unwanted => Class::Blob,
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
    pub(crate) fn correct_future_uses(&self, now: SystemTime, then: SystemTime) -> Outcome<()> {
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

/// A key before all rows of a class that were used at `used` or later; no row has it.
fn start_of(class: Class, used: u64) -> (u8, u64, &'static [u8]) {
    (class as u8, used, &[])
}

/// A key behind all rows of a class.
fn end_of(class: Class) -> (u8, u64, &'static [u8]) {
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
        let (_, used, digest) = key.value();
        seen.extend(decode_digest(digest).map(|digest| SeenRow {
            digest,
            size: size.value(),
            used,
        }));
    }
    Ok(seen)
}
