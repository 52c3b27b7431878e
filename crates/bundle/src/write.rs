//! Writing a bundle, whole or any range of it.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use manifest_model::{Digest, Hasher};

use crate::{
    contents::Contents,
    copy::share,
    layout::{Layout, Placed},
    read::padding,
};

const CHUNK: usize = 1 << 20;

/// Blobs between two flushes of a file. Where extents are shared, the headers of each blob are an
/// extent of their own, for which XFS reserves five blocks of its tree more until they are flushed:
/// all at the end, that would be 5 % of a bundle of small blobs.
const BLOBS_PER_FLUSH: u64 = 64;

/// Where a bundle is written to.
#[derive(Debug)]
pub enum Output<'a, W: Write> {
    /// A file, from its current position on. Blobs are shared with their files where the file
    /// system can do so.
    File(&'a File),
    /// A pipe.
    Pipe(&'a mut W),
}

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output does not take it.
    #[error("cannot write the bundle")]
    Output(#[source] io::Error),
    /// A blob cannot be read.
    #[error("cannot read the blob {digest}")]
    Blob {
        /// Its digest.
        digest: Digest,
        /// The cause.
        source: io::Error,
    },
    /// A blob is not what its digest names; bit rot must not leave the house.
    #[error("the stored blob {0} is damaged; `archway cache verify --repair` discards it")]
    Damaged(Digest),
}

/// Writes the bytes `range` of a bundle. The whole file is `0..layout.size()`; a part of it needs
/// the blobs of that range alone. Each blob is hashed whole, also where only a part of it is in the
/// range. `progress` is called with the number of bytes written since its last call.
///
/// On an error the output holds a beginning of the range, of which the last blob may be damaged.
pub fn write<W: Write>(
    layout: &Layout,
    range: Range<u64>,
    contents: &impl Contents,
    output: &mut Output<'_, W>,
    progress: impl FnMut(u64),
) -> Result<(), WriteError> {
    let mut sink = Sink {
        range,
        output,
        progress,
    };
    sink.put(0, layout.head())?;
    for (number, placed) in (1_u64..).zip(layout.blobs()) {
        if placed.end() <= sink.range.start || placed.headers_at >= sink.range.end {
            continue;
        }
        sink.put(placed.headers_at, &placed.headers())?;
        sink.put_blob(placed, contents)?;
        let padding = vec![0; padding(placed.size)];
        sink.put(placed.data_at + placed.size, &padding)?;
        if number.is_multiple_of(BLOBS_PER_FLUSH) {
            sink.flush()?;
        }
    }
    let end = vec![0; usize_of(layout.size() - layout.end_at())];
    sink.put(layout.end_at(), &end)
}

/// The output, which takes what is within its range.
struct Sink<'a, 'b, W: Write, P> {
    range: Range<u64>,
    output: &'a mut Output<'b, W>,
    progress: P,
}

impl<W: Write, P: FnMut(u64)> Sink<'_, '_, W, P> {
    /// Of `length` bytes at `at`, those within the range.
    fn within(&self, at: u64, length: u64) -> Range<u64> {
        let start = self.range.start.clamp(at, at + length);
        start..self.range.end.clamp(start, at + length)
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let part = self.within(at, bytes.len() as u64);
        let bytes = &bytes[usize_of(part.start - at)..usize_of(part.end - at)];
        match self.output {
            Output::File(file) => (&mut &**file).write_all(bytes),
            Output::Pipe(pipe) => pipe.write_all(bytes),
        }
        .map_err(WriteError::Output)?;
        (self.progress)(bytes.len() as u64);
        Ok(())
    }

    /// Has a file's bytes so far written to the disk.
    fn flush(&self) -> Result<(), WriteError> {
        match &*self.output {
            Output::File(file) => file.sync_data().map_err(WriteError::Output),
            Output::Pipe(_) => Ok(()),
        }
    }

    fn put_blob(&mut self, placed: &Placed, contents: &impl Contents) -> Result<(), WriteError> {
        let unreadable = |source| WriteError::Blob {
            digest: placed.digest,
            source,
        };
        let part = self.within(placed.data_at, placed.size);
        if part.is_empty() {
            return Ok(());
        }
        let mut blob = contents.open(&placed.digest).map_err(unreadable)?;
        let part = part.start - placed.data_at..part.end - placed.data_at;
        let cloned = match self.output {
            Output::File(file) => share(&blob, &part, file).map_err(WriteError::Output)?,
            Output::Pipe(_) => part.start,
        };
        blob.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        (self.progress)(cloned - part.start);
        let mut hasher = Hasher::new(placed.digest.algorithm());
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let length = match blob.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            hasher.update(&chunk[..length]);
            let end = at + length as u64;
            if end > cloned && at < placed.size {
                let from = cloned.clamp(at, end);
                let bytes = &chunk[usize_of(from - at)..usize_of(end.min(placed.size) - at)];
                self.put(placed.data_at + from, bytes)?;
            }
            at = end;
        }
        if at != placed.size || hasher.finish() != placed.digest {
            return Err(WriteError::Damaged(placed.digest));
        }
        Ok(())
    }
}

fn usize_of(length: u64) -> usize {
    usize::try_from(length).expect("less than a chunk or a head, which are in memory")
}
