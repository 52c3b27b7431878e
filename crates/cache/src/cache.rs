//! [`Cache`]: the front of the crate, over the parts that own the state.

mod manifests;
mod upkeep;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_store::{
    CacheError,
    index::answer_or_default,
    manifest_file::{self, ManifestFile},
};
use manifest_model::{Digest, Manifest};

use crate::{
    Blob, Clients, Follower, Hold, Imports, Learned, NextRow, Options, Ranking, RepoKey, Usage,
    blobs::Claim,
    blocking::blocking,
    fill::{Fill, Publisher},
    inspect::IndexCopy,
    storage::Storage,
};

/// The cache. Cheap to clone; all clones are the same cache.
///
/// `async` methods do their disk work on the blocking pool. Others touch the disk for an `open` or
/// a look-up at most, unless they say that they block. Dropping a future of this type leaves the
/// cache consistent: work handed to the blocking pool runs to its end.
#[derive(Clone, Debug)]
pub struct Cache {
    storage: Arc<Storage>,
}

/// The answer of [`Cache::join`].
#[derive(Debug)]
pub enum Joined {
    /// The blob is stored.
    Stored(Blob),
    /// A fill is running already.
    Following(Follower),
    /// No fill was running: the caller now owes the fill its bytes, and reads them like everyone
    /// else.
    Leading(Fill, Follower),
}

impl Cache {
    /// Opens the directory: takes its lock, sweeps the half-written files of a crash, opens or
    /// rebuilds the index. Blocks.
    pub fn open(options: &Options) -> Result<Self, CacheError> {
        Ok(Self {
            storage: Arc::new(Storage::open(options)?),
        })
    }

    /// The blob `digest`, if it is stored.
    pub fn stored(&self, digest: &Digest) -> Result<Option<Blob>, CacheError> {
        let recorded = || self.recorded_size(digest);
        let blob = self.storage.blobs.stored(digest, recorded)?;
        if blob.is_some() {
            self.used(digest);
        }
        Ok(blob)
    }

    /// The blob `digest`, if it is stored, for work that is no use of it.
    pub fn peek(&self, digest: &Digest) -> Result<Option<Blob>, CacheError> {
        let recorded = || self.recorded_size(digest);
        self.storage.blobs.stored(digest, recorded)
    }

    /// The blob `digest` if it is stored, else its running fill, else the duty to fill it.
    ///
    /// Atomic: exactly one of any number of callers leads, and a fill that ends meanwhile is seen
    /// as running or as stored.
    pub fn join(&self, digest: &Digest) -> Result<Joined, CacheError> {
        let recorded = || self.recorded_size(digest);
        Ok(match self.storage.blobs.claim(digest, recorded)? {
            Claim::Stored(blob) => {
                self.used(digest);
                Joined::Stored(blob)
            }
            Claim::Following(follower) => {
                self.used(digest);
                Joined::Following(follower)
            }
            // Its use is recorded with the blob.
            Claim::Leading(running, follower) => {
                let publisher = Publisher::new(&self.storage);
                Joined::Leading(Fill::new(publisher, *digest, running), follower)
            }
        })
    }

    fn recorded_size(&self, digest: &Digest) -> Option<u64> {
        answer_or_default(self.storage.index.rows.size(digest))
    }

    /// The running fill of `digest`, if there is one.
    pub fn follow(&self, digest: &Digest) -> Option<Follower> {
        self.storage.blobs.follow(digest)
    }

    /// Notes a use of a stored blob or manifest that was answered from elsewhere, such as the
    /// caller's memory. Needs no disk.
    pub fn used(&self, digest: &Digest) {
        self.storage.uses.note(digest);
    }

    /// The size of the blob `digest`, if it is stored, or its digest has matched and it is about to
    /// be: whoever has read its end finds it here. Not a use. Blocks for a look into the directory.
    pub fn peek_size(&self, digest: &Digest) -> Result<Option<u64>, CacheError> {
        // In this order: a fill ends after its file has its name.
        match self.storage.blobs.complete(digest) {
            Some((_, size)) => Ok(Some(size)),
            None => self.storage.disk.size(digest),
        }
    }

    /// Whether the blob `digest` is here and `repo`'s upstream has proved that it has it, so that it
    /// can be read through `repo` without that upstream. What cannot be looked up is not here. Not a
    /// use. Blocks as [`Self::peek_size`] does.
    pub fn is_readable(&self, repo: &RepoKey, digest: &Digest) -> bool {
        self.is_confirmed(repo, digest) && matches!(self.peek_size(digest), Ok(Some(_)))
    }

