//! The index of everything that the files cannot tell: links, tags, media types, sizes and last
//! uses, in an embedded store.
//!
//! Only this module knows redb. Each part holds the shared `store` and owns its own table; all
//! tables are listed once, in `tables`. Rows may lag behind the files in one direction alone: a
//! row may name a deleted file (see the crate's head). All calls block for as long as the disk
//! takes.

mod attached;
mod bundles;
mod clients;
mod eviction_order;
mod keys;
mod learned;
mod left_out;
mod links;
mod media_types;
mod pairs;
mod pins;
mod ranking;
mod rebuild;
mod rows;
mod snapshot;
mod store;
mod tables;
mod tags;

use std::{fs, io, path::Path, sync::Arc};

#[cfg(fuzzing)]
pub(crate) use self::snapshot::fuzz_snapshot;

use manifest_model::{Manifest, Tag};
use redb::Durability;
use tracing::warn;

pub use self::{
    attached::{Attached, KeptAnswer},
    bundles::{
        Allowance, Arrival, ArrivedManifest, BundleRow, Bundles, CarriedName, ListedBundle, Stage,
    },
    clients::{ClientCount, Clients},
    eviction_order::{EvictionOrder, Reach, UsedImage},
    learned::{Learned, LearnedKind, LearnedPlace},
    left_out::LeftOut,
    links::{Links, Proof},
    media_types::MediaTypes,
    pairs::Pairs,
    ranking::Ranking,
    rows::{BlobRows, Class, NextRow, Row, SeenRow, Step},
    store::{Outcome, answer_or_default},
    tags::{TagEntry, TagRow, Tags},
};
use self::{
    snapshot::{SnapshotTables, Snapshots},
    store::Store,
    tables::Found,
};
use crate::{RepoKey, disk::Disk, error::CacheError};

/// The open index, by its parts.
#[derive(Debug)]
pub struct Index {
    /// Subjects, and answers about them.
    pub attached: Attached,
    /// Bundles, and what they pin.
    pub bundles: Bundles,
    /// Which repository contains which digest.
    pub links: Links,
    /// What each tag means.
    pub tags: Tags,
    /// Which blobs are manifests.
    pub media_types: MediaTypes,
    /// Sizes and last uses.
    pub rows: BlobRows,
    /// Which blob goes first.
    pub order: EvictionOrder,
    /// Which blobs are unwanted.
    pub ranking: Ranking,
    /// How many clients pulled what.
    pub clients: Clients,
    /// Platforms that clients were seen to pull.
    pub learned: Learned,
    /// What bundles left out.
    pub left_out: LeftOut,
    snapshots: Snapshots,
    store: Arc<Store>,
}

/// Where an index came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was there.
    Found,
    /// It was missing or damaged, and was built from the files.
    Built,
}

