//! Whole tables: for those who look at everything, and for those who clean up.
//!
//! What goes over a table of a serving process does so in steps: a step reads a bounded number of rows and hands out suspects;
//! only where there are some, a bounded write transaction looks at each of them again and drops it. Nobody waits longer than
//! for one such transaction, and what changed between the two looks stays.

use std::{
    ops::Bound::{Excluded, Unbounded},
    time::SystemTime,
};

use manifest_model::{Digest, Tag};
use redb::{Durability, ReadableTable};

use super::{
    BLOBS, Class, Cold, DigestKey, Index, LINKS, MEDIA_TYPES, Outcome, TAGS, TagEntry,
    decode_digest, erase, from_ms,
    keys::{decode_link, decode_tag, link_key, split_link, tag_key},
    open_store,
};
use crate::{RepoKey, disk::Disk, error::CacheError};

/// Rows looked at in one step, and at most dropped by one transaction.
const STEP: usize = 4096;

/// What the index says of a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) used: SystemTime,
    pub(crate) class: Class,
}

/// The outcome of one step over a table.
#[derive(Debug)]
pub(crate) struct Step<Suspect, Key = Suspect> {
    pub(crate) suspects: Vec<Suspect>,
    /// The last key looked at; `None` at the end of the table.
    pub(crate) reached: Option<Key>,
}

impl Index {
    /// Opens a store that is there, as it is: a damaged one is an error and stays where it is.
    pub(crate) fn open_as_it_is(path: &std::path::Path) -> Outcome<Self> {
        Ok(Self::new(open_store(path)?))
    }

