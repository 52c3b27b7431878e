//! Hashing a growing file in order, whatever the order of its bytes.

use std::{fs::File, io, os::unix::fs::FileExt};

use manifest_model::{Digest, Hasher};

use crate::Spans;

/// How much is read back at a time when bytes came out of order: the size of a processor's own
/// cache.
const READ_BACK_SIZE: usize = 256 * 1024;

/// The hash of the gapless start of a file.
pub(super) struct Hashing {
    hasher: Hasher,
    /// The end of the hashed bytes.
    hashed: u64,
    /// The buffer for bytes that are read back; empty until there are some.
    read_back: Vec<u8>,
}

impl Hashing {
    pub(super) fn new(digest: &Digest) -> Self {
        Self {
            hasher: Hasher::new(digest.algorithm()),
            hashed: 0,
            read_back: Vec::new(),
        }
    }

    /// Hashes bytes in memory, if they are the next in order.
    pub(super) fn take(&mut self, offset: u64, bytes: &[u8]) {
        if offset == self.hashed {
            self.hasher.update(bytes);
            self.hashed += bytes.len() as u64;
        }
    }

    /// The number of written bytes that can be hashed next.
    pub(super) fn ready(&self, written: &Spans) -> u64 {
        written.end_at(self.hashed).unwrap_or(self.hashed) - self.hashed
    }

    /// Reads back and hashes the next written bytes. `false` if none are ready.
    pub(super) fn catch_up(&mut self, file: &File, written: &Spans) -> io::Result<bool> {
        let ready = self.ready(written);
        if ready == 0 {
            return Ok(false);
        }
        self.read_back.resize(READ_BACK_SIZE, 0);
        let length =
            usize::try_from(ready).map_or(READ_BACK_SIZE, |ready| ready.min(READ_BACK_SIZE));
        let buffer = &mut self.read_back[..length];
        file.read_exact_at(buffer, self.hashed)?;
        self.hasher.update(buffer);
        self.hashed += length as u64;
        Ok(true)
    }

    /// The digest of the hashed bytes.
    pub(super) fn finish(self) -> Digest {
        self.hasher.finish()
    }
}
