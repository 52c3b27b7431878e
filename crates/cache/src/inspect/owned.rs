//! Changing a cache while no server runs on it.

use std::error::Error;

use cache_store::{
    CacheError,
    disk::{Disk, Unpublished, delete_if_present},
    index::{Index, ListedBundle, Origin},
};
use manifest_model::Digest;
use tracing::warn;

use super::{
    Directory,
    contents::{Contents, IndexRows},
    removal::{Holdings, Removal, RemovalPlan, Removed},
};
use crate::{
    Collected,
    collect::{self, Company},
};

/// A cache directory whose lock this process holds.
#[derive(Debug)]
pub struct Owned {
    directory: Directory,
    disk: Disk,
    index: Index,
    origin: Origin,
}

impl Owned {
    pub(super) fn open(directory: &Directory) -> Result<Self, CacheError> {
        let disk = Disk::open_existing(directory.path())?;
        let (index, origin) = Index::open(&disk)?;
        Ok(Self {
            directory: directory.clone(),
            disk,
            index,
            origin,
        })
    }

    /// Whether the index was lost or damaged, and was rebuilt from the files.
    pub fn index_was_rebuilt(&self) -> bool {
        self.origin == Origin::Built
    }

    /// Makes the index follow the files, and returns the unused space of its own file.
    pub fn collect(&mut self) -> Result<Collected, CacheError> {
        let collected = collect::collect(&self.index, &self.disk, &Company::Alone)?;
        self.index.compact(&self.disk)?;
        Ok(collected)
    }

    /// The bundles that are here or on their way, by id.
    pub fn bundles(&self) -> Result<Vec<ListedBundle>, CacheError> {
        Ok(self.index.bundles.list()?)
    }

    /// Removes bundles and their pins, then writes a new snapshot. What they brought stays until it
    /// is evicted or removed: the answer is what no bundle pins any more.
    pub fn remove_bundles(&self, bundles: &[Digest]) -> Result<Vec<Digest>, CacheError> {
        let free = self.index.bundles.remove(bundles)?;
        self.index.write_snapshot(&self.disk)?;
        Ok(free)
    }

    /// The next number of a bundle in a series that is exported from this cache, at least `least`.
    /// It is not given again. Durable when this returns.
    pub fn next_in_series(&self, series: &str, least: u64) -> Result<u64, CacheError> {
        Ok(self.index.bundles.next_in_series(series, least)?)
    }

    /// Removes one after the other, then writes a new snapshot. What a bundle keeps stays, and its
    /// bundle is named. The next client that asks for a removed image has it downloaded again.
    pub fn remove(&self, removals: &[Removal]) -> Result<Vec<Removed>, CacheError> {
        let index = IndexRows::of(&self.index)?;
        let mut holdings = Holdings::new(Contents::gather(&self.directory, index, None)?);
        // The old snapshot would restore removed links and tags.
        delete_if_present(&self.disk.snapshot_path())?;
        let mut done = Vec::with_capacity(removals.len());
        for removal in removals {
            done.push(self.carry_out(holdings.plan(removal))?);
        }
        if let Err(error) = self.index.write_snapshot(&self.disk) {
            let error = &error as &dyn Error;
            warn!(error, "cannot write a snapshot of links and tags");
        }
        Ok(done)
    }

    fn carry_out(&self, plan: RemovalPlan) -> Result<Removed, CacheError> {
        plan.carry_out(&self.index, |digest| {
            let unpublished = self.disk.unpublish(digest)?;
            let is_there = unpublished.is_some();
            unpublished.map_or(Ok(()), Unpublished::delete)?;
            Ok(is_there)
        })
    }
}
