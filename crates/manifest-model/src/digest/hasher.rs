//! A digest that is computed while the content streams by.

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

    /// The digest of all chunks, in the order in which they were added.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(sha) => Digest::from_exact(Algorithm::Sha256, &sha.finalize()),
            State::Sha512(sha) => Digest::from_exact(Algorithm::Sha512, &sha.finalize()),
        }
    }
}