impl Index {
    /// Opens the index, or builds it from the files if it is missing or damaged. An index that
    /// cannot be opened for another reason is an error and stays: rows that the snapshot lacks
    /// would be lost with it.
    pub fn open(disk: &Disk) -> Result<(Self, Origin), CacheError> {
        let path = disk.index_path();
        // The store would take an empty file for a new one.
        if !fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
            return Ok((Self::new(rebuild::rebuild(disk)?), Origin::Built));
        }
        match tables::open(&path) {
            Ok((store, found)) => {
                if found == Found::Fewer {
                    rebuild::add_subjects(&store, &MediaTypes::new(&store), disk)?;
                }
                Ok((Self::new(store), Origin::Found))
            }
            Err(error) if is_damage(&error) => {
                warn!(%error, "rebuilding the damaged cache index from the files");
                let aside = path.with_extension("damaged");
                fs::rename(&path, &aside).map_err(CacheError::io("set aside", &path))?;
                Ok((Self::new(rebuild::rebuild(disk)?), Origin::Built))
            }
            Err(error) => Err(CacheError::index_unavailable(path, error)),
        }
    }

    /// Opens an index as it is: a damaged one is an error and stays. `None` while another process
    /// has it open.
    pub fn open_as_it_is(path: &Path) -> Outcome<Option<Self>> {
        match tables::open(path) {
            Ok((store, _)) => Ok(Some(Self::new(store))),
            Err(redb::Error::DatabaseAlreadyOpen) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn new(store: Arc<Store>) -> Self {
        Self {
            attached: Attached::new(&store),
            bundles: Bundles::new(&store),
            links: Links::new(&store),
            tags: Tags::new(&store),
            media_types: MediaTypes::new(&store),
            rows: BlobRows::new(&store),
            order: EvictionOrder::new(&store),
            ranking: Ranking::new(&store),
            clients: Clients::new(&store),
            learned: Learned::new(&store),
            left_out: LeftOut::new(&store),
            snapshots: Snapshots::new(&store),
            store,
        }
    }

    /// Records a manifest of `repo` that is about to become visible, links to all digests it names,
    /// and the tag it was asked by, in one transaction. Durable when this returns.
    pub fn record_manifest(
        &self,
        repo: &RepoKey,
        manifest: &Manifest,
        tag: Option<&Tag>,
    ) -> Outcome<()> {
        let (digest, now) = (manifest.digest(), keys::now_ms());
        let size = manifest.bytes().len() as u64;
        let write = || {
            self.store
                .write_copied(Durability::Immediate, |transaction| {
                    rows::record(
                        transaction,
                        &digest,
                        size,
                        eviction_order::manifest_class(size),
                        now,
                    )?;
                    media_types::record(transaction, manifest)?;
                    attached::record_subject(transaction, manifest)?;
                    links::insert_manifest(transaction, repo, manifest)?;
                    match tag {
                        Some(tag) => tags::insert(transaction, repo, tag, &digest, now),
                        None => Ok(()),
                    }
                })
        };
        match tag {
            Some(tag) => self.tags.change(repo, tag, write),
            None => write(),
        }
    }

    /// Makes all that a bundle brings visible, in one transaction. Durable when this returns.
    pub fn record_arrival(&self, arrival: &Arrival) -> Outcome<()> {
        self.bundles.complete(&self.tags, arrival)
    }

    /// Adds the files without a row, as long as `goes_on`. Returns their number.
    pub fn adopt(&self, disk: &Disk, goes_on: impl Fn() -> bool) -> Result<u64, CacheError> {
        rebuild::adopt(&self.store, &self.rows, disk, goes_on)
    }

    /// Writes a snapshot of links, tags and media types, unless nothing has changed since the last
    /// one or another is being written. When `goes_on` ends it early, or after an error, the last
    /// snapshot stays.
    pub fn write_snapshot_if_stale(
        &self,
        disk: &Disk,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), CacheError> {
        let tables = self.snapshot_tables();
        self.snapshots.write_if_stale(tables, disk, goes_on)
    }

    /// Writes a snapshot of links, tags and media types.
    pub fn write_snapshot(&self, disk: &Disk) -> Result<(), CacheError> {
        snapshot::write(self.snapshot_tables(), disk, &|| true).map(drop)
    }

    fn snapshot_tables(&self) -> SnapshotTables<'_> {
        SnapshotTables {
            attached: &self.attached,
            bundles: &self.bundles,
            links: &self.links,
            media_types: &self.media_types,
            tags: &self.tags,
        }
    }

    /// Returns the space of removed rows from the store's file to the file system.
    pub fn compact(&self, disk: &Disk) -> Result<(), CacheError> {
        self.store.compact().map_err(|error| CacheError::Io {
            action: "compact",
            path: disk.index_path(),
            source: io::Error::other(error),
        })
    }
}

/// Whether the file itself is at fault: it holds something else, another version's tables, or not
/// all it should. A lack of permission, of space, or of a working disk proves nothing about it.
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
