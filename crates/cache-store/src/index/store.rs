//! The open store, and its recovery from an I/O error.
//!
//! After a failed write (a full disk), redb refuses everything until it is opened again. The next
//! access opens it again: all committed rows are there, and a disk that has room again is written
//! again. While the store cannot be read, the index knows nothing, and the upstream is asked
//! instead.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use redb::{
    Database, Durability, Error, ReadTransaction, ReadableDatabase, TransactionError,
    WriteTransaction,
};
use tracing::{info, warn};

use crate::disk::private;

/// The memory for pages of the store. The often-used part of the tables is small; the system's page
/// cache has the rest.
const PAGE_CACHE_SIZE: usize = 8 * 1024 * 1024;

/// The least time between two attempts to open the store again.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);

/// What comes of a call to the store.
pub type Outcome<T> = Result<T, Error>;

/// A store whose tables all exist. Each part of the index holds it and knows its own table.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    state: RwLock<StoreState>,
    /// Whether rows that the snapshot copies were written since [`Self::take_snapshot_is_stale`].
    snapshot_is_stale: AtomicBool,
}

#[derive(Debug)]
enum StoreState {
    Open(Arc<Database>),
    /// It has failed; the time is that of the last attempt to open it again.
    Failed(Option<Instant>),
}

impl Store {
    /// Opens the file or creates it. A snapshot may be older than the file.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        Ok(Self {
            path: path.to_owned(),
            state: RwLock::new(StoreState::Open(Arc::new(open(path)?))),
            snapshot_is_stale: AtomicBool::new(true),
        })
    }

    pub(super) fn begin_read(&self) -> Outcome<ReadTransaction> {
        self.begin(Database::begin_read)
    }

    /// Runs `change` in one transaction. Writers queue up, one at a time.
    pub(super) fn write(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Outcome<()>,
    ) -> Outcome<()> {
        let write = || {
            let mut transaction = self.begin(Database::begin_write)?;
            transaction.set_durability(durability)?;
            change(&transaction)?;
            Ok(transaction.commit()?)
        };
        write().inspect_err(|error| self.note_failure(error))
    }

    /// [`Self::write`] for rows that the snapshot copies.
    pub(super) fn write_copied(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Outcome<()>,
    ) -> Outcome<()> {
        let written = self.write(durability, change);
        self.mark_snapshot_stale();
        written
    }

    /// Whether rows that the snapshot copies were written since the last call. Rows written during
    /// the call count for the next one.
    pub(super) fn take_snapshot_is_stale(&self) -> bool {
        self.snapshot_is_stale.swap(false, Ordering::AcqRel)
    }

    pub(super) fn mark_snapshot_stale(&self) {
        self.snapshot_is_stale.store(true, Ordering::Release);
    }

    /// Returns the file's free space, if there is any, to the file system. Only for an index that
    /// nobody else uses: look-ups wait for it, and a transaction that is beginning prevents it.
    pub(super) fn compact(&self) -> Outcome<()> {
        if let StoreState::Open(database) = &mut *self.state.write()
            && let Some(database) = Arc::get_mut(database)
        {
            database.compact()?;
        }
        Ok(())
    }

    /// Some write errors leave a store that has to be opened again.
    fn note_failure(&self, error: &Error) {
        if matches!(error, Error::Io(_) | Error::PreviousIo) {
            let mut state = self.state.write();
            if matches!(*state, StoreState::Open(_)) {
                *state = StoreState::Failed(None);
            }
        }
    }

    /// Begins a transaction. No lock is held meanwhile: a writer waits here for the one before it,
    /// and that one may wait for somebody who only wants to read.
    fn begin<T>(&self, begin: impl Fn(&Database) -> Result<T, TransactionError>) -> Outcome<T> {
        let open = match &*self.state.read() {
            StoreState::Open(database) => Some(Arc::clone(database)),
            StoreState::Failed(_) => None,
        };
        let database = open.map_or_else(|| self.reopen(), Ok)?;
        Ok(begin(&database)?)
    }

    /// The store, opened again if nobody else has done so, but not more often than every
    /// [`REOPEN_INTERVAL`].
    fn reopen(&self) -> Outcome<Arc<Database>> {
        let mut state = self.state.write();
        match &*state {
            StoreState::Open(database) => return Ok(Arc::clone(database)),
            StoreState::Failed(Some(tried)) if tried.elapsed() < REOPEN_INTERVAL => {
                return Err(Error::PreviousIo);
            }
            StoreState::Failed(_) => *state = StoreState::Failed(Some(Instant::now())),
        }
        let database = open(&self.path)
            .inspect_err(|error| warn!(%error, "cannot open the cache index again yet"))?;
        info!("opened the cache index again after an error");
        let database = Arc::new(database);
        *state = StoreState::Open(Arc::clone(&database));
        Ok(database)
    }
}

fn open(path: &Path) -> Outcome<Database> {
    // The store would make a file that everybody can read.
    if !path.exists() {
        private::touch(path)?;
    }
    Ok(Database::builder()
        .set_cache_size(PAGE_CACHE_SIZE)
        .create(path)?)
}

/// The answer of the index, or nothing if it cannot be read: an outage of the disk must not become
/// one of the proxy.
pub fn answer_or_default<T: Default>(answer: Outcome<T>) -> T {
    answer.unwrap_or_else(|error| {
        warn!(%error, "cannot read the cache index");
        T::default()
    })
}
