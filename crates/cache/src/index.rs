//! What the files cannot say: links, tags, media types, sizes and last uses, in an embedded store.
//!
//! The store is the only part of the crate that knows redb. Its answers may lag behind the files in one direction alone: a row
//! may name a file that is gone (see the crate's head). All calls block for as long as the disk takes; writes are queued by the
//! store itself, one at a time.

mod clients;
mod keys;
mod learned;
mod order;
mod rebuild;
mod restore;
mod store;
mod survey;
mod tables;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use manifest_model::{Digest, Manifest, MediaType, Tag};
use redb::{Durability, ReadableTable, StorageError, TableDefinition, WriteTransaction};
use tracing::warn;

pub(crate) use self::order::{Class, Cold, Followed};
pub use self::{clients::Clients, learned::Learned, survey::TagRow};
use crate::{RepoKey, disk::Disk, error::CacheError};
pub(crate) use keys::decode_tag;
use keys::{DigestKey, decode_digest, link_key, tag_key};
use store::Store;
pub(crate) use tables::Row;

/// digest -> (size, last use in ms, class)
const BLOBS: TableDefinition<'_, &[u8], (u64, u64, u8)> = TableDefinition::new("blobs");
/// (class, last use in ms, digest) -> size: within a class its order is the order of eviction
const BY_USE: TableDefinition<'_, (u8, u64, &[u8]), u64> = TableDefinition::new("by_use");
/// repository, digest -> nothing
const LINKS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("links");
/// manifest digest -> media type
const MEDIA_TYPES: TableDefinition<'_, &[u8], &str> = TableDefinition::new("media_types");
/// repository:tag -> (digest, last confirmed in ms)
const TAGS: TableDefinition<'_, &str, (&[u8], u64)> = TableDefinition::new("tags");
/// name -> number; holds the sum of all sizes
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");

const BYTES: &str = "bytes";

/// How many tables there are.
const TABLES: usize = 8;

/// Where a tag pointed when the upstream was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagEntry {
    /// The manifest.
    pub digest: Digest,
    /// When the upstream last confirmed it.
    pub confirmed: SystemTime,
}

/// The open store.
#[derive(Debug)]
pub(crate) struct Index {
    store: Store,
    /// Whether a link or a tag was written since [`Self::take_changed_names`].
    names_changed: AtomicBool,
}

pub(crate) type Outcome<T> = Result<T, redb::Error>;

/// How an index was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was there.
    Found,
    /// It was missing or damaged.
    Built,
}

