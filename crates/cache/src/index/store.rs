//! The open store, and its return after an input or output error.
//!
//! After a write that failed (a full disk), redb refuses everything until it is opened again. It is opened again here, as soon as
//! somebody asks: what was committed before is there, and a disk that has room again is written to again.

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use redb::{
    Database, Error, ReadTransaction, ReadableDatabase, TransactionError, WriteTransaction,
};
use tracing::{info, warn};

use super::Outcome;

/// Pages the store keeps in memory. The tables' hot parts are small; the rest is the page cache's business.
const PAGE_CACHE: usize = 8 * 1024 * 1024;

/// The least time between two tries to open it again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    state: RwLock<State>,
}

#[derive(Debug)]
enum State {
    Open(Database),
    /// It has failed; opening it again was last tried then.
    Failed(Option<Instant>),
}

impl Store {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        Ok(Self {
            path: path.to_owned(),
            state: RwLock::new(State::Open(open(path)?)),
        })
    }

    pub(super) fn begin_read(&self) -> Outcome<ReadTransaction> {
        self.begin(Database::begin_read)
    }

    pub(super) fn begin_write(&self) -> Outcome<WriteTransaction> {
        self.begin(Database::begin_write)
    }

    /// To be told of every error of a write: after some of them the store has to be opened again.
    pub(super) fn failed(&self, error: &Error) {
        if matches!(error, Error::Io(_) | Error::PreviousIo) {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if matches!(*state, State::Open(_)) {
                *state = State::Failed(None);
            }
        }
    }

    /// Gives back the file's free space, where there is some.
    pub(super) fn compact(&mut self) -> Outcome<()> {
        let state = self.state.get_mut();
        if let State::Open(database) = state.unwrap_or_else(PoisonError::into_inner) {
            database.compact()?;
        }
        Ok(())
    }

    fn begin<T>(&self, begin: impl Fn(&Database) -> Result<T, TransactionError>) -> Outcome<T> {
        if let State::Open(database) = &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(begin(database)?);
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Failed(tried) = *state {
            if tried.is_some_and(|tried| tried.elapsed() < RETRY) {
                return Err(Error::PreviousIo);
            }
            *state = State::Failed(Some(Instant::now()));
            let database = open(&self.path)
                .inspect_err(|error| warn!(%error, "the cache index cannot be opened again yet"))?;
            info!("the cache index was opened again after an error");
            *state = State::Open(database);
        }
        match &*state {
            State::Open(database) => Ok(begin(database)?),
            State::Failed(_) => Err(Error::PreviousIo),
        }
    }
}

fn open(path: &Path) -> Outcome<Database> {
    Ok(Database::builder()
        .set_cache_size(PAGE_CACHE)
        .create(path)?)
}
