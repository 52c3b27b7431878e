//! The writer of a download: takes pieces in any order, writes them to the file, [shows](showing)
//! the progress, [hashes](hashing) the gapless start, and [journals](journaling). Runs on a
//! blocking thread.

mod hashing;
mod journaling;
mod showing;

use std::{
    fs::File,
    io::{self, IoSlice},
    sync::Arc,
};

use cache_store::{CacheError, disk::Staged};
use manifest_model::Digest;
use tokio::{runtime::Handle, sync::mpsc, time::timeout_at};
use tracing::debug;

use self::{
    hashing::Hashing,
    journaling::{Journaling, Syncing},
    showing::Showing,
};
use super::queue::Piece;
use crate::{OpenFile, Spans, blobs::Running, error::FillError, storage::Room};

/// How many queued pieces are written together. The queue bounds their bytes.
const PIECES_PER_WRITE: usize = 64;

/// Above this many bytes ready to be hashed, the network has to wait for the hashing.
const MAX_READY_TO_HASH: u64 = 256 * 1024 * 1024;

/// How many steps are then hashed between two writes: more than one write brings.
const CATCH_UP_STEPS: u32 = 8;

/// Downloads with fewer bytes on the disk are not resumed.
const MIN_RESUMABLE_SIZE: u64 = 1024 * 1024;

/// A blob whose bytes are all written and match the digest, not yet synced.
#[derive(Debug)]
pub(super) struct Verified {
    staged: Staged,
    pub(super) file: Arc<OpenFile>,
    pub(super) size: u64,
    /// A sync that is still running.
    syncing: Option<Syncing>,
    room: Room,
}

impl Verified {
    /// The file to publish, after the running sync. Its reservation ends: the blob is about to
    /// count as stored. Blocks.
    pub(super) fn into_staged(self) -> Result<Staged, CacheError> {
        if let Some(syncing) = self.syncing {
            let synced = syncing.wait();
            synced.map_err(CacheError::io("sync", self.staged.path()))?;
        }
        drop(self.room);
        Ok(self.staged)
    }
}

/// Everything that the writer owns.
pub(super) struct WriteJob {
    staged: Staged,
    digest: Digest,
    size: Option<u64>,
    room: Room,
    written: Spans,
    hashing: Hashing,
    showing: Showing,
    journaling: Option<Journaling>,
}

impl WriteJob {
    /// A writer of `digest` into a staged file that has the bytes of `written` already.
    pub(super) fn new(
        digest: Digest,
        (mut staged, written): (Staged, Spans),
        file: Arc<OpenFile>,
        size: Option<u64>,
        running: Arc<Running>,
        room: Room,
    ) -> Self {
        let journaling = size
            .zip(staged.take_journal())
            .map(|(size, journal)| Journaling::new(journal, size, &written));
        Self {
            staged,
            digest,
            size,
            room,
            written,
            hashing: Hashing::new(&digest),
            showing: Showing::new(running, file, size),
            journaling,
        }
    }

    /// Writes until the queue is closed. An incomplete blob is kept for the next fill to resume; a
    /// wrong one is deleted.
    pub(super) fn run(
        mut self,
        mut pieces: mpsc::UnboundedReceiver<Piece>,
    ) -> Result<Verified, FillError> {
        let mut batch = Vec::with_capacity(PIECES_PER_WRITE);
        while self.receive(&mut pieces, &mut batch) > 0 {
            self.make_room(&batch)?;
            self.write(&batch)?;
            self.showing.note(&self.written);
            for piece in batch.drain(..) {
                self.hashing.take(piece.offset, &piece.bytes);
            }
            if let Some(journaling) = &mut self.journaling {
                let updated = journaling.update(self.showing.file(), &self.written);
                updated.map_err(|error| self.sync_failed(error))?;
            }
            self.catch_up_meanwhile(&pieces)?;
        }
        self.showing.show(&self.written);
        let received = self.written.total();
        match self.size {
            Some(announced) if received < announced => {
                self.keep()?;
                Err(FillError::Length {
                    digest: self.digest,
                    announced,
                    received,
                })
            }
            _ => self.finish(received),
        }
    }

