//! What is written down of a download of known size while it runs: in its journal, and, beside the writing, on the disk.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, task::JoinHandle};
use tracing::warn;

use crate::{
    OpenFile,
    blobs::Spans,
    disk::{Journal, Record},
};

/// How many bytes may be written before the journal notes them: what a `kill -9` costs at most, of those that were written.
const JOURNAL_STEP: u64 = 1024 * 1024;

/// How many bytes may be written before they are brought to the disk, beside the download: what a loss of power costs, and a
/// bound on how much has to be synced when the download ends.
const SYNC_STEP: u64 = 8 * 1024 * 1024;

/// The journal of a download and when it is next due.
pub(super) struct Notes {
    book: Arc<Book>,
    noted: u64,
    syncing: Option<Syncing>,
    synced: u64,
}

/// What two threads write: the writer, and who syncs beside it.
struct Book {
    journal: Journal,
    /// What the journal says. Held to change both, never during a sync: the download would wait for the disk.
    record: Mutex<Record>,
}

impl Book {
    fn note(&self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut record);
        self.journal.write(&record)
    }

    fn note_synced(&self, synced: Spans) -> io::Result<()> {
        self.note(|record| record.synced = synced)?;
        self.journal.sync()
    }
}

impl Notes {
    pub(super) fn new(journal: Journal, size: u64, there: &Spans) -> Self {
        let record = Record {
            size,
            written: there.clone(),
            synced: Spans::default(),
        };
        Self {
            book: Arc::new(Book {
                journal,
                record: Mutex::new(record),
            }),
            noted: there.total(),
            syncing: None,
            // What an earlier process has synced is not known to be: it is done again with the first step.
            synced: 0,
        }
    }

    /// Notes what has been written, where that is due. A journal that cannot be written costs the next try, not this one; the
    /// error is that of a sync, after which the file is lost.
    pub(super) fn take(&mut self, file: &Arc<OpenFile>, written: &Spans) -> io::Result<()> {
        let total = written.total();
        if total - self.noted >= JOURNAL_STEP {
            self.noted = total;
            if let Err(error) = self.note(written) {
                warn!(%error, "the journal of a download cannot be written");
            }
        }
        self.look()?;
        if self.syncing.is_none() && total - self.synced >= SYNC_STEP {
            self.synced = total;
            self.syncing = Some(Syncing::start(file, &self.book, written.clone()));
        }
        Ok(())
    }

    /// How the last sync has ended, if it has.
    fn look(&mut self) -> io::Result<()> {
        let ended = self.syncing.take_if(|syncing| syncing.0.is_finished());
        ended.map_or(Ok(()), Syncing::wait)
    }

    /// Stops taking notes. The answer is the sync that still runs, if one does.
    pub(super) fn end(mut self) -> io::Result<Option<Syncing>> {
        self.look()?;
        Ok(self.syncing)
    }

    /// Waits for the sync that still runs and writes the last line, for the next who goes on from here. The outer error is that
    /// of a sync, the inner that of the journal.
    pub(super) fn close(mut self, written: &Spans) -> io::Result<io::Result<()>> {
        self.syncing.take().map_or(Ok(()), Syncing::wait)?;
        Ok(self.note(written))
    }

    fn note(&self, written: &Spans) -> io::Result<()> {
        self.book.note(|record| record.written.clone_from(written))
    }
}

/// A sync that runs beside the download.
///
/// The system tells an open file of bytes that were lost on their way to the disk once: the next sync of it succeeds, though they
/// are lost still. So no sync may be forgotten, and the file is worth nothing after one that has failed.
#[derive(Debug)]
#[must_use = "its error is told to nobody else"]
pub(super) struct Syncing(JoinHandle<io::Result<()>>);

impl Syncing {
    fn start(file: &Arc<OpenFile>, book: &Arc<Book>, written: Spans) -> Self {
        let (file, book) = (Arc::clone(file), Arc::clone(book));
        Self(tokio::task::spawn_blocking(move || {
            file.file().sync_data()?;
            // First the bytes, then the word that they are there.
            if let Err(error) = book.note_synced(written) {
                warn!(%error, "the journal of a download cannot be synced");
            }
            Ok(())
        }))
    }

    /// Waits for its end. Blocks.
    pub(super) fn wait(self) -> io::Result<()> {
        match Handle::current().block_on(self.0) {
            Ok(outcome) => outcome,
            // A shutdown came first, and it was told of no error.
            Err(never_run) if never_run.is_cancelled() => Ok(()),
            Err(panic) => Err(io::Error::other(panic)),
        }
    }
}