    /// The content of a blob of at most `max_size` bytes that is here, as [`Self::peek_size`] means
    /// it; the size that a manifest gives proves nothing. Not a use. Blocks.
    pub fn peek_bytes(&self, digest: &Digest, max_size: u64) -> Result<Option<Bytes>, CacheError> {
        // In this order: a fill ends after its file has its name.
        match self.storage.blobs.complete(digest) {
            Some((_, size)) if size > max_size => Ok(None),
            Some((file, size)) => {
                let bytes = file.read_whole(size);
                bytes
                    .map(Some)
                    .map_err(CacheError::io("read", self.folder()))
            }
            None => self.storage.disk.read_whole(digest, max_size),
        }
    }

    /// Like [`Cache::manifest`], but not a use, and a damaged manifest stays. Blocks.
    pub fn peek_manifest(&self, digest: &Digest) -> Result<Option<Manifest>, CacheError> {
        match self.read_manifest(digest)? {
            ManifestFile::Whole(manifest) => Ok(Some(manifest)),
            ManifestFile::Absent | ManifestFile::Damaged => Ok(None),
        }
    }

    fn read_manifest(&self, digest: &Digest) -> Result<ManifestFile, CacheError> {
        match self.storage.index.media_types.get(digest)? {
            Some(media_type) => manifest_file::read(&self.storage.disk, digest, &media_type),
            None => Ok(ManifestFile::Absent),
        }
    }

    /// When a stored blob was last used. Uses that are not written yet do not count.
    pub fn last_used(&self, digest: &Digest) -> Result<Option<SystemTime>, CacheError> {
        Ok(self.storage.index.rows.last_used(digest)?)
    }

    /// A blob as the order of eviction has it, if the index knows it. Uses that are not written yet do
    /// not count. Blocks for a look-up.
    pub fn ranked(&self, digest: &Digest) -> Result<Option<NextRow>, CacheError> {
        Ok(self.storage.index.rows.ranked(digest)?)
    }

    /// The directory, for files of other parts that live as long as the cache.
    pub fn folder(&self) -> &Path {
        self.storage.disk.root()
    }

    /// The bound on the sum of all blobs and running fills.
    pub fn max_size(&self) -> u64 {
        self.storage.max_size()
    }

    /// Bytes of the file system that are left to others.
    pub fn min_free(&self) -> u64 {
        self.storage.min_free()
    }

    /// The cache's size at this moment.
    pub fn usage(&self) -> Usage {
        self.storage.usage()
    }

    /// How many clients have pulled which manifest.
    pub fn clients(&self) -> &Clients {
        &self.storage.index.clients
    }

    /// The kinds that are pulled at each place, and how often.
    pub fn learned(&self) -> &Learned {
        &self.storage.index.learned
    }

    /// Adds one pull of `kind` at `place` to [`Self::learned`], after earlier ones have decayed by
    /// `half_life`. A place must not contain a NUL.
    pub async fn learn(
        &self,
        place: String,
        kind: String,
        half_life: Duration,
    ) -> Result<(), CacheError> {
        let record = move |cache: &Self| {
            let learned = &cache.storage.index.learned;
            Ok(learned.record(&place, &kind, half_life)?)
        };
        self.blocking(record).await
    }

    /// Removes the weights of [`Self::learned`] that have decayed to nothing.
    pub async fn sweep_learned(&self, half_life: Duration) -> Result<(), CacheError> {
        self.blocking(move |cache| Ok(cache.storage.index.learned.remove_decayed(half_life)?))
            .await
    }

    /// All that the index says at this moment, for another process.
    pub async fn index_copy(&self) -> Result<IndexCopy, CacheError> {
        self.blocking(|cache| IndexCopy::of(&cache.storage.index))
            .await
    }

    /// The next number of a bundle in a series that is exported from this cache, at least `least`.
    /// It is not given again. Durable when this returns.
    pub async fn next_in_series(&self, series: String, least: u64) -> Result<u64, CacheError> {
        self.blocking(move |cache| {
            let bundles = &cache.storage.index.bundles;
            Ok(bundles.next_in_series(&series, least)?)
        })
        .await
    }

    /// What bundles brought, and bring.
    pub fn imports(&self) -> Imports {
        Imports::new(&self.storage)
    }

    /// Keeps blobs, stored or not, from eviction as long as the answer lives.
    pub fn hold(&self, digests: Vec<Digest>) -> Hold {
        Hold::of(&self.storage, digests)
    }

    /// Waits until none of these is on its way any more. Cancel safe.
    pub async fn settled(&self, digests: &[Digest]) {
        for digest in digests {
            while let Some(follower) = self.follow(digest) {
                follower.looking_on().ended().await;
            }
        }
    }

    /// The blobs that are evicted before all others.
    pub fn ranking(&self) -> &Ranking {
        &self.storage.index.ranking
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, CacheError> {
        let cache = self.clone();
        blocking(move || work(&cache)).await
    }
}
