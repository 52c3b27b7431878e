//! What is asked for, remembered in memory and written down in batches.
//!
//! An image in use stays whole: clients that have some of its layers ask for the others only, so the blobs of an image manifest
//! that is asked for move up with it. That is done when uses are written down, at most twice an hour for one manifest.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use manifest_model::{Digest, Manifest};
use moka::sync::Cache as Recent;

use super::Cache;
use crate::error::CacheError;

/// Uses remembered in memory before they are written to the index.
const MAX_PENDING: usize = 8192;

/// How far the last use of a blob may be behind that of an image which has it.
const FOLLOWS_WITHIN: Duration = Duration::from_mins(30);

/// Manifests whose blobs have been moved up of late. About 150 bytes each; one that is forgotten costs a look into its file.
const MAX_FOLLOWED: u64 = 16_384;

#[derive(Debug)]
pub(super) struct Uses {
    pending: Mutex<HashMap<Digest, SystemTime>>,
    followed: Recent<Digest, ()>,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            followed: Recent::builder()
                .max_capacity(MAX_FOLLOWED)
                .time_to_live(FOLLOWS_WITHIN)
                .build(),
        }
    }
}

impl Cache {
    /// Notes that a stored blob or manifest was asked for and answered from elsewhere, as from the caller's memory. No disk is
    /// asked.
    pub fn used(&self, digest: &Digest) {
        let mut pending = self.pending();
        // Beyond the bound a use goes unnoticed until the next flush: eviction gets a little worse, memory does not grow.
        if pending.len() < MAX_PENDING || pending.contains_key(digest) {
            pending.insert(*digest, SystemTime::now());
        }
    }

    /// Writes remembered uses and pulls to the index, so that they survive a restart. Called now and then, and at shutdown.
    pub async fn flush_uses(&self) -> Result<(), CacheError> {
        self.blocking(|cache| {
            cache.write_uses()?;
            cache.write_pulls()
        })
        .await
    }

    pub(super) fn write_uses(&self) -> Result<(), CacheError> {
        let uses = std::mem::take(&mut *self.pending());
        if uses.is_empty() {
            return Ok(());
        }
        for (digest, used) in &uses {
            self.keep_image_up(digest, *used)?;
        }
        Ok(self.inner.index.touch(uses)?)
    }

    /// The blobs of `digest`, if that is an image's manifest. An index moves nothing: which of its images is in use, their own
    /// manifests say.
    fn keep_image_up(&self, digest: &Digest, used: SystemTime) -> Result<(), CacheError> {
        let followed = &self.inner.uses.followed;
        if followed.contains_key(digest) {
            return Ok(());
        }
        let Some(stored) = self.peek_manifest(digest)? else {
            return Ok(());
        };
        followed.insert(*digest, ());
        let parsed = Manifest::parse(stored.bytes, Some(&stored.media_type), digest.algorithm());
        // One that is damaged has nothing to keep; who asks for it will find out.
        if let Ok(image) = parsed
            && !image.is_index()
        {
            let blobs: Vec<Digest> = image.links().map(|link| link.digest).collect();
            self.inner.index.keep_up(&blobs, used)?;
        }
        Ok(())
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, SystemTime>> {
        let pending = self.inner.uses.pending.lock();
        pending.unwrap_or_else(PoisonError::into_inner)
    }
}
