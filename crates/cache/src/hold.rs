//! A hold on blobs that another process reads from the files.

use std::sync::Arc;

use manifest_model::Digest;

use crate::storage::Storage;

/// Blobs that are not evicted as long as this lives. Whoever removes them by name does.
#[derive(Debug)]
pub struct Hold {
    storage: Arc<Storage>,
    digests: Vec<Digest>,
}

impl Hold {
    pub(crate) fn of(storage: &Arc<Storage>, digests: Vec<Digest>) -> Self {
        storage.blobs.hold(&digests);
        Self {
            storage: Arc::clone(storage),
            digests,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.storage.blobs.release(&self.digests);
    }
}