    /// Every blob's row.
    pub(crate) fn rows(&self) -> Outcome<Vec<Row>> {
        let table = self.store.begin_read()?.open_table(BLOBS)?;
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            rows.extend(decode_digest(key.value()).map(|digest| row_of(digest, value.value())));
        }
        Ok(rows)
    }

    /// Every link.
    pub(crate) fn links(&self) -> Outcome<Vec<(RepoKey, Digest)>> {
        let table = self.store.begin_read()?.open_table(LINKS)?;
        let mut links: Vec<(RepoKey, Digest)> = Vec::new();
        for link in table.iter()? {
            let Some((mut repo, digest)) = decode_link(link?.0.value()) else {
                continue;
            };
            // Links stand by repository: its text is held once.
            if let Some((last, _)) = links.last()
                && *last == repo
            {
                repo = last.clone();
            }
            links.push((repo, digest));
        }
        Ok(links)
    }

    /// Every tag.
    pub(crate) fn all_tags(&self) -> Outcome<Vec<(RepoKey, Tag, TagEntry)>> {
        let table = self.store.begin_read()?.open_table(TAGS)?;
        let mut tags = Vec::new();
        for tag in table.iter()? {
            let (key, value) = tag?;
            let (digest, confirmed) = value.value();
            if let (Some((repo, tag)), Some(digest)) =
                (decode_tag(key.value()), decode_digest(digest))
            {
                let confirmed = from_ms(confirmed);
                tags.push((repo, tag, TagEntry { digest, confirmed }));
            }
        }
        Ok(tags)
    }

    /// One step over the blobs' rows: those for which `is_gone`.
    pub(crate) fn step_rows(
        &self,
        after: &[u8],
        is_gone: impl Fn(&Row) -> Result<bool, CacheError>,
    ) -> Result<Step<Cold, Vec<u8>>, CacheError> {
        let mut seen = Vec::with_capacity(STEP);
        {
            let read = || -> Outcome<_> { Ok(self.store.begin_read()?.open_table(BLOBS)?) };
            let table = read()?;
            let range = table
                .range::<&[u8]>((Excluded(after), Unbounded))
                .map_err(redb::Error::from)?;
            for row in range.take(STEP) {
                let (key, value) = row.map_err(redb::Error::from)?;
                seen.push((key.value().to_vec(), value.value()));
            }
        }
        let mut suspects = Vec::new();
        for (key, value) in &seen {
            let Some(digest) = decode_digest(key) else {
                continue;
            };
            if is_gone(&row_of(digest, *value))? {
                let (size, used, _) = *value;
                suspects.push(Cold { digest, size, used });
            }
        }
        Ok(Step {
            suspects,
            reached: seen.pop().map(|(key, _)| key),
        })
    }

    /// One step over the links: those to what has no row.
    pub(crate) fn step_links(&self, after: &[u8]) -> Outcome<Step<Vec<u8>>> {
        let transaction = self.store.begin_read()?;
        let (links, blobs) = (
            transaction.open_table(LINKS)?,
            transaction.open_table(BLOBS)?,
        );
        let (mut suspects, mut reached) = (Vec::new(), None);
        for link in links
            .range::<&[u8]>((Excluded(after), Unbounded))?
            .take(STEP)
        {
            let key = link?.0.value().to_vec();
            if !leads_to_a_blob(&blobs, &key)? {
                suspects.push(key.clone());
            }
            reached = Some(key);
        }
        Ok(Step { suspects, reached })
    }

    /// Drops those links that still lead to no row and to nothing that `is_running`.
    pub(crate) fn drop_links(
        &self,
        suspects: &[Vec<u8>],
        is_running: impl Fn(&Digest) -> bool,
    ) -> Outcome<u64> {
        let mut dropped = 0;
        self.write_names(Durability::Immediate, |transaction| {
            let mut links = transaction.open_table(LINKS)?;
            let blobs = transaction.open_table(BLOBS)?;
            for key in suspects {
                // A fill notes its link first and its row last: while it runs, the link has to wait for the row.
                let digest = split_link(key).and_then(|(_, digest)| decode_digest(digest));
                if !digest.is_some_and(|digest| is_running(&digest))
                    && !leads_to_a_blob(&blobs, key)?
                {
                    dropped += u64::from(links.remove(key.as_slice())?.is_some());
                }
            }
            Ok(())
        })?;
        Ok(dropped)
    }

    /// One step over the tags: those whose manifest has no row.
    pub(crate) fn step_tags(&self, after: &str) -> Outcome<Step<String>> {
        let transaction = self.store.begin_read()?;
        let (tags, blobs) = (
            transaction.open_table(TAGS)?,
            transaction.open_table(BLOBS)?,
        );
        let (mut suspects, mut reached) = (Vec::new(), None);
        for tag in tags.range::<&str>((Excluded(after), Unbounded))?.take(STEP) {
            let (key, value) = tag?;
            if blobs.get(value.value().0)?.is_none() {
                suspects.push(key.value().to_owned());
            }
            reached = Some(key.value().to_owned());
        }
        Ok(Step { suspects, reached })
    }

    /// Drops those tags whose manifest still has no row.
    pub(crate) fn drop_tags(&self, suspects: &[String]) -> Outcome<u64> {
        let mut dropped = 0;
        self.write_names(Durability::Immediate, |transaction| {
            let mut tags = transaction.open_table(TAGS)?;
            let blobs = transaction.open_table(BLOBS)?;
            for key in suspects {
                let digest = tags.get(key.as_str())?.map(|row| row.value().0.to_vec());
                if let Some(digest) = digest
                    && blobs.get(digest.as_slice())?.is_none()
                {
                    tags.remove(key.as_str())?;
                    dropped += 1;
                }
            }
            Ok(())
        })?;
        Ok(dropped)
    }

    /// Drops one tag. The answer says whether there was such a tag.
    pub(crate) fn drop_tag(&self, repo: &RepoKey, tag: &Tag) -> Outcome<bool> {
        let mut found = false;
        self.write_names(Durability::Immediate, |transaction| {
            let mut tags = transaction.open_table(TAGS)?;
            found = tags.remove(tag_key(repo, tag).as_str())?.is_some();
            Ok(())
        })?;
        Ok(found)
    }

    /// Drops links.
    pub(crate) fn unlink(&self, gone: &[(RepoKey, Digest)]) -> Outcome<()> {
        self.write_names(Durability::Immediate, |transaction| {
            let mut links = transaction.open_table(LINKS)?;
            for (repo, digest) in gone {
                links.remove(link_key(repo, digest).as_slice())?;
            }
            Ok(())
        })
    }

    /// Drops the rows of blobs that the caller has deleted.
    pub(crate) fn erase_blobs(&self, gone: &[Digest]) -> Outcome<()> {
        self.write(Durability::Immediate, |transaction| {
            let mut media_types = transaction.open_table(MEDIA_TYPES)?;
            for digest in gone {
                erase(transaction, digest)?;
                media_types.remove(DigestKey::of(digest).as_slice())?;
            }
            Ok(())
        })
    }

    /// Gives back to the file system what dropped rows have left free in the store's file.
    pub(crate) fn compact(&mut self, disk: &Disk) -> Result<(), CacheError> {
        let outcome = self.store.compact();
        outcome.map(drop).map_err(|error| CacheError::Io {
            action: "compact",
            path: disk.index_path(),
            source: std::io::Error::other(error),
        })
    }
}

fn row_of(digest: Digest, (size, used, class): (u64, u64, u8)) -> Row {
    Row {
        digest,
        size,
        used: from_ms(used),
        class: Class::read(class),
    }
}

fn leads_to_a_blob(
    blobs: &impl ReadableTable<&'static [u8], (u64, u64, u8)>,
    link: &[u8],
) -> Outcome<bool> {
    match split_link(link) {
        Some((_, digest)) => Ok(blobs.get(digest)?.is_some()),
        None => Ok(false),
    }
}