impl Index {
    /// Opens the store, or builds it from the files where it is missing or damaged. One that cannot be opened for another
    /// reason is an error and stays where it is: what is not in the copy of the names is lost with it.
    pub(crate) fn open(disk: &Disk) -> Result<(Self, Origin), CacheError> {
        let path = disk.index_path();
        // The store would take an empty file for a new one.
        if !fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
            return Ok((rebuild::rebuild(disk)?, Origin::Built));
        }
        match open_store(&path) {
            Ok(store) => Ok((Self::new(store), Origin::Found)),
            Err(error) if is_damage(&error) => {
                warn!(%error, "the cache index is damaged and is built anew from the files");
                let aside = path.with_extension("damaged");
                fs::rename(&path, &aside).map_err(CacheError::io("set aside", &path))?;
                Ok((rebuild::rebuild(disk)?, Origin::Built))
            }
            Err(error) => Err(shut(path, error)),
        }
    }

    /// What was written before is unknown, and may not be in the copy.
    fn new(store: Store) -> Self {
        Self {
            store,
            names_changed: AtomicBool::new(true),
        }
    }

    /// Whether a link or a tag was written since this was asked last. What is written while it is asked shows the next time.
    pub(crate) fn take_changed_names(&self) -> bool {
        self.names_changed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn note_changed_names(&self) {
        self.names_changed.store(true, Ordering::Release);
    }

    /// The sum of the sizes of all rows.
    pub(crate) fn bytes(&self) -> Outcome<u64> {
        let table = self.store.begin_read()?.open_table(TOTALS)?;
        Ok(table.get(BYTES)?.map_or(0, |total| total.value()))
    }

    /// Notes a blob that is about to become visible. Durable when this returns.
    pub(crate) fn record_blob(&self, digest: &Digest, size: u64) -> Outcome<()> {
        self.write(Durability::Immediate, |transaction| {
            record(transaction, digest, size, Class::Blob, now_ms())
        })
    }

    /// Notes a manifest of `repo` that is about to become visible, all it links, and the tag it was asked by. Durable.
    pub(crate) fn record_manifest(
        &self,
        repo: &RepoKey,
        manifest: &Manifest,
        tag: Option<&Tag>,
    ) -> Outcome<()> {
        self.write_names(Durability::Immediate, |transaction| {
            let (digest, now) = (manifest.digest(), now_ms());
            record(
                transaction,
                &digest,
                manifest.bytes().len() as u64,
                Class::Manifest,
                now,
            )?;
            let mut media_types = transaction.open_table(MEDIA_TYPES)?;
            let key = DigestKey::of(&digest);
            // The first word stands: bytes without a type of their own must not change because another upstream types them so.
            if media_types.get(key.as_slice())?.is_none() {
                media_types.insert(key.as_slice(), manifest.media_type().as_str())?;
            }
            let mut links = transaction.open_table(LINKS)?;
            links.insert(link_key(repo, &digest).as_slice(), ())?;
            for linked in manifest.links() {
                links.insert(link_key(repo, &linked.digest).as_slice(), ())?;
            }
            if let Some(tag) = tag {
                let mut tags = transaction.open_table(TAGS)?;
                tags.insert(
                    tag_key(repo, tag).as_str(),
                    (DigestKey::of(&digest).as_slice(), now),
                )?;
            }
            Ok(())
        })
    }

    /// The media type of a stored manifest.
    pub(crate) fn media_type(&self, digest: &Digest) -> Outcome<Option<MediaType>> {
        let table = self.store.begin_read()?.open_table(MEDIA_TYPES)?;
        Ok(table
            .get(DigestKey::of(digest).as_slice())?
            .and_then(|name| name.value().parse().ok()))
    }

    /// Nothing is written where the link is known.
    pub(crate) fn link(&self, repo: &RepoKey, digest: &Digest) -> Outcome<()> {
        if self.is_linked(repo, digest)? {
            return Ok(());
        }
        self.write_names(Durability::Immediate, |transaction| {
            transaction
                .open_table(LINKS)?
                .insert(link_key(repo, digest).as_slice(), ())?;
            Ok(())
        })
    }

    pub(crate) fn is_linked(&self, repo: &RepoKey, digest: &Digest) -> Outcome<bool> {
        let table = self.store.begin_read()?.open_table(LINKS)?;
        Ok(table.get(link_key(repo, digest).as_slice())?.is_some())
    }

    pub(crate) fn tag(&self, repo: &RepoKey, tag: &Tag) -> Outcome<Option<TagEntry>> {
        let table = self.store.begin_read()?.open_table(TAGS)?;
        Ok(table.get(tag_key(repo, tag).as_str())?.and_then(|entry| {
            let (digest, confirmed) = entry.value();
            Some(TagEntry {
                digest: decode_digest(digest)?,
                confirmed: from_ms(confirmed),
            })
        }))
    }

    /// The upstream has confirmed that `tag` points at `digest`. Losing this in a crash costs one request.
    pub(crate) fn confirm_tag(&self, repo: &RepoKey, tag: &Tag, digest: &Digest) -> Outcome<()> {
        self.write_names(Durability::None, |transaction| {
            let mut tags = transaction.open_table(TAGS)?;
            tags.insert(
                tag_key(repo, tag).as_str(),
                (DigestKey::of(digest).as_slice(), now_ms()),
            )?;
            Ok(())
        })
    }

    pub(crate) fn remove_tag(&self, repo: &RepoKey, tag: &Tag) -> Outcome<()> {
        self.write_names(Durability::Immediate, |transaction| {
            transaction
                .open_table(TAGS)?
                .remove(tag_key(repo, tag).as_str())?;
            Ok(())
        })
    }

    /// The size a blob was stored with.
    pub(crate) fn size(&self, digest: &Digest) -> Outcome<Option<u64>> {
        let table = self.store.begin_read()?.open_table(BLOBS)?;
        let row = table.get(DigestKey::of(digest).as_slice())?;
        Ok(row.map(|row| row.value().0))
    }

    /// [`Self::write`] of links and tags.
    fn write_names(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Outcome<()>,
    ) -> Outcome<()> {
        let written = self.write(durability, change);
        self.note_changed_names();
        written
    }

    fn write(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Outcome<()>,
    ) -> Outcome<()> {
        let write = || {
            let mut transaction = self.store.begin_write()?;
            transaction.set_durability(durability)?;
            change(&transaction)?;
            Ok(transaction.commit()?)
        };
        write().inspect_err(|error| self.store.failed(error))
    }
}

