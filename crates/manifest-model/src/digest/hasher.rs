//! A digest that is computed while the content streams by.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256, Sha512};

use super::{Algorithm, Digest};

/// A running digest over chunks.
///
/// The result of [`finish`](Self::finish) does not depend on where the content was cut.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Starts with empty content.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Adds the next chunk of the content.
    pub fn update(&mut self, chunk: &[u8]) {
        match &mut self.0 {
            State::Sha256(sha) => sha.update(chunk),
            State::Sha512(sha) => sha.update(chunk),
        }
    }

    /// Adds all that `source` yields, through `buffer`, and returns how many bytes that were. `added` is
    /// called with the length of each chunk.
    pub fn add_all(
        &mut self,
        source: &mut impl Read,
        buffer: &mut [u8],
        mut added: impl FnMut(u64),
    ) -> io::Result<u64> {
        let mut all = 0;
        loop {
            match source.read(buffer) {
                Ok(0) => return Ok(all),
                Ok(length) => {
                    self.update(&buffer[..length]);
                    all += length as u64;
                    added(length as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest of all chunks, in the order in which they were added.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(sha) => Digest::from_exact(Algorithm::Sha256, &sha.finalize()),
            State::Sha512(sha) => Digest::from_exact(Algorithm::Sha512, &sha.finalize()),
        }
    }
}
