//! What is asked for, remembered in memory and written down in batches.
//!
//! An image in use stays whole: clients that have some of its layers ask for the others only, so the blobs of an image manifest
//! that is asked for move up with it. That is done when uses are flushed, at most twice an hour for one manifest; an eviction writes
//! down the uses alone.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use manifest_model::Digest;
use moka::sync::Cache as Recent;
use tracing::debug;

use super::Cache;
use crate::{error::CacheError, index::Followed};

/// Uses remembered in memory before they are written to the index.
const MAX_PENDING: usize = 8192;

/// Images whose blobs are moved up by one transaction.
const BATCH: usize = 256;

/// How far the last use of a blob may be behind that of an image which has it.
const FOLLOWS_WITHIN: Duration = Duration::from_mins(30);

/// Manifests whose blobs have been moved up of late. About 150 bytes each; one that is forgotten costs a look into its file.
const MAX_FOLLOWED: u64 = 16_384;

#[derive(Debug)]
pub(super) struct Uses {
    pending: Mutex<HashMap<Digest, SystemTime>>,
    /// Manifests whose use is written down, and whose blobs are to be moved up by the next flush.
    ahead: Mutex<HashMap<Digest, SystemTime>>,
    followed: Recent<Digest, ()>,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            ahead: Mutex::default(),
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
            cache.write_uses_and_follow()?;
            cache.write_pulls()
        })
        .await
    }

    /// Writes remembered uses and pulls to the index for somebody who wants to see them. What follows from them, the next
    /// [`Self::flush_uses`] does.
    pub async fn write_down(&self) -> Result<(), CacheError> {
        self.blocking(|cache| {
            cache.write_uses()?;
            cache.write_pulls()
        })
        .await
    }

    pub(super) fn write_uses(&self) -> Result<(), CacheError> {
        let uses = self.take_uses();
        if uses.is_empty() {
            return Ok(());
        }
        let manifests = self.touch(uses, &[])?;
        let mut ahead = lock(&self.inner.uses.ahead);
        for (digest, used) in manifests {
            if ahead.len() < MAX_PENDING || ahead.contains_key(&digest) {
                ahead.insert(digest, used);
            }
        }
        Ok(())
    }

    fn write_uses_and_follow(&self) -> Result<(), CacheError> {
        let mut asked = std::mem::take(&mut *lock(&self.inner.uses.ahead));
        let uses = self.take_uses();
        asked.extend(uses.iter().copied());
        let followed = &self.inner.uses.followed;
        asked.retain(|digest, _| !followed.contains_key(digest));
        let asked = asked.into_iter();
        let images: Vec<Followed> = asked
            .filter_map(|(digest, used)| self.to_follow(&digest, used))
            .collect();
        if uses.is_empty() && images.is_empty() {
            return Ok(());
        }
        let (first, others) = images.split_at(images.len().min(BATCH));
        self.touch(uses, first)?;
        for batch in others.chunks(BATCH) {
            self.touch(Vec::new(), batch)?;
        }
        Ok(())
    }

    /// The answer is those uses that were a manifest's. Where the index cannot be written, they wait for the next time.
    fn touch(
        &self,
        uses: Vec<(Digest, SystemTime)>,
        images: &[Followed],
    ) -> Result<Vec<(Digest, SystemTime)>, CacheError> {
        match self.inner.index.touch(&uses, images) {
            Ok(manifests) => {
                for image in images {
                    self.inner.uses.followed.insert(image.manifest, ());
                }
                Ok(manifests)
            }
            Err(error) => {
                let mut pending = self.pending();
                for (digest, used) in uses {
                    if pending.len() < MAX_PENDING {
                        // One that came meanwhile is later.
                        pending.entry(digest).or_insert(used);
                    }
                }
                Err(error.into())
            }
        }
    }

    /// The blobs of `digest`, if that is a manifest. An index moves nothing: which of its images is in use, their own manifests
    /// say. One that cannot be read moves nothing either: who asks for it will find out.
    fn to_follow(&self, digest: &Digest, used: SystemTime) -> Option<Followed> {
        let stored = match self.peek_manifest(digest) {
            Ok(stored) => stored?,
            Err(error) => {
                debug!(%digest, %error, "the blobs of a manifest in use cannot be told");
                return None;
            }
        };
        let blobs = if stored.is_index() {
            Vec::new()
        } else {
            stored.links().map(|link| link.digest).collect()
        };
        Some(Followed {
            manifest: *digest,
            blobs,
            used,
        })
    }

    fn take_uses(&self) -> Vec<(Digest, SystemTime)> {
        std::mem::take(&mut *self.pending()).into_iter().collect()
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Digest, SystemTime>> {
        lock(&self.inner.uses.pending)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
