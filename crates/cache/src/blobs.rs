//! The only door to blobs: a stored one, one that is on its way, or the duty to fetch it.

mod fill;
mod follow;
mod open;
mod progress;
mod queue;
mod reserved;
mod spans;
mod writer;

use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use manifest_model::Digest;
use tokio::sync::Semaphore;
use tracing::error;

pub(crate) use self::reserved::{Reservations, Reserved};
pub use self::{
    fill::Fill,
    follow::{Blob, BlobStream, Follower, ReadBy},
    progress::{HOLD_BACK, Wishes},
    queue::{Closed, FillWriter},
    spans::Spans,
};
use self::{open::OpenFiles, progress::Running};
use crate::{
    OpenFile,
    disk::{Disk, Withdrawn},
    error::CacheError,
};

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
    reserved: Reservations,
}

#[derive(Debug)]
struct State {
    /// At most one fill per digest; its guard takes it out.
    running: HashMap<Digest, Arc<Running>>,
    open: OpenFiles,
}

impl Blobs {
    pub(crate) fn new(disk: Disk, max_fills: usize, max_open_files: usize) -> Self {
        Self {
            disk,
            state: Mutex::new(State {
                running: HashMap::new(),
                open: OpenFiles::new(max_open_files),
            }),
            slots: Arc::new(Semaphore::new(max_fills)),
            reserved: Reservations::default(),
        }
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn running(&self) -> usize {
        self.state().running.len()
    }

    pub(crate) fn is_running(&self, digest: &Digest) -> bool {
        self.state().running.contains_key(digest)
    }

    /// Bytes that running fills will take.
    pub(crate) fn reserved(&self) -> &Reservations {
        &self.reserved
    }

    /// The lock is held for map operations and an `open` at most; nobody panics under it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file of a stored blob. `known` asks the index for its size and is only asked when the file is opened.
    fn open(
        self: &Arc<Self>,
        state: &mut State,
        digest: &Digest,
        known: impl FnOnce() -> Option<u64>,
    ) -> Result<Option<Blob>, CacheError> {
        if let Some((file, size)) = state.open.get(digest) {
            return Ok(Some(Blob::new(file, size)));
        }
        let Some((file, size)) = self.find(&mut state.open, digest, known)? else {
            return Ok(None);
        };
        let file = Arc::new(OpenFile::new(*digest, file, Some(size), self));
        state.open.insert(*digest, Arc::clone(&file), size);
        Ok(Some(Blob::new(file, size)))
    }

    /// A stored file of the size the index knows; one of another size has been damaged, and is taken out. Where the process may
    /// open no more files, those nobody reads make way.
    fn find(
        &self,
        open: &mut OpenFiles,
        digest: &Digest,
        known: impl FnOnce() -> Option<u64>,
    ) -> Result<Option<(File, u64)>, CacheError> {
        let found = match self.disk.find(digest) {
            Err(error) if error.is_out_of_files() && open.close_idle() => self.disk.find(digest),
            found => found,
        };
        let Some((file, size)) = found? else {
            return Ok(None);
        };
        match known() {
            Some(known) if size != known => {
                error!(%digest, size, known, "a stored blob has changed its size and is taken out");
                if let Some(damaged) = self.disk.withdraw(digest)? {
                    damaged.delete()?;
                }
                Ok(None)
            }
            _ => Ok(Some((file, size))),
        }
    }

    /// The blob if it is stored; `known` is the size in the index.
    pub(crate) fn stored(
        self: &Arc<Self>,
        digest: &Digest,
        known: impl FnOnce() -> Option<u64>,
    ) -> Result<Option<Blob>, CacheError> {
        self.open(&mut self.state(), digest, known)
    }

    /// Decides and acts under one lock: a fill that ends meanwhile is seen either as running or as stored, never as neither.
    pub(crate) fn join(
        self: &Arc<Self>,
        cache: &crate::Cache,
        digest: &Digest,
        known: impl FnOnce() -> Option<u64>,
    ) -> Result<Joined, CacheError> {
        let mut state = self.state();
        if let Some(running) = state.running.get(digest) {
            return Ok(Joined::Following(Follower::new(*digest, running)));
        }
        if let Some(blob) = self.open(&mut state, digest, known)? {
            return Ok(Joined::Stored(blob));
        }
        let running = Arc::new(Running::new());
        state.running.insert(*digest, Arc::clone(&running));
        let follower = Follower::new(*digest, &running);
        Ok(Joined::Leading(
            Fill::new(cache.clone(), *digest, running),
            follower,
        ))
    }

    /// The running fill of `digest`, for one who would follow it but not start it.
    pub(crate) fn follow(&self, digest: &Digest) -> Option<Follower> {
        let state = self.state();
        let running = state.running.get(digest)?;
        Some(Follower::new(*digest, running))
    }

    /// Ends a fill. What it has stored is open already.
    fn retire(&self, digest: &Digest, stored: Option<(Arc<OpenFile>, u64)>) {
        let mut state = self.state();
        state.running.remove(digest);
        if let Some((file, size)) = stored.filter(|(file, size)| file.is_fit_for(*size)) {
            state.open.insert(*digest, file, size);
        }
    }

    /// Takes `digest` out of sight unless somebody reads or fills it. The answer says whether it may be forgotten.
    pub(crate) fn withdraw(&self, digest: &Digest) -> Result<Withdrawal, CacheError> {
        let mut state = self.state();
        if state.running.contains_key(digest) || !state.open.close(digest) {
            return Ok(Withdrawal::InUse);
        }
        Ok(self
            .disk
            .withdraw(digest)?
            .map_or(Withdrawal::Absent, Withdrawal::Done))
    }

    /// Takes a damaged blob out, whoever reads it.
    pub(crate) fn take_out(&self, digest: &Digest) -> Result<(), CacheError> {
        let withdrawn = {
            let mut state = self.state();
            state.open.forget(digest);
            self.disk.withdraw(digest)?
        };
        withdrawn.map_or(Ok(()), Withdrawn::delete)
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
