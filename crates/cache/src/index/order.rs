//! The order of eviction: by class, within a class by last use.
//!
//! A blob nobody is expected to want stands before all others, whenever it was used; what makes it so is told from outside
//! (`crate::ranking`). A use of its own brings it back among the others. Manifests stand last.

use std::{
    ops::Bound::{Excluded, Unbounded},
    time::SystemTime,
};

use manifest_model::Digest;
use redb::{Durability, ReadableTable, WriteTransaction};

use super::{
    BLOBS, BY_USE, DigestKey, Index, MEDIA_TYPES, Outcome, decode_digest, erase, record, to_ms,
};

/// Rows read in one step.
const STEP: usize = 4096;

/// What a row is, as far as eviction cares. The numbers are what stands on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Layers and configs.
    Blob = 0,
    /// Manifests and indexes: small, and everything hangs on them.
    Manifest = 1,
    /// Layers and configs nobody here is expected to ask for.
    Unwanted = 2,
}

impl Class {
    /// What is evicted first stands first.
    const ORDER: [Self; 3] = [Self::Unwanted, Self::Blob, Self::Manifest];

    pub(super) fn read(number: u8) -> Self {
        match number {
            1 => Self::Manifest,
            2 => Self::Unwanted,
            _ => Self::Blob,
        }
    }
}

/// A candidate for eviction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cold {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(super) used: u64,
}

/// An image in use.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) manifest: Digest,
    pub(crate) blobs: Vec<Digest>,
    pub(crate) used: SystemTime,
}

