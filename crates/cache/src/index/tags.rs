//! Where each tag pointed when its upstream was last asked.

use std::{
    ops::Bound::{self, Excluded, Unbounded},
    sync::Arc,
    time::SystemTime,
};

use manifest_model::{Digest, Tag};
use redb::{Durability, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    keys::{DigestKey, decode_digest, decode_tag, from_ms, now_ms, tag_key},
    row_cache::RowCache,
    rows::{BLOBS, STEP_SIZE, Step},
    store::{Outcome, Store, answer_or_default},
};
use crate::RepoKey;

/// repository:tag -> (digest, last confirmed in ms)
pub(super) const TAGS: TableDefinition<'_, &str, (&[u8], u64)> = TableDefinition::new("tags");

/// Tags remembered in memory, about 300 bytes each.
const MAX_REMEMBERED: u64 = 16_384;

/// Where a tag pointed when its upstream was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagEntry {
    /// The manifest.
    pub digest: Digest,
    /// When the upstream last confirmed it.
    pub confirmed: SystemTime,
}

/// A tag with its repository and its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRow {
    /// The repository.
    pub repository: RepoKey,
    /// The tag.
    pub tag: Tag,
    /// Where it pointed when the upstream was last asked.
    pub entry: TagEntry,
}

impl TagRow {
    /// The row's place in the order: the next page begins behind it.
    pub fn key(&self) -> String {
        tag_key(&self.repository, &self.tag)
    }

    fn decode(key: &str, (digest, confirmed): (&[u8], u64)) -> Option<Self> {
        let (repository, tag) = decode_tag(key)?;
        Some(Self {
            repository,
            tag,
            entry: TagEntry {
                digest: decode_digest(digest)?,
                confirmed: from_ms(confirmed),
            },
        })
    }
}

/// The table of tags, and those of them looked up recently.
#[derive(Debug)]
pub(crate) struct Tags {
    store: Arc<Store>,
    remembered: RowCache<(RepoKey, Tag), TagEntry>,
}

impl Tags {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            remembered: RowCache::new(MAX_REMEMBERED),
        }
    }

    /// The entry of a tag. An unreadable index knows no tag.
    pub(crate) fn get(&self, repo: &RepoKey, tag: &Tag) -> Option<TagEntry> {
        let key = (repo.clone(), tag.clone());
        self.remembered
            .get(&key, || answer_or_default(self.read(repo, tag)))
    }

    fn read(&self, repo: &RepoKey, tag: &Tag) -> Outcome<Option<TagEntry>> {
        let table = self.store.begin_read()?.open_table(TAGS)?;
        Ok(table.get(tag_key(repo, tag).as_str())?.and_then(|entry| {
            let (digest, confirmed) = entry.value();
            Some(TagEntry {
                digest: decode_digest(digest)?,
                confirmed: from_ms(confirmed),
            })
        }))
    }

    /// Grows with every write of a tag: as long as it stays, so does every tag.
    pub(crate) fn writes(&self) -> u64 {
        self.remembered.writes()
    }

    /// The upstream has confirmed that `tag` points at `digest`. A crash that loses this costs one
    /// request.
    pub(crate) fn confirm(&self, repo: &RepoKey, tag: &Tag, digest: &Digest) -> Outcome<()> {
        self.change(repo, tag, || {
            self.store.write_copied(Durability::None, |transaction| {
                insert(transaction, repo, tag, digest, now_ms())
            })
        })
    }

    /// Removes a tag. Returns whether there was one.
    pub(crate) fn remove(&self, repo: &RepoKey, tag: &Tag) -> Outcome<bool> {
        let mut found = false;
        self.change(repo, tag, || {
            self.store
                .write_copied(Durability::Immediate, |transaction| {
                    let mut tags = transaction.open_table(TAGS)?;
                    found = tags.remove(tag_key(repo, tag).as_str())?.is_some();
                    Ok(())
                })
        })?;
        Ok(found)
    }

    /// Runs `write`, which changes the row of this tag.
    pub(super) fn change<T>(&self, repo: &RepoKey, tag: &Tag, write: impl FnOnce() -> T) -> T {
        self.remembered.change([(repo.clone(), tag.clone())], write)
    }

    /// Every tag, in the order of the keys.
    pub(crate) fn all(&self) -> Outcome<Vec<TagRow>> {
        self.page(None, usize::MAX)
    }

    /// Up to `limit` tags behind the key `after`. Skips rows that no version of this code has
    /// written.
    pub(crate) fn page(&self, after: Option<&str>, limit: usize) -> Outcome<Vec<TagRow>> {
        let table = self.store.begin_read()?.open_table(TAGS)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = Vec::new();
        for row in table.range::<&str>((from, Bound::Unbounded))? {
            if rows.len() == limit {
                break;
            }
            let (key, value) = row?;
            rows.extend(TagRow::decode(key.value(), value.value()));
        }
        Ok(rows)
    }

    /// One step behind `after`: the tags whose manifest has no row.
    pub(crate) fn step(&self, after: &str) -> Outcome<Step<String>> {
        let transaction = self.store.begin_read()?;
        let tags = transaction.open_table(TAGS)?;
        let blobs = transaction.open_table(BLOBS)?;
        let (mut suspects, mut reached) = (Vec::new(), None);
        let range = tags.range::<&str>((Excluded(after), Unbounded))?;
        for tag in range.take(STEP_SIZE) {
            let (key, value) = tag?;
            if blobs.get(value.value().0)?.is_none() {
                suspects.push(key.value().to_owned());
            }
            reached = Some(key.value().to_owned());
        }
        Ok(Step { suspects, reached })
    }

    /// Removes those suspects whose manifest still has no row. Returns their number.
    pub(crate) fn remove_stale(&self, suspects: &[String]) -> Outcome<u64> {
        let keys = suspects.iter().filter_map(|key| decode_tag(key));
        self.remembered
            .change(keys, || self.remove_stale_rows(suspects))
    }

    fn remove_stale_rows(&self, suspects: &[String]) -> Outcome<u64> {
        let mut removed = 0;
        self.store
            .write_copied(Durability::Immediate, |transaction| {
                let mut tags = transaction.open_table(TAGS)?;
                let blobs = transaction.open_table(BLOBS)?;
                for key in suspects {
                    let digest = tags.get(key.as_str())?.map(|row| row.value().0.to_vec());
                    if let Some(digest) = digest
                        && blobs.get(digest.as_slice())?.is_none()
                    {
                        tags.remove(key.as_str())?;
                        removed += 1;
                    }
                }
                Ok(())
            })?;
        Ok(removed)
    }
}

pub(super) fn insert(
    transaction: &WriteTransaction,
    repo: &RepoKey,
    tag: &Tag,
    digest: &Digest,
    confirmed_ms: u64,
) -> Outcome<()> {
    let mut table = transaction.open_table(TAGS)?;
    let (name, key) = (tag_key(repo, tag), DigestKey::of(digest));
    table.insert(name.as_str(), (key.as_slice(), confirmed_ms))?;
    Ok(())
}