fn shut(path: PathBuf, error: redb::Error) -> CacheError {
    CacheError::IndexShut {
        path,
        source: Box::new(error),
    }
}

fn open_store(path: &Path) -> Outcome<Store> {
    let store = Store::open(path)?;
    let present = store.begin_read()?.list_tables()?.count();
    if present == TABLES {
        return Ok(store);
    }
    let transaction = store.begin_write()?;
    // Reading a table that was never written is an error, so all of them are made here.
    transaction.open_table(BLOBS)?;
    transaction.open_table(BY_USE)?;
    transaction.open_table(clients::CLIENTS)?;
    transaction.open_table(learned::LEARNED)?;
    transaction.open_table(LINKS)?;
    transaction.open_table(MEDIA_TYPES)?;
    transaction.open_table(TAGS)?;
    transaction.open_table(TOTALS)?;
    transaction.commit()?;
    Ok(store)
}

/// Whether the file itself is at fault: it holds something else, another version's tables, or not all of what it should. Want
/// of permission, of space, or of a disk that answers says nothing about it.
fn is_damage(error: &redb::Error) -> bool {
    use redb::Error;
    match error {
        Error::Corrupted(_)
        | Error::UpgradeRequired(_)
        | Error::TableTypeMismatch { .. }
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. } => true,
        Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        ),
        _ => false,
    }
}

/// Writes a blob's row, its place in the order and the total; replaces what was there.
fn record(
    transaction: &WriteTransaction,
    digest: &Digest,
    size: u64,
    class: Class,
    used: u64,
) -> Outcome<()> {
    erase(transaction, digest)?;
    let key = DigestKey::of(digest);
    transaction
        .open_table(BLOBS)?
        .insert(key.as_slice(), (size, used, class as u8))?;
    transaction
        .open_table(BY_USE)?
        .insert((class as u8, used, key.as_slice()), size)?;
    add_to_total(transaction, |total| total + size)?;
    Ok(())
}

fn erase(transaction: &WriteTransaction, digest: &Digest) -> Outcome<()> {
    let key = DigestKey::of(digest);
    let old = transaction
        .open_table(BLOBS)?
        .remove(key.as_slice())?
        .map(|row| row.value());
    if let Some((size, used, class)) = old {
        transaction
            .open_table(BY_USE)?
            .remove((class, used, key.as_slice()))?;
        add_to_total(transaction, |total| total.saturating_sub(size))?;
    }
    Ok(())
}

fn add_to_total(
    transaction: &WriteTransaction,
    change: impl FnOnce(u64) -> u64,
) -> Result<(), redb::Error> {
    let mut totals = transaction.open_table(TOTALS)?;
    let total = totals.get(BYTES)?.map_or(0, |total| total.value());
    totals
        .insert(BYTES, change(total))
        .map(drop)
        .map_err(StorageError::into)
}

fn now_ms() -> u64 {
    to_ms(SystemTime::now())
}

/// Milliseconds since 1970; a clock before that counts as 1970.
pub(crate) fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}
