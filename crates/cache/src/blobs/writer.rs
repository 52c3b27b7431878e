//! The one who writes a download to its file: takes pieces in any order, writes them, shows how far it has come, hashes what is
//! there without a gap, and notes it in the journal. Runs on a blocking thread.

mod notes;

use std::{
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt,
    sync::Arc,
    time::Duration,
};

use manifest_model::{Digest, Hasher};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tracing::debug;

use self::notes::{Notes, Syncing};
use super::{
    Spans,
    progress::{Progress, Running},
    queue::Piece,
};
use crate::{
    Cache, OpenFile,
    cache::Room,
    disk::Staged,
    error::{CacheError, FillError},
};

/// Pieces taken from the queue, and written, together. How many bytes that may be, the queue bounds.
const PIECES_PER_WRITE: usize = 64;

/// How long written bytes may wait to be shown. To show them wakes every follower, and each sends what it sees on its own: many
/// small steps cost more than the bytes.
const SHOW_EVERY: Duration = Duration::from_millis(4);

/// How much is read back for hashing at a time, where bytes came out of order: what a processor's own cache holds.
const CATCH_UP: usize = 256 * 1024;

/// From so many bytes on that lie ready to be hashed, the network has to wait for that.
const MOST_READY: u64 = 256 * 1024 * 1024;

/// What is hashed then between two writes: more than one of them brings.
const STEPS_BEHIND: u32 = 8;

/// Downloads with less than this on the disk are not gone on with.
const WORTH_KEEPING: u64 = 1024 * 1024;

/// A blob whose bytes are all written and right, not yet synced.
#[derive(Debug)]
pub(super) struct Written {
    staged: Staged,
    pub(super) file: Arc<OpenFile>,
    pub(super) size: u64,
    /// A sync that still runs.
    syncing: Option<Syncing>,
    room: Room,
}

impl Written {
    /// Stores the blob. Blocks.
    pub(super) fn store(self, cache: &Cache, digest: &Digest) -> Result<(), CacheError> {
        if let Some(syncing) = self.syncing {
            let synced = syncing.wait();
            synced.map_err(CacheError::io("sync", self.staged.path()))?;
        }
        // What was reserved is about to be counted as stored.
        drop(self.room);
        cache.publish_blob(self.staged, digest, self.size)
    }
}

/// What the writer owns.
pub(super) struct WriteJob {
    staged: Staged,
    file: Arc<OpenFile>,
    digest: Digest,
    size: Option<u64>,
    running: Arc<Running>,
    room: Room,
    written: Spans,
    hasher: Hasher,
    hashed: u64,
    /// For what is read back; empty until something is.
    read_back: Vec<u8>,
    notes: Option<Notes>,
    /// When bytes may be shown again; `None` before the first.
    show_from: Option<Instant>,
    /// Whether bytes are written that are not shown.
    is_behind: bool,
}

impl WriteJob {
    /// A writer of `digest` into `staged`, in which the bytes of `there` are already.
    pub(super) fn new(
        digest: Digest,
        (mut staged, there): (Staged, Spans),
        file: Arc<OpenFile>,
        size: Option<u64>,
        running: Arc<Running>,
        room: Room,
    ) -> Self {
        let notes = size
            .zip(staged.take_journal())
            .map(|(size, journal)| Notes::new(journal, size, &there));
        Self {
            staged,
            file,
            digest,
            size,
            running,
            room,
            written: there,
            hasher: Hasher::new(digest.algorithm()),
            hashed: 0,
            read_back: Vec::new(),
            notes,
            show_from: None,
            is_behind: false,
        }
    }

    /// Writes until the queue is closed. What is not all of the blob then is kept for the next try; what is wrong is deleted.
    pub(super) fn run(
        mut self,
        mut pieces: mpsc::UnboundedReceiver<Piece>,
    ) -> Result<Written, FillError> {
        let mut batch = Vec::with_capacity(PIECES_PER_WRITE);
        while self.receive(&mut pieces, &mut batch) > 0 {
            self.make_room(&batch)?;
            self.write(&batch)?;
            self.is_behind = true;
            self.show_if_due();
            for piece in batch.drain(..) {
                if piece.offset == self.hashed {
                    self.hasher.update(&piece.bytes);
                    self.hashed += piece.bytes.len() as u64;
                }
            }
            if let Some(notes) = &mut self.notes {
                let taken = notes.take(&self.file, &self.written);
                taken.map_err(|error| self.unsynced(error))?;
            }
            self.catch_up_meanwhile(&pieces)?;
        }
        self.show();
        let received = self.written.total();
        match self.size {
            Some(announced) if received < announced => {
                self.give_up()?;
                Err(FillError::Length {
                    digest: self.digest,
                    announced,
                    received,
                })
            }
            _ => self.finish(received),
        }
    }

    /// Waits for the next pieces; none when the queue is closed. What is written is shown when that is due, whatever comes.
    fn receive(
        &mut self,
        pieces: &mut mpsc::UnboundedReceiver<Piece>,
        batch: &mut Vec<Piece>,
    ) -> usize {
        if let (true, Some(due)) = (self.is_behind, self.show_from) {
            let next = timeout_at(due, pieces.recv_many(batch, PIECES_PER_WRITE));
            match Handle::current().block_on(next) {
                Ok(count) => return count,
                Err(_) => self.show(),
            }
        }
        pieces.blocking_recv_many(batch, PIECES_PER_WRITE)
    }

