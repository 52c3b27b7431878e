//! [`Cache`]: the crate's one handle.

mod room;
mod uses;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use manifest_model::{Digest, Manifest, Tag};
use tokio::task::spawn_blocking;
use tracing::{error, warn};

pub(crate) use self::room::Room;
use self::uses::Uses;
use crate::{
    Blob, Follower, Joined, RepoKey,
    blobs::Blobs,
    clients::Pulls,
    disk::{Disk, Staged},
    error::CacheError,
    hot::Hot,
    index::{Index, TagEntry},
    survey::ManifestFile,
};

/// Where a cache lives and how much it may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory; made if need be, and owned by one process at a time.
    pub path: PathBuf,
    /// The sum of all blobs and running fills, in bytes, beyond which blobs are evicted. A fill that does not fit beside the
    /// other running ones ends with [`CacheError::Full`].
    pub max_size: u64,
    /// Where an eviction ends: not above `max_size`.
    pub low_water: u64,
    /// Bytes of the file system that are left to others: no download starts, or grows, that would take them.
    pub min_free: u64,
    /// How many fills may run at the same time; further ones wait for a slot.
    pub max_fills: usize,
    /// How many files are kept open for the next reader; those being read come on top.
    pub max_open_files: usize,
}

/// What the cache holds at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all stored blobs.
    pub bytes: u64,
    /// Running fills.
    pub fills: usize,
    /// Bytes evicted since the start.
    pub evicted_bytes: u64,
}

/// The cache. Cheap to clone; all clones are the same cache.
///
/// Methods that are `async` do their disk work on the blocking pool; the others touch the disk for an `open` or a look-up at
/// most. Dropping a future of this type leaves the cache consistent: work handed to the blocking pool runs to its end.
#[derive(Clone, Debug)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    blobs: Arc<Blobs>,
    index: Index,
    hot: Hot,
    options: Options,
    opened: SystemTime,
    bytes: AtomicU64,
    evicted_bytes: AtomicU64,
    uses: Uses,
    pulls: Pulls,
    /// One eviction at a time; a second one would only look at the same rows.
    evicting: Mutex<()>,
    /// One copy of the names at a time.
    copying_names: Mutex<()>,
}

