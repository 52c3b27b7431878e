//! What bundles brought: it arrives unseen, becomes visible at once, and stays until its bundle is
//! removed.

use std::{fs::File, sync::Arc};

use cache_store::{
    CacheError,
    disk::CarriedBlob,
    index::{Arrival, BundleRow, ListedBundle},
};
use manifest_model::Digest;

use crate::{intake::Intake, storage::Storage};

/// The bundles of a cache. Cheap to clone; all clones are of the same cache. Every method blocks.
#[derive(Clone, Debug)]
pub struct Imports {
    storage: Arc<Storage>,
}

impl Imports {
    pub(crate) fn new(storage: &Arc<Storage>) -> Self {
        Self {
            storage: Arc::clone(storage),
        }
    }

    /// The bundles that are here or on their way, by id.
    pub fn all(&self) -> Result<Vec<BundleRow>, CacheError> {
        Ok(self.storage.index.bundles.all()?)
    }

    /// The same, each with what it keeps.
    pub fn list(&self) -> Result<Vec<ListedBundle>, CacheError> {
        Ok(self.storage.index.bundles.list()?)
    }

    /// Removes bundles and their pins. What they brought stays until it is evicted or removed: the
    /// answer is what no bundle pins any more.
    pub fn remove(&self, bundles: &[Digest]) -> Result<Vec<Digest>, CacheError> {
        Ok(self.storage.index.bundles.remove(bundles)?)
    }

    /// Every pin: the blob, stored or not, and the bundle.
    pub fn pins(&self) -> Result<Vec<(Digest, Digest)>, CacheError> {
        Ok(self.storage.index.bundles.pins()?)
    }

    /// Records a bundle that begins to arrive, and pins its blobs, stored or not. Done again, it
    /// changes nothing. Durable when this returns.
    pub fn begin(&self, bundle: &BundleRow, blobs: &[Digest]) -> Result<(), CacheError> {
        Ok(self.storage.index.bundles.begin(bundle, blobs)?)
    }

    /// Adds blobs that lie in a file of the bundle, and are read from there as long as this process
    /// lives. Whether their bytes are sound is found out when each is read first.
    pub fn carry(
        &self,
        file: &Arc<File>,
        blobs: impl Iterator<Item = (Digest, u64, u64)>,
    ) -> Result<(), CacheError> {
        let (mut rows, mut carried) = (Vec::new(), Vec::new());
        for (digest, size, start) in blobs {
            rows.push((digest, size));
            let file = Arc::clone(file);
            carried.push((digest, CarriedBlob { file, start, size }));
        }
        self.storage.index.rows.record_blobs(&rows)?;
        self.storage.disk.carry(carried.into_iter());
        Ok(())
    }

    /// A way in for its blobs.
    pub fn intake(&self) -> Intake {
        Intake::new(&self.storage)
    }

    /// Records that `bundle` left these out of the indexes that it brings.
    pub fn leave_out(&self, bundle: &Digest, manifests: &[Digest]) -> Result<(), CacheError> {
        Ok(self.storage.index.left_out.record(bundle, manifests)?)
    }

    /// Makes all that a bundle brings visible, in one transaction. Durable when this returns.
    pub fn complete(&self, arrival: &Arrival) -> Result<(), CacheError> {
        Ok(self.storage.index.record_arrival(arrival)?)
    }
}
