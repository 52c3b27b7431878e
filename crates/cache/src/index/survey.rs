//! Walking over the tags.

use std::{ops::Bound, time::SystemTime};

use manifest_model::{Digest, Tag};

use super::{BLOBS, DigestKey, Index, Outcome, TAGS, TagEntry, decode_digest, from_ms};
use crate::RepoKey;

/// A tag, the repository it is in and where it points.
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
    /// The row's place in the order: what to go on behind.
    pub fn key(&self) -> String {
        super::tag_key(&self.repository, &self.tag)
    }

    fn read(key: &str, (digest, confirmed): (&[u8], u64)) -> Option<Self> {
        let (repository, tag) = key.rsplit_once(':')?;
        Some(Self {
            repository: RepoKey::from_text(repository),
            tag: tag.parse().ok()?,
            entry: TagEntry {
                digest: decode_digest(digest)?,
                confirmed: from_ms(confirmed),
            },
        })
    }
}

impl Index {
    /// Up to `limit` rows behind the key `after`. What no version of this code has written is left out.
    pub(crate) fn tags(&self, after: Option<&str>, limit: usize) -> Outcome<Vec<TagRow>> {
        let table = self.store.begin_read()?.open_table(TAGS)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = Vec::new();
        for row in table.range::<&str>((from, Bound::Unbounded))? {
            if rows.len() == limit {
                break;
            }
            let (key, value) = row?;
            rows.extend(TagRow::read(key.value(), value.value()));
        }
        Ok(rows)
    }

    pub(crate) fn last_used(&self, digest: &Digest) -> Outcome<Option<SystemTime>> {
        let table = self.store.begin_read()?.open_table(BLOBS)?;
        let row = table.get(DigestKey::of(digest).as_slice())?;
        Ok(row.map(|row| from_ms(row.value().1)))
    }
}