impl Index {
    /// Moves blobs to the young end of the order: each was asked for. Then moves the blobs of `images` up to the use of the
    /// manifest that names them, and none of them back; nobody has asked for those, so each stays in its class. The answer is
    /// those uses that were a manifest's. Losing this in a crash costs a better choice of what to evict.
    pub(crate) fn touch(
        &self,
        asked: &[(Digest, SystemTime)],
        images: &[Followed],
    ) -> Outcome<Vec<(Digest, SystemTime)>> {
        let mut manifests = Vec::new();
        self.write(Durability::None, |transaction| {
            for (digest, used) in asked {
                if let Some((size, _, class)) = row(transaction, digest)? {
                    let class = match class {
                        Class::Manifest => {
                            manifests.push((*digest, *used));
                            Class::Manifest
                        }
                        Class::Blob | Class::Unwanted => Class::Blob,
                    };
                    record(transaction, digest, size, class, to_ms(*used))?;
                }
            }
            for image in images {
                let used = to_ms(image.used);
                for digest in &image.blobs {
                    if let Some((size, before, class)) = row(transaction, digest)?
                        && before < used
                    {
                        record(transaction, digest, size, class, used)?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(manifests)
    }

    /// Puts blobs before all others, but for those used at `since` or later, and manifests.
    pub(crate) fn set_unwanted(&self, blobs: &[Digest], since: SystemTime) -> Outcome<()> {
        let since = to_ms(since);
        self.write(Durability::None, |transaction| {
            for digest in blobs {
                if let Some((size, used, Class::Blob)) = row(transaction, digest)?
                    && used < since
                {
                    record(transaction, digest, size, Class::Unwanted, used)?;
                }
            }
            Ok(())
        })
    }

    /// Puts unwanted blobs back among the others, each where its last use says.
    pub(crate) fn set_wanted(&self, blobs: &[Digest]) -> Outcome<()> {
        self.write(Durability::None, |transaction| {
            for digest in blobs {
                if let Some((size, used, Class::Unwanted)) = row(transaction, digest)? {
                    record(transaction, digest, size, Class::Blob, used)?;
                }
            }
            Ok(())
        })
    }

    /// Some of the unwanted blobs behind `after`, in the order of their last use; none behind the last.
    pub(crate) fn unwanted(&self, after: Option<&Cold>) -> Outcome<Vec<Cold>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let key = after.map(|cold| (cold.used, DigestKey::of(&cold.digest)));
        let first: (u8, u64, &[u8]) = match &key {
            Some((used, digest)) => (Class::Unwanted as u8, *used, digest.as_slice()),
            None => (Class::Unwanted as u8, 0, &[]),
        };
        // Nothing stands behind this class; the first key without a digest is no row's.
        let rows = table.range::<(u8, u64, &[u8])>((Excluded(first), Unbounded))?;
        read(rows.take(STEP))
    }

    /// The next `limit` blobs in the order of eviction, after the first `skip`.
    pub(crate) fn coldest(&self, skip: usize, limit: usize) -> Outcome<Vec<Cold>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let mut rows = Vec::with_capacity(Class::ORDER.len());
        for class in Class::ORDER {
            rows.push(table.range(from(class, 0)..end_of(class))?);
        }
        read(rows.into_iter().flatten().skip(skip).take(limit))
    }

    /// Takes uses after `now` for uses at `then`. Blocks, in steps.
    pub(crate) fn set_back(&self, now: SystemTime, then: SystemTime) -> Outcome<()> {
        let (now, then) = (to_ms(now), to_ms(then));
        loop {
            let ahead = self.used_after(now)?;
            if ahead.is_empty() {
                return Ok(());
            }
            self.write(Durability::None, |transaction| {
                for Cold { digest, .. } in &ahead {
                    if let Some((size, used, class)) = row(transaction, digest)?
                        && used > now
                    {
                        record(transaction, digest, size, class, then)?;
                    }
                }
                Ok(())
            })?;
        }
    }

    fn used_after(&self, now: u64) -> Outcome<Vec<Cold>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let mut rows = Vec::with_capacity(Class::ORDER.len());
        for class in Class::ORDER {
            rows.push(table.range(from(class, now.saturating_add(1))..end_of(class))?);
        }
        read(rows.into_iter().flatten().take(STEP))
    }

    /// Drops the rows of files that are gone, unless they were used or stored again since they were listed.
    pub(crate) fn forget(&self, gone: &[Cold]) -> Outcome<()> {
        self.write(Durability::Immediate, |transaction| {
            for Cold { digest, used, .. } in gone {
                let seen = row(transaction, digest)?.map(|(_, used, _)| used);
                if seen == Some(*used) {
                    erase(transaction, digest)?;
                    transaction
                        .open_table(MEDIA_TYPES)?
                        .remove(DigestKey::of(digest).as_slice())?;
                }
            }
            Ok(())
        })
    }
}

/// A key before all rows of a class that were used at `used` or later; it is no row's.
fn from(class: Class, used: u64) -> (u8, u64, &'static [u8]) {
    (class as u8, used, &[])
}

/// A key behind all rows of a class.
fn end_of(class: Class) -> (u8, u64, &'static [u8]) {
    (class as u8 + 1, 0, &[])
}

fn row(transaction: &WriteTransaction, digest: &Digest) -> Outcome<Option<(u64, u64, Class)>> {
    let table = transaction.open_table(BLOBS)?;
    let row = table.get(DigestKey::of(digest).as_slice())?;
    Ok(row.map(|row| {
        let (size, used, class) = row.value();
        (size, used, Class::read(class))
    }))
}

type ByUse<'a> = (
    redb::AccessGuard<'a, (u8, u64, &'static [u8])>,
    redb::AccessGuard<'a, u64>,
);

fn read<'a>(
    rows: impl Iterator<Item = Result<ByUse<'a>, redb::StorageError>>,
) -> Outcome<Vec<Cold>> {
    let mut cold = Vec::new();
    for row in rows {
        let (key, size) = row?;
        let (_, used, digest) = key.value();
        cold.extend(decode_digest(digest).map(|digest| Cold {
            digest,
            size: size.value(),
            used,
        }));
    }
    Ok(cold)
}