impl Cache {
    /// Opens the directory: takes its lock, sweeps what a crash has left half-written, opens or rebuilds the index. Blocks.
    pub fn open(options: &Options) -> Result<Self, CacheError> {
        let opened = SystemTime::now();
        let disk = Disk::open(&options.path)?;
        let (index, _) = Index::open(&disk)?;
        let bytes = AtomicU64::new(index.bytes()?);
        let inner = Inner {
            blobs: Arc::new(Blobs::new(disk, options.max_fills, options.max_open_files)),
            index,
            hot: Hot::new(),
            options: options.clone(),
            opened,
            bytes,
            evicted_bytes: AtomicU64::new(0),
            uses: Uses::default(),
            pulls: Pulls::default(),
            evicting: Mutex::default(),
            copying_names: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    pub(crate) fn blobs(&self) -> &Arc<Blobs> {
        &self.inner.blobs
    }

    pub(crate) fn index(&self) -> &Index {
        &self.inner.index
    }

    pub(crate) fn hot(&self) -> &Hot {
        &self.inner.hot
    }

    pub(crate) fn copying_names(&self) -> &Mutex<()> {
        &self.inner.copying_names
    }

    pub(crate) fn pulls(&self) -> &Pulls {
        &self.inner.pulls
    }

    /// The stored blob `digest`, if it is stored.
    pub fn stored(&self, digest: &Digest) -> Result<Option<Blob>, CacheError> {
        let known = || known(self.inner.index.size(digest));
        let blob = self.inner.blobs.stored(digest, known)?;
        if blob.is_some() {
            self.used(digest);
        }
        Ok(blob)
    }

    /// The blob `digest` if it is stored, else its running fill, else the duty to fill it.
    ///
    /// Atomic: of any number of callers one leads, and a fill that ends meanwhile is seen as running or as stored.
    pub fn join(&self, digest: &Digest) -> Result<Joined, CacheError> {
        self.used(digest);
        let known = || known(self.inner.index.size(digest));
        self.inner.blobs.join(self, digest, known)
    }

    /// The running fill of `digest`, if there is one.
    pub fn follow(&self, digest: &Digest) -> Option<Follower> {
        self.inner.blobs.follow(digest)
    }

    /// Whether `repo` was seen to contain `digest`. An index that cannot be read has seen nothing: its upstream can say it again.
    pub fn is_linked(&self, repo: &RepoKey, digest: &Digest) -> bool {
        let look = || known(self.inner.index.is_linked(repo, digest));
        self.inner.hot.is_linked(repo, digest, look)
    }

    /// Notes that `repo` contains `digest`: its upstream has said so. Durable when this returns.
    pub async fn link(&self, repo: &RepoKey, digest: &Digest) -> Result<(), CacheError> {
        let (repo, digest) = (repo.clone(), *digest);
        self.blocking(move |cache| Ok(cache.index().link(&repo, &digest)?))
            .await
    }

    /// Remembers that `repo` contains `digest`, until it is noted by [`Self::link`] or forgotten. No disk is asked.
    pub fn link_seen(&self, repo: &RepoKey, digest: &Digest) {
        self.inner.hot.link(repo, digest);
    }

    /// A stored manifest. The caller checks the link first. One that is damaged is taken out, and no longer stored.
    pub async fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, CacheError> {
        let digest = *digest;
        self.blocking(move |cache| match cache.read_manifest(&digest)? {
            ManifestFile::Whole(manifest) => {
                cache.used(&digest);
                Ok(Some(manifest))
            }
            ManifestFile::Damaged => {
                error!(%digest, "a stored manifest is damaged and is taken out");
                cache.blobs().take_out(&digest)?;
                Ok(None)
            }
            ManifestFile::Absent => Ok(None),
        })
        .await
    }

    /// Stores a manifest that `repo`'s upstream served, links it and everything it names to `repo`, and points `tag` at it.
    /// All of it is durable when this returns, or none is visible.
    pub async fn store_manifest(
        &self,
        repo: &RepoKey,
        manifest: &Manifest,
        tag: Option<&Tag>,
    ) -> Result<(), CacheError> {
        let (repo, manifest, tag) = (repo.clone(), manifest.clone(), tag.cloned());
        self.blocking(move |cache| {
            let (digest, bytes) = (manifest.digest(), manifest.bytes());
            let disk = cache.blobs().disk();
            let staged = if cache.holds(&digest, bytes) {
                None
            } else {
                Some(stage(disk, &digest, bytes)?)
            };
            let record = || {
                cache
                    .index()
                    .record_manifest(&repo, &manifest, tag.as_ref())
            };
            match &tag {
                Some(tag) => cache.inner.hot.tag_changes(&repo, tag, record)?,
                None => record()?,
            }
            if let Some(staged) = staged {
                // What stands there, if anything does, is damaged; somebody may have it open.
                cache.blobs().take_out(&digest)?;
                disk.publish(&staged, &digest)?;
            }
            cache.after_growth()
        })
        .await
    }

    /// Whether these very bytes are stored. Others may stand there, or none that can be read: those are to be written anew.
    fn holds(&self, digest: &Digest, bytes: &[u8]) -> bool {
        matches!(self.peek_bytes(digest, bytes.len() as u64), Ok(Some(stored)) if stored == bytes)
    }

    /// Where `tag` pointed when the upstream was last asked. An index that cannot be read knows of none.
    pub fn tag(&self, repo: &RepoKey, tag: &Tag) -> Option<TagEntry> {
        let look = || known(self.inner.index.tag(repo, tag));
        self.inner.hot.tag(repo, tag, look)
    }

    /// A count that grows with every tag that is written: while it stays, so does every tag.
    pub fn tag_writes(&self) -> u64 {
        self.inner.hot.tag_writes()
    }

    /// The upstream has just said that `tag` points at `digest`, which is stored and linked already.
    pub async fn confirm_tag(
        &self,
        repo: &RepoKey,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<(), CacheError> {
        let (repo, tag, digest) = (repo.clone(), tag.clone(), *digest);
        self.blocking(move |cache| {
            let confirm = || cache.index().confirm_tag(&repo, &tag, &digest);
            Ok(cache.inner.hot.tag_changes(&repo, &tag, confirm)?)
        })
        .await
    }

    /// The upstream has just said that there is no such tag.
    pub async fn remove_tag(&self, repo: &RepoKey, tag: &Tag) -> Result<(), CacheError> {
        let (repo, tag) = (repo.clone(), tag.clone());
        self.blocking(move |cache| {
            let remove = || cache.index().remove_tag(&repo, &tag);
            Ok(cache.inner.hot.tag_changes(&repo, &tag, remove)?)
        })
        .await
    }

    /// What the cache holds at this moment.
    pub fn usage(&self) -> Usage {
        Usage {
            bytes: self.inner.bytes.load(Ordering::Relaxed),
            fills: self.inner.blobs.running(),
            evicted_bytes: self.inner.evicted_bytes.load(Ordering::Relaxed),
        }
    }

    /// Syncs a verified file, notes it and makes it visible, in the order a crash forgives. Blocks.
    pub(crate) fn publish_blob(
        &self,
        staged: Staged,
        digest: &Digest,
        size: u64,
    ) -> Result<(), CacheError> {
        staged.sync()?;
        self.inner.index.record_blob(digest, size)?;
        self.inner.blobs.disk().publish(&staged, digest)?;
        drop(staged);
        self.after_growth()
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, CacheError> {
        let cache = self.clone();
        let joined = spawn_blocking(move || work(&cache)).await;
        joined.unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(CacheError::Io {
                action: "work on",
                path: self.inner.blobs.disk().index_path(),
                source,
            })
        })
    }
}

/// What the index says, or nothing where it cannot be read: an outage of the disk must not become one of the proxy.
fn known<T: Default>(row: Result<T, redb::Error>) -> T {
    row.unwrap_or_else(|error| {
        warn!(%error, "the cache index cannot be read");
        T::default()
    })
}

/// Small bodies in one go: written and synced, not yet visible.
fn stage(disk: &Disk, digest: &Digest, bytes: &[u8]) -> Result<Staged, CacheError> {
    let staged = disk.stage(digest)?;
    std::io::Write::write_all(&mut staged.file(), bytes)
        .map_err(CacheError::io("write", staged.path()))?;
    staged.sync()?;
    Ok(staged)
}