    /// Waits for the next pieces; none once the queue is closed. Written bytes are shown when that
    /// is due, even if no piece comes.
    fn receive(
        &mut self,
        pieces: &mut mpsc::UnboundedReceiver<Piece>,
        batch: &mut Vec<Piece>,
    ) -> usize {
        if let Some(due) = self.showing.due() {
            let next = timeout_at(due, pieces.recv_many(batch, PIECES_PER_WRITE));
            match Handle::current().block_on(next) {
                Ok(count) => return count,
                Err(_) => self.showing.show(&self.written),
            }
        }
        pieces.blocking_recv_many(batch, PIECES_PER_WRITE)
    }

    /// Room for the pieces, whatever has been announced.
    fn make_room(&mut self, batch: &[Piece]) -> Result<(), FillError> {
        let new = batch.iter().map(|piece| piece.bytes.len() as u64);
        let size = self.written.total() + new.sum::<u64>();
        let size = self.size.map_or(size, |announced| size.min(announced));
        let grown = self.room.grow_to(size);
        grown.map_err(|source| self.storage_failed(source))
    }

    /// Writes the pieces, neighbours with one call.
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
                .map_err(|source| self.storage_failed(source))?;
            self.written.insert(first.offset..end);
        }
        Ok(())
    }

    /// Hashes ready bytes as long as no piece waits: the network comes first, since the end can
    /// hash the rest. It always hashes some, and more if so many bytes are ready that the system
    /// may have to read them from the disk by then.
    fn catch_up_meanwhile(
        &mut self,
        pieces: &mpsc::UnboundedReceiver<Piece>,
    ) -> Result<(), FillError> {
        let ready = self.hashing.ready(&self.written);
        let least = if ready > MAX_READY_TO_HASH {
            CATCH_UP_STEPS
        } else {
            1
        };
        let mut steps = 0;
        while self.catch_up()? && !pieces.is_closed() {
            steps += 1;
            if steps >= least && !pieces.is_empty() {
                break;
            }
            self.showing.show_if_due(&self.written);
        }
        Ok(())
    }

    /// Hashes the next ready bytes. `false` if there are none.
    fn catch_up(&mut self) -> Result<bool, FillError> {
        let hashed = self.hashing.catch_up(self.staged.file(), &self.written);
        hashed
            .map_err(CacheError::io("read back", self.staged.path()))
            .map_err(|source| self.storage_failed(source))
    }

    fn finish(mut self, size: u64) -> Result<Verified, FillError> {
        while self.catch_up()? {}
        let syncing = self.journaling.take().map_or(Ok(None), Journaling::end);
        let syncing = syncing.map_err(|error| self.sync_failed(error))?;
        let actual = self.hashing.finish();
        if actual != self.digest {
            return Err(FillError::Corrupt {
                expected: self.digest,
                actual,
            });
        }
        Ok(Verified {
            staged: self.staged,
            file: self.showing.into_file(),
            size,
            syncing,
            room: self.room,
        })
    }

    /// Keeps the written bytes for the next fill, if they are worth it.
    fn keep(&mut self) -> Result<(), FillError> {
        if self.written.total() < MIN_RESUMABLE_SIZE {
            return Ok(());
        }
        if let Some(journaling) = self.journaling.take() {
            let closed = journaling.close(&self.written);
            match closed.map_err(|error| self.sync_failed(error))? {
                Ok(()) => self.staged.keep(),
                Err(error) => {
                    debug!(digest = %self.digest, %error, "not keeping an interrupted download");
                }
            }
        }
        Ok(())
    }

    fn sync_failed(&self, error: io::Error) -> FillError {
        self.storage_failed(CacheError::io("sync", self.staged.path())(error))
    }

    fn storage_failed(&self, source: CacheError) -> FillError {
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
