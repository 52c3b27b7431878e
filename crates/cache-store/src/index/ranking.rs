//! The blobs that are evicted before all others: nobody is expected to ask for them.
//!
//! This crate cannot know which blobs clients will ask for. The caller walks over the stored
//! manifests, repository by repository, and marks blobs as unwanted. The mark is a class of rows
//! that the index orders before all others: an eviction reads the first rows as always, a restart
//! keeps the marks, and a blob leaves the class once somebody asks for it or the caller takes the
//! mark back.
//!
//! All methods block, in steps of bounded size: nobody else waits for longer than one of them. The
//! caller paces its walk with a duty cycle.

use std::{ops::Bound::Excluded, sync::Arc, time::SystemTime};

use manifest_model::Digest;
use redb::Durability;

use super::{
    eviction_order,
    keys::{DigestKey, decode_digest, split_pair, to_ms},
    links::LINKS,
    media_types::MEDIA_TYPES,
    rows::{self, BY_USE, Class, STEP_SIZE, SeenRow},
    store::{Outcome, Store},
};
use crate::{RepoKey, error::CacheError};

/// How many rows one transaction changes.
const BATCH_SIZE: usize = 1024;

/// The marks of unwanted blobs.
#[derive(Debug)]
pub struct Ranking {
    store: Arc<Store>,
}

impl Ranking {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }

    /// The first repository behind `after` and its stored manifests; `None` behind the last.
    pub fn next_repository(
        &self,
        after: Option<&RepoKey>,
    ) -> Result<Option<(RepoKey, Vec<Digest>)>, CacheError> {
        Ok(self.read_next_repository(after)?)
    }

    fn read_next_repository(
        &self,
        after: Option<&RepoKey>,
    ) -> Outcome<Option<(RepoKey, Vec<Digest>)>> {
        let transaction = self.store.begin_read()?;
        let links = transaction.open_table(LINKS)?;
        let media_types = transaction.open_table(MEDIA_TYPES)?;
        // In a link a zero byte follows the repository, and no byte of a name is as low as one.
        let start = after.map_or(Vec::new(), |repo| [repo.as_str().as_bytes(), &[1]].concat());
        let (mut repo, mut manifests) = (None::<RepoKey>, Vec::new());
        for link in links.range::<&[u8]>(start.as_slice()..)? {
            let (key, _) = link?;
            let Some((name, digest)) = split_pair(key.value()) else {
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

    /// Marks `blobs` as unwanted, except manifests and blobs used at `since` or later.
    pub fn set_unwanted(&self, blobs: &[Digest], since: SystemTime) -> Result<(), CacheError> {
        let since = to_ms(since);
        for batch in blobs.chunks(BATCH_SIZE) {
            self.store.write(Durability::None, |transaction| {
                for digest in batch {
                    if let Some((size, used, Class::Blob | Class::Probation)) =
                        rows::find(transaction, digest)?
                        && used < since
                    {
                        rows::record(transaction, digest, size, Class::Unwanted, used)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Takes the mark back from each blob that is not `is_unwanted`. Returns the sum of the bytes
    /// that stay unwanted. Takes a while on a large cache: `goes_on` is asked between steps, and
    /// once it denies, the rest stays as it is.
    pub fn review_unwanted(
        &self,
        goes_on: impl Fn() -> bool,
        is_unwanted: impl Fn(&Digest) -> bool,
    ) -> Result<u64, CacheError> {
        let (mut bytes, mut after) = (0, None);
        while goes_on() {
            let step = self.unwanted(after.as_ref())?;
            let Some(last) = step.last() else {
                return Ok(bytes);
            };
            let mut wanted = Vec::new();
            for blob in &step {
                if is_unwanted(&blob.digest) {
                    bytes += blob.size;
                } else {
                    wanted.push(blob.digest);
                }
            }
            for batch in wanted.chunks(BATCH_SIZE) {
                self.set_wanted(batch)?;
            }
            after = Some(*last);
        }
        Ok(bytes)
    }

    /// Returns each blob to the place of its last use, among those not used again: the mark has
    /// replaced what was known of that.
    fn set_wanted(&self, blobs: &[Digest]) -> Outcome<()> {
        self.store.write(Durability::None, |transaction| {
            for digest in blobs {
                if let Some((size, used, Class::Unwanted)) = rows::find(transaction, digest)? {
                    rows::record(transaction, digest, size, Class::Probation, used)?;
                }
            }
            Ok(())
        })
    }

    /// The next unwanted blobs behind `after`.
    fn unwanted(&self, after: Option<&SeenRow>) -> Outcome<Vec<SeenRow>> {
        let table = self.store.begin_read()?.open_table(BY_USE)?;
        let key = after.map(|seen| (seen.used, DigestKey::of(&seen.digest)));
        let first: (u8, u64, &[u8]) = match &key {
            Some((used, digest)) => (Class::Unwanted as u8, *used, digest.as_slice()),
            None => (Class::Unwanted as u8, 0, &[]),
        };
        let end = eviction_order::end_of(Class::Unwanted);
        let rows = table.range::<(u8, u64, &[u8])>((Excluded(first), Excluded(end)))?;
        eviction_order::decode(rows.take(STEP_SIZE))
    }
}
