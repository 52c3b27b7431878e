//! Which repository contains which digest, as its upstream has confirmed.

use std::{
    ops::Bound::{self, Excluded, Unbounded},
    sync::Arc,
};

use manifest_model::{Digest, Manifest};
use moka::sync::Cache;
use redb::{Durability, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    keys::{decode_digest, decode_link, link_key, split_link},
    rows::{BLOBS, BlobColumns, STEP_SIZE, Step},
    store::{Outcome, Store, answer_or_default},
};
use crate::RepoKey;

/// repository, digest -> nothing
pub(super) const LINKS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("links");

/// Links remembered in memory, about 200 bytes each.
const MAX_REMEMBERED: u64 = 65_536;

/// The table of links, and those of them seen recently. A link never becomes untrue, so it may be
/// remembered without further thought.
#[derive(Debug)]
pub(crate) struct Links {
    store: Arc<Store>,
    remembered: Cache<(RepoKey, Digest), ()>,
}

impl Links {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            remembered: Cache::new(MAX_REMEMBERED),
        }
    }

    /// Whether `repo` contains `digest`. An unreadable index knows no link: the upstream can be
    /// asked again.
    pub(crate) fn contains(&self, repo: &RepoKey, digest: &Digest) -> bool {
        let key = (repo.clone(), *digest);
        if self.remembered.contains_key(&key) {
            return true;
        }
        let is_linked = answer_or_default(self.has_row(repo, digest));
        if is_linked {
            self.remembered.insert(key, ());
        }
        is_linked
    }

    /// Remembers a link without writing it.
    pub(crate) fn remember(&self, repo: &RepoKey, digest: &Digest) {
        self.remembered.insert((repo.clone(), *digest), ());
    }

    /// Records a link. Durable when this returns. A recorded one is not written again.
    pub(crate) fn record(&self, repo: &RepoKey, digest: &Digest) -> Outcome<()> {
        if self.has_row(repo, digest)? {
            return Ok(());
        }
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                insert(transaction, repo, digest)
            })
    }

    fn has_row(&self, repo: &RepoKey, digest: &Digest) -> Outcome<bool> {
        let table = self.store.begin_read()?.open_table(LINKS)?;
        Ok(table.get(link_key(repo, digest).as_slice())?.is_some())
    }

    /// Every link.
    pub(crate) fn all(&self) -> Outcome<Vec<(RepoKey, Digest)>> {
        let table = self.store.begin_read()?.open_table(LINKS)?;
        let mut links: Vec<(RepoKey, Digest)> = Vec::new();
        for link in table.iter()? {
            let Some((mut repo, digest)) = decode_link(link?.0.value()) else {
                continue;
            };
            // Links of a repository are neighbours: its text is held once.
            if let Some((last, _)) = links.last()
                && *last == repo
            {
                repo = last.clone();
            }
            links.push((repo, digest));
        }
        Ok(links)
    }

    /// Up to `limit` links behind `after`. Skips rows that no version of this code has written.
    pub(super) fn page(
        &self,
        after: Option<&(RepoKey, Digest)>,
        limit: usize,
    ) -> Outcome<Vec<(RepoKey, Digest)>> {
        let table = self.store.begin_read()?.open_table(LINKS)?;
        let after = after.map(|(repo, digest)| link_key(repo, digest));
        let from = after
            .as_deref()
            .map_or(Bound::Unbounded, Bound::<&[u8]>::Excluded);
        let mut links = Vec::new();
        for row in table.range::<&[u8]>((from, Bound::Unbounded))? {
            if links.len() == limit {
                break;
            }
            links.extend(decode_link(row?.0.value()));
        }
        Ok(links)
    }

    /// One step behind `after`: the links to digests without a row.
    pub(crate) fn step(&self, after: &[u8]) -> Outcome<Step<Vec<u8>>> {
        let transaction = self.store.begin_read()?;
        let links = transaction.open_table(LINKS)?;
        let blobs = transaction.open_table(BLOBS)?;
        let (mut suspects, mut reached) = (Vec::new(), None);
        let range = links.range::<&[u8]>((Excluded(after), Unbounded))?;
        for link in range.take(STEP_SIZE) {
            let key = link?.0.value().to_vec();
            if !leads_to_a_blob(&blobs, &key)? {
                suspects.push(key.clone());
            }
            reached = Some(key);
        }
        Ok(Step { suspects, reached })
    }

    /// Removes those suspects that still lead to no row and to no blob that `is_running`. Returns
    /// their number.
    pub(crate) fn remove_stale(
        &self,
        suspects: &[Vec<u8>],
        is_running: impl Fn(&Digest) -> bool,
    ) -> Outcome<u64> {
        let mut removed = 0;
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                let mut links = transaction.open_table(LINKS)?;
                let blobs = transaction.open_table(BLOBS)?;
                for key in suspects {
                    // A fill records its link first and its row last: the link has to wait.
                    let digest = split_link(key).and_then(|(_, digest)| decode_digest(digest));
                    if !digest.is_some_and(|digest| is_running(&digest))
                        && !leads_to_a_blob(&blobs, key)?
                    {
                        removed += u64::from(links.remove(key.as_slice())?.is_some());
                    }
                }
                Ok(())
            })?;
        Ok(removed)
    }

    /// Removes links.
    pub(crate) fn remove(&self, links: &[(RepoKey, Digest)]) -> Outcome<()> {
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                let mut table = transaction.open_table(LINKS)?;
                for (repo, digest) in links {
                    table.remove(link_key(repo, digest).as_slice())?;
                }
                Ok(())
            })
    }
}

/// Links a manifest and all digests it names to `repo`.
pub(super) fn insert_manifest(
    transaction: &WriteTransaction,
    repo: &RepoKey,
    manifest: &Manifest,
) -> Outcome<()> {
    let mut table = transaction.open_table(LINKS)?;
    table.insert(link_key(repo, &manifest.digest()).as_slice(), ())?;
    for linked in manifest.links() {
        table.insert(link_key(repo, &linked.digest).as_slice(), ())?;
    }
    Ok(())
}

fn insert(transaction: &WriteTransaction, repo: &RepoKey, digest: &Digest) -> Outcome<()> {
    let mut table = transaction.open_table(LINKS)?;
    table.insert(link_key(repo, digest).as_slice(), ())?;
    Ok(())
}

fn leads_to_a_blob(
    blobs: &impl ReadableTable<&'static [u8], BlobColumns>,
    link: &[u8],
) -> Outcome<bool> {
    match split_link(link) {
        Some((_, digest)) => Ok(blobs.get(digest)?.is_some()),
        None => Ok(false),
    }
}
