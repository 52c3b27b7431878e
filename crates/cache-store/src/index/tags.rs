//! Where each tag pointed when its upstream was last asked.

use std::{
    ops::Bound::{self, Excluded, Unbounded},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use manifest_model::{Digest, Tag};
use quick_cache::sync::Cache;
use redb::{Durability, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    keys::{DigestKey, decode_digest, decode_tag, from_ms, now_ms, tag_key},
    rows::{BLOBS, STEP_SIZE, Step},
    store::{Outcome, Store, answer_or_default},
};
use crate::RepoKey;

/// repository:tag -> (digest, last confirmed in ms)
pub(super) const TAGS: TableDefinition<'_, &str, (&[u8], u64)> = TableDefinition::new("tags");

/// Tags remembered in memory, about 300 bytes each.
const MAX_REMEMBERED: usize = 16_384;

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

/// The table of tags, and those of them looked up recently. What is remembered never outlives its
/// change in the table.
#[derive(Debug)]
pub struct Tags {
    store: Arc<Store>,
    remembered: Cache<(RepoKey, Tag), TagEntry>,
    /// Grows with every write to the table.
    writes: AtomicU64,
}

impl Tags {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            remembered: Cache::new(MAX_REMEMBERED),
            writes: AtomicU64::new(0),
        }
    }

    /// The entry of a tag. An unreadable index knows no tag.
    pub fn get(&self, repo: &RepoKey, tag: &Tag) -> Option<TagEntry> {
        self.remembered_or(repo, tag, || answer_or_default(self.read(repo, tag)))
    }

    /// The row in memory, else the one that `read` finds. A row that is written while it is read is
    /// not remembered: its place in memory has been removed by then.
    fn remembered_or(
        &self,
        repo: &RepoKey,
        tag: &Tag,
        read: impl FnOnce() -> Option<TagEntry>,
    ) -> Option<TagEntry> {
        let key = (repo.clone(), tag.clone());
        let found = self
            .remembered
            .get_or_insert_with(&key, || read().ok_or(()));
        found.ok()
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
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// The upstream has confirmed so long ago that `tag` points at `digest`. A crash that loses this
    /// costs one request.
    pub fn confirm(
        &self,
        repo: &RepoKey,
        tag: &Tag,
        digest: &Digest,
        age: Duration,
    ) -> Outcome<()> {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let confirmed = now_ms().saturating_sub(age);
        self.change(repo, tag, || {
            self.store.write_copied(Durability::None, |transaction| {
                insert(transaction, repo, tag, digest, confirmed)
            })
        })
    }

    /// Removes a tag. Returns whether there was one.
    pub fn remove(&self, repo: &RepoKey, tag: &Tag) -> Outcome<bool> {
        let mut found = false;
        self.change(repo, tag, || {
            self.store
                .write_copied(Durability::Immediate, |transaction| {
                    found = remove(transaction, repo, tag)?;
                    Ok(())
                })
        })?;
        Ok(found)
    }

    /// Runs `write`, which changes the row of this tag.
    pub(super) fn change<T>(&self, repo: &RepoKey, tag: &Tag, write: impl FnOnce() -> T) -> T {
        self.change_all([(repo.clone(), tag.clone())], write)
    }

    /// Runs `write`, which changes the rows of `keys`, and then forgets what memory has of them.
    pub(super) fn change_all<T>(
        &self,
        keys: impl IntoIterator<Item = (RepoKey, Tag)>,
        write: impl FnOnce() -> T,
    ) -> T {
        let written = write();
        self.writes.fetch_add(1, Ordering::SeqCst);
        for key in keys {
            self.remembered.remove(&key);
        }
        written
    }

    /// Every tag, in the order of the keys.
    pub fn all(&self) -> Outcome<Vec<TagRow>> {
        self.page(None, usize::MAX)
    }

    /// Up to `limit` tags behind the key `after`. Skips rows that no version of this code has
    /// written.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Outcome<Vec<TagRow>> {
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
    pub fn step(&self, after: &str) -> Outcome<Step<String>> {
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
    pub fn remove_stale(&self, suspects: &[String]) -> Outcome<u64> {
        let keys = suspects.iter().filter_map(|key| decode_tag(key));
        self.change_all(keys, || self.remove_stale_rows(suspects))
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

pub(super) fn remove(transaction: &WriteTransaction, repo: &RepoKey, tag: &Tag) -> Outcome<bool> {
    let mut table = transaction.open_table(TAGS)?;
    Ok(table.remove(tag_key(repo, tag).as_str())?.is_some())
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use manifest_model::Algorithm;

    use super::*;
    use crate::{disk::Disk, index::Index};

    #[test]
    fn a_row_that_is_read_while_it_changes_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let tags = Index::open(&disk).unwrap().0.tags;
        let repo: RepoKey = "docker.io/library/hello".parse().unwrap();
        let tag: Tag = "latest".parse().unwrap();
        let row = |age| {
            let digest = Digest::of(Algorithm::Sha256, b"a manifest");
            let confirmed = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
            Some(TagEntry { digest, confirmed })
        };
        let read = tags.remembered_or(&repo, &tag, || {
            // Between this look and the note of its answer, another task writes the row.
            tags.change(&repo, &tag, || {});
            row(1)
        });
        assert_eq!(read, row(1));
        assert_eq!(tags.remembered_or(&repo, &tag, || row(2)), row(2));
        assert_eq!(tags.remembered_or(&repo, &tag, || None), row(2));
    }
}
