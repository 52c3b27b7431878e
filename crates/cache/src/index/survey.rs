//! Walking over the tags, the links and the repositories.

use std::{ops::Bound, time::SystemTime};

use manifest_model::{Digest, Tag};

use super::{
    BLOBS, DigestKey, Index, LINKS, MEDIA_TYPES, Outcome, TAGS, TagEntry, decode_digest, from_ms,
    keys::{decode_link, link_key, split_link},
};
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

    /// Up to `limit` links behind `after`. What no version of this code has written is left out.
    pub(crate) fn links_behind(
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

    /// Up to `limit` manifests behind `after`, and what they are called.
    pub(crate) fn media_types_behind(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Outcome<Vec<(Digest, String)>> {
        let table = self.store.begin_read()?.open_table(MEDIA_TYPES)?;
        let after = after.map(DigestKey::of);
        let from = after
            .as_ref()
            .map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
        let mut types = Vec::new();
        for row in table.range::<&[u8]>((from, Bound::Unbounded))? {
            if types.len() == limit {
                break;
            }
            let (key, media_type) = row?;
            let named = |digest| (digest, media_type.value().to_owned());
            types.extend(decode_digest(key.value()).map(named));
        }
        Ok(types)
    }

    /// The first repository behind `after`, and the manifests it links that are stored.
    pub(crate) fn next_repository(
        &self,
        after: Option<&RepoKey>,
    ) -> Outcome<Option<(RepoKey, Vec<Digest>)>> {
        let transaction = self.store.begin_read()?;
        let links = transaction.open_table(LINKS)?;
        let media_types = transaction.open_table(MEDIA_TYPES)?;
        // In a link a zero byte follows the repository, and in no name of one is a byte below those of printed text.
        let behind = after.map_or(Vec::new(), |repo| [repo.as_str().as_bytes(), &[1]].concat());
        let (mut repo, mut manifests) = (None::<RepoKey>, Vec::new());
        for link in links.range::<&[u8]>(behind.as_slice()..)? {
            let (key, _) = link?;
            let Some((name, digest)) = split_link(key.value()) else {
                continue;
            };
            match &repo {
                Some(repo) if repo.as_str().as_bytes() == name => {}
                Some(_) => break,
                None => repo = std::str::from_utf8(name).ok().map(RepoKey::from_text),
            }
            if media_types.get(digest)?.is_some() {
                manifests.extend(decode_digest(digest));
            }
        }
        Ok(repo.map(|repo| (repo, manifests)))
    }

    pub(crate) fn last_used(&self, digest: &Digest) -> Outcome<Option<SystemTime>> {
        let table = self.store.begin_read()?.open_table(BLOBS)?;
        let row = table.get(DigestKey::of(digest).as_slice())?;
        Ok(row.map(|row| from_ms(row.value().1)))
    }
}
