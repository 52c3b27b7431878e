//! The only door to blobs: a stored one, one that is on its way, or the duty to fetch it.

mod fill;
mod follow;

use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use manifest_model::Digest;
use tokio::sync::Semaphore;
use tracing::error;

pub use self::{
    fill::{Fill, HOLD_BACK, Progress},
    follow::{Blob, BlobStream, Follower},
};
use crate::{
    disk::{Disk, Withdrawn},
    error::CacheError,
};
use fill::Running;

/// What [`crate::Cache::join`] found.
#[derive(Debug)]
pub enum Joined {
    /// It is stored.
    Stored(Blob),
    /// Somebody is fetching it already.
    Following(Follower),
    /// Nobody is: the caller now owes the fill its bytes, and reads them like everyone else.
    Leading(Fill, Follower),
}

/// The blobs that are stored, being filled, or being read. Shared by all handles of one cache.
#[derive(Debug)]
pub(crate) struct Blobs {
    disk: Disk,
    state: Mutex<State>,
    /// One permit per fill that may run at the same time.
    slots: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    /// At most one fill per digest; its guard takes it out.
    running: HashMap<Digest, Arc<Running>>,
    /// How many readers hold each digest. Absent means none.
    readers: HashMap<Digest, usize>,
}

impl Blobs {
    pub(crate) fn new(disk: Disk, max_fills: usize) -> Self {
        Self {
            disk,
            state: Mutex::default(),
            slots: Arc::new(Semaphore::new(max_fills)),
        }
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn running(&self) -> usize {
        self.state().running.len()
    }

    /// The lock is held for map operations and an `open` at most; nobody panics under it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stored file of the size the index knows; one of another size has been damaged, and is taken out.
    fn find(&self, digest: &Digest, known: Option<u64>) -> Result<Option<(File, u64)>, CacheError> {
        match (self.disk.find(digest)?, known) {
            (Some((_, size)), Some(known)) if size != known => {
                error!(%digest, size, known, "a stored blob has changed its size and is taken out");
                if let Some(damaged) = self.disk.withdraw(digest)? {
                    damaged.delete()?;
                }
                Ok(None)
            }
            (found, _) => Ok(found),
        }
    }

    /// `known` is the size in the index.
    pub(crate) fn stored(
        self: &Arc<Self>,
        digest: &Digest,
        known: Option<u64>,
    ) -> Result<Option<Blob>, CacheError> {
        let mut state = self.state();
        let Some((file, size)) = self.find(digest, known)? else {
            return Ok(None);
        };
        Ok(Some(self.blob(&mut state, *digest, file, size)))
    }

    /// Decides and acts under one lock: a fill that ends meanwhile is seen either as running or as stored, never as neither.
    pub(crate) fn join(
        self: &Arc<Self>,
        cache: &crate::Cache,
        digest: &Digest,
        known: Option<u64>,
    ) -> Result<Joined, CacheError> {
        let mut state = self.state();
        if let Some(running) = state.running.get(digest).cloned() {
            let pin = self.pin(&mut state, *digest);
            return Ok(Joined::Following(Follower::new(&running, pin)));
        }
        if let Some((file, size)) = self.find(digest, known)? {
            return Ok(Joined::Stored(self.blob(&mut state, *digest, file, size)));
        }
        let running = Arc::new(Running::new());
        state.running.insert(*digest, Arc::clone(&running));
        let pin = self.pin(&mut state, *digest);
        let follower = Follower::new(&running, pin);
        Ok(Joined::Leading(
            Fill::new(cache.clone(), *digest, running),
            follower,
        ))
    }

    /// The running fill of `digest`, for one who would follow it but not start it.
    pub(crate) fn follow(self: &Arc<Self>, digest: &Digest) -> Option<Follower> {
        let mut state = self.state();
        let running = state.running.get(digest).cloned()?;
        let pin = self.pin(&mut state, *digest);
        Some(Follower::new(&running, pin))
    }

    fn blob(self: &Arc<Self>, state: &mut State, digest: Digest, file: File, size: u64) -> Blob {
        Blob::new(Arc::new(file), size, self.pin(state, digest))
    }

    fn pin(self: &Arc<Self>, state: &mut State, digest: Digest) -> Pin {
        *state.readers.entry(digest).or_default() += 1;
        Pin {
            blobs: Arc::clone(self),
            digest,
        }
    }

    fn retire(&self, digest: &Digest) {
        self.state().running.remove(digest);
    }

    /// Takes `digest` out of sight unless somebody reads or fills it. The answer says whether it may be forgotten.
    pub(crate) fn withdraw(&self, digest: &Digest) -> Result<Withdrawal, CacheError> {
        let state = self.state();
        if state.readers.contains_key(digest) || state.running.contains_key(digest) {
            return Ok(Withdrawal::InUse);
        }
        Ok(self
            .disk
            .withdraw(digest)?
            .map_or(Withdrawal::Absent, Withdrawal::Done))
    }
}

/// What became of an attempt to evict.
#[derive(Debug)]
pub(crate) enum Withdrawal {
    /// Somebody needs it now: leave it.
    InUse,
    /// There was no file.
    Absent,
    /// Out of sight; delete it.
    Done(Withdrawn),
}

/// Keeps a digest from eviction while it is read.
#[derive(Debug)]
struct Pin {
    blobs: Arc<Blobs>,
    digest: Digest,
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        self.blobs.pin(&mut self.blobs.state(), self.digest)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.blobs.state();
        if let Some(count) = state.readers.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                state.readers.remove(&self.digest);
            }
        }
    }
}
