//! Uses of blobs, noted in memory and written to the index in batches.
//!
//! An image in use stays whole: a client that has some of its layers asks only for the others, so
//! the blobs of an image move up the order with its manifest. A flush does that, at most twice an
//! hour for one manifest; an eviction writes the uses alone.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use cache_store::{
    CacheError,
    disk::Disk,
    index::{Index, UsedImage},
    manifest_file::{self, ManifestFile},
};
use manifest_model::Digest;
use moka::sync::Cache as RecentlySeen;
use parking_lot::Mutex;
use tracing::debug;

/// Uses noted in memory before they are written to the index.
const MAX_PENDING: usize = 8192;

/// Images whose blobs one transaction moves up.
const IMAGES_PER_TRANSACTION: usize = 256;

/// How far the last use of a blob may be behind that of its image.
const MAX_USE_LAG: Duration = Duration::from_mins(30);

/// Manifests whose blobs were moved up recently, about 150 bytes each. A manifest beyond the bound
/// costs one read of its file.
const MAX_MOVED: u64 = 16_384;

#[derive(Debug)]
pub(crate) struct Uses {
    pending: Mutex<HashMap<Digest, SystemTime>>,
    /// Manifests whose use is written; the next flush moves their blobs up.
    blobs_pending: Mutex<HashMap<Digest, SystemTime>>,
    moved: RecentlySeen<Digest, ()>,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            blobs_pending: Mutex::default(),
            moved: RecentlySeen::builder()
                .max_capacity(MAX_MOVED)
                .time_to_live(MAX_USE_LAG)
                .build(),
        }
    }
}

impl Uses {
    /// Notes a use of a stored blob or manifest. Needs no disk.
    pub(crate) fn note(&self, digest: &Digest) {
        let mut pending = self.pending.lock();
        // Uses beyond the bound are lost until the next flush: eviction chooses a little worse, but
        // memory does not grow.
        if pending.len() < MAX_PENDING || pending.contains_key(digest) {
            pending.insert(*digest, SystemTime::now());
        }
    }

    /// Writes the noted uses. Blocks.
    pub(crate) fn write(&self, index: &Index) -> Result<(), CacheError> {
        let uses = self.take_pending();
        if uses.is_empty() {
            return Ok(());
        }
        let manifests = self.touch(index, uses, &[])?;
        let mut blobs_pending = self.blobs_pending.lock();
        for (digest, used) in manifests {
            if blobs_pending.len() < MAX_PENDING || blobs_pending.contains_key(&digest) {
                blobs_pending.insert(digest, used);
            }
        }
        Ok(())
    }

    /// Writes the noted uses and moves the blobs of used images up with them. Blocks.
    pub(crate) fn write_with_images(&self, index: &Index, disk: &Disk) -> Result<(), CacheError> {
        let mut candidates = std::mem::take(&mut *self.blobs_pending.lock());
        let uses = self.take_pending();
        candidates.extend(uses.iter().copied());
        candidates.retain(|digest, _| !self.moved.contains_key(digest));
        let candidates = candidates.into_iter();
        let images: Vec<UsedImage> = candidates
            .filter_map(|(digest, used)| used_image(index, disk, digest, used))
            .collect();
        if uses.is_empty() && images.is_empty() {
            return Ok(());
        }
        let (first, others) = images.split_at(images.len().min(IMAGES_PER_TRANSACTION));
        self.touch(index, uses, first)?;
        for batch in others.chunks(IMAGES_PER_TRANSACTION) {
            self.touch(index, Vec::new(), batch)?;
        }
        Ok(())
    }

    /// Returns the uses of manifests. If the index cannot be written, the uses stay pending.
    fn touch(
        &self,
        index: &Index,
        uses: Vec<(Digest, SystemTime)>,
        images: &[UsedImage],
    ) -> Result<Vec<(Digest, SystemTime)>, CacheError> {
        match index.order.touch(&uses, images) {
            Ok(manifests) => {
                for image in images {
                    self.moved.insert(image.manifest, ());
                }
                Ok(manifests)
            }
            Err(error) => {
                let mut pending = self.pending.lock();
                for (digest, used) in uses {
                    if pending.len() < MAX_PENDING {
                        // A use noted meanwhile is later.
                        pending.entry(digest).or_insert(used);
                    }
                }
                Err(error.into())
            }
        }
    }

    fn take_pending(&self) -> Vec<(Digest, SystemTime)> {
        std::mem::take(&mut *self.pending.lock())
            .into_iter()
            .collect()
    }
}

/// The image, if `digest` is a manifest. An image index moves nothing: the manifests of its images
/// tell which of them are in use. An unreadable manifest moves nothing either.
fn used_image(index: &Index, disk: &Disk, digest: Digest, used: SystemTime) -> Option<UsedImage> {
    let read = || -> Result<_, CacheError> {
        match index.media_types.get(&digest)? {
            Some(media_type) => manifest_file::read(disk, &digest, &media_type),
            None => Ok(ManifestFile::Absent),
        }
    };
    let manifest = match read() {
        Ok(ManifestFile::Whole(manifest)) => manifest,
        Ok(ManifestFile::Absent | ManifestFile::Damaged) => return None,
        Err(error) => {
            debug!(%digest, %error, "cannot read which blobs a used manifest names");
            return None;
        }
    };
    let blobs = if manifest.is_index() {
        Vec::new()
    } else {
        manifest.links().map(|link| link.digest).collect()
    };
    Some(UsedImage {
        manifest: digest,
        blobs,
        used,
    })
}