    /// A download of known size has its room from the start.
    fn make_room(&mut self, batch: &[Piece]) -> Result<(), FillError> {
        if self.size.is_some() {
            return Ok(());
        }
        let ends = batch
            .iter()
            .map(|piece| piece.offset + piece.bytes.len() as u64);
        let grown = self.room.grow_to(ends.max().unwrap_or(0));
        grown.map_err(|source| self.storage(source))
    }

    fn write(&mut self, batch: &[Piece]) -> Result<(), FillError> {
        let mut rest = batch;
        while let [first, ..] = rest {
            let mut end = first.offset;
            let run = rest
                .iter()
                .take_while(|piece| {
                    let follows = piece.offset == end;
                    end = piece.offset + piece.bytes.len() as u64;
                    follows
                })
                .count();
            let (run, others) = rest.split_at(run);
            rest = others;
            let end = run
                .iter()
                .map(|piece| piece.bytes.len() as u64)
                .sum::<u64>()
                + first.offset;
            if let Some(announced) = self.size.filter(|announced| end > *announced) {
                return Err(FillError::Length {
                    digest: self.digest,
                    announced,
                    received: end,
                });
            }
            pwrite_all(self.staged.file(), run, first.offset)
                .map_err(CacheError::io("write", self.staged.path()))
                .map_err(|source| self.storage(source))?;
            self.written.insert(first.offset..end);
        }
        Ok(())
    }

    fn show_if_due(&mut self) {
        if self.is_behind && self.show_from.is_none_or(|from| from <= Instant::now()) {
            self.show();
        }
    }

    fn show(&mut self) {
        self.is_behind = false;
        self.show_from = Some(Instant::now() + SHOW_EVERY);
        let progress = Progress::Filling {
            file: Arc::clone(&self.file),
            size: self.size,
            written: Arc::new(self.written.clone()),
        };
        self.running.progress.send_if_modified(|shown| {
            // A fill that was dropped has told its followers so. Told otherwise now, they would wait for ever.
            let is_open = !matches!(shown, Progress::Failed(_));
            if is_open {
                *shown = progress;
            }
            is_open
        });
    }

    /// Hashes what lies ready for as long as no piece waits: the network first, what is not hashed between two writes can be at the
    /// end. Some of it in any case, and more where so much lies ready that the system may have to read it from the disk by then.
    fn catch_up_meanwhile(
        &mut self,
        pieces: &mpsc::UnboundedReceiver<Piece>,
    ) -> Result<(), FillError> {
        let ready = self.written.end_at(self.hashed).unwrap_or(self.hashed) - self.hashed;
        let least = if ready > MOST_READY { STEPS_BEHIND } else { 1 };
        let mut steps = 0;
        while self.catch_up()? && !pieces.is_closed() {
            steps += 1;
            if steps >= least && !pieces.is_empty() {
                break;
            }
            self.show_if_due();
        }
        Ok(())
    }

    /// Hashes some more of what is in the file without a gap. False where nothing is left to hash.
    fn catch_up(&mut self) -> Result<bool, FillError> {
        let Some(end) = self.written.end_at(self.hashed) else {
            return Ok(false);
        };
        self.read_back.resize(CATCH_UP, 0);
        let length = usize::try_from(end - self.hashed).map_or(CATCH_UP, |rest| rest.min(CATCH_UP));
        let read = self
            .staged
            .file()
            .read_exact_at(&mut self.read_back[..length], self.hashed);
        read.map_err(CacheError::io("read back", self.staged.path()))
            .map_err(|source| self.storage(source))?;
        self.hasher.update(&self.read_back[..length]);
        self.hashed += length as u64;
        Ok(true)
    }

    fn finish(mut self, size: u64) -> Result<Written, FillError> {
        while self.catch_up()? {}
        let syncing = self.notes.take().map_or(Ok(None), Notes::end);
        let syncing = syncing.map_err(|error| self.unsynced(error))?;
        let actual = self.hasher.finish();
        if actual != self.digest {
            return Err(FillError::Corrupt {
                expected: self.digest,
                actual,
            });
        }
        Ok(Written {
            staged: self.staged,
            file: self.file,
            size,
            syncing,
            room: self.room,
        })
    }

    fn give_up(&mut self) -> Result<(), FillError> {
        if self.written.total() < WORTH_KEEPING {
            return Ok(());
        }
        if let Some(notes) = self.notes.take() {
            let closed = notes.close(&self.written);
            match closed.map_err(|error| self.unsynced(error))? {
                Ok(()) => self.staged.keep(),
                Err(error) => {
                    debug!(digest = %self.digest, %error, "a download that was cut off is not kept");
                }
            }
        }
        Ok(())
    }

    fn unsynced(&self, error: io::Error) -> FillError {
        self.storage(CacheError::io("sync", self.staged.path())(error))
    }

    fn storage(&self, source: CacheError) -> FillError {
        FillError::Storage {
            digest: self.digest,
            source,
        }
    }
}

fn pwrite_all(file: &File, pieces: &[Piece], mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces
        .iter()
        .map(|piece| IoSlice::new(&piece.bytes))
        .collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                IoSlice::advance_slices(&mut rest, count);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
