//! Journaling a download of known size while it runs, and syncing its bytes beside the writing.
//!
//! Syncs are small because a killed process does not end before its running sync does, and its
//! connections receive until then.

use std::{io, sync::Arc};

use cache_store::disk::{Journal, JournalRecord};
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinHandle};
use tracing::warn;

use crate::{OpenFile, Spans};

/// The bytes written between two notes in the journal: the most that a `kill -9` loses of the
/// written bytes.
const JOURNAL_STEP: u64 = 1024 * 1024;

/// The bytes written between two syncs beside the download: the most that a power loss costs, and a
/// bound on the sync at the end of the download.
const SYNC_STEP: u64 = 8 * 1024 * 1024;

/// The journal of a download, and the progress since its last note and sync.
pub(super) struct Journaling {
    shared: Arc<SharedJournal>,
    journaled: u64,
    syncing: Option<Syncing>,
    synced: u64,
}

/// The journal as two threads write it: the writer, and the sync beside it.
struct SharedJournal {
    journal: Journal,
    /// The journal's content. Held to change both, never during a sync: the download would wait for
    /// the disk.
    record: Mutex<JournalRecord>,
}

impl SharedJournal {
    fn write(&self, change: impl FnOnce(&mut JournalRecord)) -> io::Result<()> {
        let mut record = self.record.lock();
        change(&mut record);
        self.journal.write(&record)
    }

    fn write_synced(&self, synced: Spans) -> io::Result<()> {
        self.write(|record| record.synced = synced)?;
        self.journal.sync()
    }
}

impl Journaling {
    pub(super) fn new(journal: Journal, size: u64, written: &Spans) -> Self {
        let record = JournalRecord {
            size,
            written: written.clone(),
            synced: Spans::default(),
        };
        Self {
            shared: Arc::new(SharedJournal {
                journal,
                record: Mutex::new(record),
            }),
            journaled: written.total(),
            syncing: None,
            // Syncs of an earlier process are not known here: the first step repeats them.
            synced: 0,
        }
    }

    /// Notes the written bytes and syncs them, when either is due. A journal that cannot be written
    /// costs the next fill its bytes, not this one. The error is that of a sync, after which the
    /// file is lost.
    pub(super) fn update(&mut self, file: &Arc<OpenFile>, written: &Spans) -> io::Result<()> {
        let total = written.total();
        if total - self.journaled >= JOURNAL_STEP {
            self.journaled = total;
            if let Err(error) = self.write(written) {
                warn!(%error, "cannot write the journal of a download");
            }
        }
        self.check_sync()?;
        if self.syncing.is_none() && total - self.synced >= SYNC_STEP {
            self.synced = total;
            self.syncing = Some(Syncing::start(file, &self.shared, written.clone()));
        }
        Ok(())
    }

    /// The outcome of the last sync, if it has ended.
    fn check_sync(&mut self) -> io::Result<()> {
        let ended = self.syncing.take_if(|syncing| syncing.0.is_finished());
        ended.map_or(Ok(()), Syncing::wait)
    }

    /// Stops journaling. Returns the running sync, if there is one.
    pub(super) fn end(mut self) -> io::Result<Option<Syncing>> {
        self.check_sync()?;
        Ok(self.syncing)
    }

    /// Waits for the running sync and writes the journal once more, for the next fill to resume
    /// from. The outer error is that of a sync, the inner that of the journal.
    pub(super) fn close(mut self, written: &Spans) -> io::Result<io::Result<()>> {
        self.syncing.take().map_or(Ok(()), Syncing::wait)?;
        Ok(self.write(written))
    }

    fn write(&self, written: &Spans) -> io::Result<()> {
        self.shared
            .write(|record| record.written.clone_from(written))
    }
}

/// A sync that runs beside the download.
///
/// The system reports bytes lost on their way to the disk once per open file: the next sync
/// succeeds although they are still lost. So no outcome may be ignored, and after a failed sync the
/// file is worthless.
#[derive(Debug)]
#[must_use = "nothing else reports its error"]
pub(super) struct Syncing(JoinHandle<io::Result<()>>);

impl Syncing {
    fn start(file: &Arc<OpenFile>, journal: &Arc<SharedJournal>, written: Spans) -> Self {
        let (file, journal) = (Arc::clone(file), Arc::clone(journal));
        Self(tokio::task::spawn_blocking(move || {
            file.file().sync_data()?;
            // First the bytes, then the note that they are on the disk.
            if let Err(error) = journal.write_synced(written) {
                warn!(%error, "cannot sync the journal of a download");
            }
            Ok(())
        }))
    }

    /// Waits for its end. Blocks.
    pub(super) fn wait(self) -> io::Result<()> {
        match Handle::current().block_on(self.0) {
            Ok(outcome) => outcome,
            // A shutdown came first; no sync has consumed the error.
            Err(never_run) if never_run.is_cancelled() => Ok(()),
            Err(panic) => Err(io::Error::other(panic)),
        }
    }
}
