//! Tables whose rows are pairs of a text and a digest, and nothing else: links and confirmations.

use std::{
    fmt,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use manifest_model::Digest;
use redb::{Durability, ReadableTable, TableDefinition, TableHandle, WriteTransaction};

use super::{
    keys::{decode_digest, decode_pair, pair_key, split_pair},
    rows::{BLOBS, BlobColumns, STEP_SIZE, Step},
    store::{Outcome, Store},
};

/// text, digest -> nothing
pub(super) type PairTable = TableDefinition<'static, &'static [u8], ()>;

/// One such table.
pub struct Pairs {
    store: Arc<Store>,
    table: PairTable,
}

impl Pairs {
    pub(super) fn new(store: &Arc<Store>, table: PairTable) -> Self {
        Self {
            store: Arc::clone(store),
            table,
        }
    }

    pub(super) fn contains(&self, text: &str, digest: &Digest) -> Outcome<bool> {
        let table = self.store.begin_read()?.open_table(self.table)?;
        Ok(table.get(pair_key(text, digest).as_slice())?.is_some())
    }

    /// Up to `limit` pairs behind `after`. Skips rows that no version of this code has written.
    pub(super) fn page(
        &self,
        after: Option<&(Arc<str>, Digest)>,
        limit: usize,
    ) -> Outcome<Vec<(Arc<str>, Digest)>> {
        let table = self.store.begin_read()?.open_table(self.table)?;
        let after = after.map(|(text, digest)| pair_key(text, digest));
        let from = after.as_deref().map_or(Unbounded, Excluded);
        let mut pairs: Vec<(Arc<str>, Digest)> = Vec::new();
        for row in table.range::<&[u8]>((from, Unbounded))? {
            if pairs.len() == limit {
                break;
            }
            let row = row?;
            let Some((text, digest)) = decode_pair(row.0.value()) else {
                continue;
            };
            // Pairs of one text are neighbours: it is held once.
            let text = match pairs.last() {
                Some((last, _)) if **last == *text => Arc::clone(last),
                _ => text.into(),
            };
            pairs.push((text, digest));
        }
        Ok(pairs)
    }

    /// One step behind `after`: the pairs with digests without a row.
    pub fn step(&self, after: &[u8]) -> Outcome<Step<Vec<u8>>> {
        let transaction = self.store.begin_read()?;
        let pairs = transaction.open_table(self.table)?;
        let blobs = transaction.open_table(BLOBS)?;
        let (mut suspects, mut reached) = (Vec::new(), None);
        let range = pairs.range::<&[u8]>((Excluded(after), Unbounded))?;
        for pair in range.take(STEP_SIZE) {
            let key = pair?.0.value().to_vec();
            if !leads_to_a_blob(&blobs, &key)? {
                suspects.push(key.clone());
            }
            reached = Some(key);
        }
        Ok(Step { suspects, reached })
    }

    /// Removes those suspects that still lead to no row and to no blob that `is_running`. Returns
    /// their number.
    pub fn remove_stale(
        &self,
        suspects: &[Vec<u8>],
        is_running: impl Fn(&Digest) -> bool,
    ) -> Outcome<u64> {
        let mut removed = 0;
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                let mut pairs = transaction.open_table(self.table)?;
                let blobs = transaction.open_table(BLOBS)?;
                for key in suspects {
                    // A fill records its link first and its row last: the link has to wait.
                    let digest = split_pair(key).and_then(|(_, digest)| decode_digest(digest));
                    if !digest.is_some_and(|digest| is_running(&digest))
                        && !leads_to_a_blob(&blobs, key)?
                    {
                        removed += u64::from(pairs.remove(key.as_slice())?.is_some());
                    }
                }
                Ok(())
            })?;
        Ok(removed)
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Pairs")
            .field(&self.table.name())
            .finish()
    }
}

pub(super) fn insert(
    transaction: &WriteTransaction,
    table: PairTable,
    text: &str,
    digest: &Digest,
) -> Outcome<()> {
    let mut table = transaction.open_table(table)?;
    table.insert(pair_key(text, digest).as_slice(), ())?;
    Ok(())
}

pub(super) fn remove(
    transaction: &WriteTransaction,
    table: PairTable,
    text: &str,
    digest: &Digest,
) -> Outcome<()> {
    let mut table = transaction.open_table(table)?;
    table.remove(pair_key(text, digest).as_slice())?;
    Ok(())
}

fn leads_to_a_blob(
    blobs: &impl ReadableTable<&'static [u8], BlobColumns>,
    pair: &[u8],
) -> Outcome<bool> {
    match split_pair(pair) {
        Some((_, digest)) => Ok(blobs.get(digest)?.is_some()),
        None => Ok(false),
    }
}
