//! Upkeep: the work that no request waits for.

use std::time::SystemTime;

use super::Cache;
use cache_store::CacheError;
use manifest_model::Digest;

use crate::{
    Collected,
    collect::{Company, collect},
    inspect::{Contents, Directory, Holdings, IndexRows, Removal, Removed},
};

impl Cache {
    /// Writes noted uses and pulls to the index, so that they survive a restart, and moves the
    /// blobs of used images up with them. Called now and then, and at shutdown.
    pub async fn flush_uses(&self) -> Result<(), CacheError> {
        self.blocking(|cache| {
            let storage = &cache.storage;
            storage
                .uses
                .write_with_images(&storage.index, &storage.disk)?;
            storage.index.clients.flush()
        })
        .await
    }

    /// Writes noted uses and pulls to the index, so that a reader sees them. The next
    /// [`Self::flush_uses`] moves the blobs of images.
    pub async fn write_uses(&self) -> Result<(), CacheError> {
        self.blocking(|cache| {
            let storage = &cache.storage;
            storage.uses.write(&storage.index)?;
            storage.index.clients.flush()
        })
        .await
    }

    /// The blobs whose last use, as far as it is written, is not before `time`.
    pub async fn used_since(&self, time: SystemTime) -> Result<Vec<Digest>, CacheError> {
        self.blocking(move |cache| {
            let rows = cache.storage.index.rows.all()?.into_iter();
            let used = rows.filter(|row| row.used >= time);
            Ok(used.map(|row| row.digest).collect())
        })
        .await
    }

    /// Whether an eviction may come soon, for the cache's own bound or for the file system's. One
    /// look at the file system.
    pub fn eviction_is_near(&self) -> bool {
        self.storage.eviction_is_near()
    }

    /// Evicts blobs that could not go earlier because they were being read. Called now and then.
    pub async fn trim(&self) -> Result<(), CacheError> {
        self.blocking(|cache| cache.storage.after_growth()).await
    }

    /// Makes the index follow the files; see [`Collected`]. On a large cache this takes a while,
    /// and nobody waits for it: its transactions are small, and it spares running fills and blobs
    /// stored just now. `goes_on` is asked between transactions and may block to pace the work;
    /// once it denies, this ends with the work done by then.
    pub async fn collect(
        &self,
        goes_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<Collected, CacheError> {
        self.blocking(move |cache| {
            let storage = &cache.storage;
            storage.correct_future_uses()?;
            let blobs = &storage.blobs;
            storage
                .disk
                .ingest
                .delete_expired_partials(|digest| blobs.is_running(digest))?;
            let company = Company::Serving(blobs, &goes_on);
            let collected = collect(&storage.index, &storage.disk, &company)?;
            storage.after_growth()?;
            Ok(collected)
        })
        .await
    }

    /// Removes one after the other, even while it is being read: readers keep what they have open. The
    /// next client has it downloaded again. It looks at all that is stored, so one call at a time is
    /// enough; what is stored meanwhile may go with it.
    pub async fn remove(&self, removals: Vec<Removal>) -> Result<Vec<Removed>, CacheError> {
        self.blocking(move |cache| {
            let storage = &cache.storage;
            let Ok(directory) = Directory::at(storage.disk.root()) else {
                return Ok(vec![Removed::default(); removals.len()]);
            };
            let rows = IndexRows::of(&storage.index)?;
            let mut holdings = Holdings::new(Contents::gather(&directory, rows, None)?);
            let mut done = Vec::with_capacity(removals.len());
            for removal in &removals {
                let plan = holdings.plan(removal);
                done.push(plan.carry_out(&storage.index, |digest| storage.blobs.discard(digest))?);
            }
            storage.after_growth()?;
            // The old snapshot would bring removed tags back to a lost index.
            storage
                .index
                .write_snapshot_if_stale(&storage.disk, &|| true)?;
            Ok(done)
        })
        .await
    }

    /// Writes a snapshot of links, tags and media types, unless nothing has changed since the last
    /// one or another is being written. When `goes_on` ends it early, or after an error, the last
    /// snapshot stays.
    ///
    /// `goes_on` is asked between small steps, when no lock of the index is held; it may block to
    /// pace the work.
    pub async fn write_snapshot(
        &self,
        goes_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), CacheError> {
        self.blocking(move |cache| {
            let storage = &cache.storage;
            storage
                .index
                .write_snapshot_if_stale(&storage.disk, &goes_on)
        })
        .await
    }
}
