//! A digest that is computed while the bytes go by.

use sha2::{Digest as _, Sha256, Sha512};

use super::{Algorithm, Digest};

/// A running digest over chunks; however the content is cut, [`finish`](Hasher::finish) gives the digest of the whole.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A digest of nothing so far.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Takes the next chunk of the content.
    pub fn update(&mut self, chunk: &[u8]) {
        match &mut self.0 {
            State::Sha256(sha) => sha.update(chunk),
            State::Sha512(sha) => sha.update(chunk),
        }
    }

    /// The digest of all chunks, in the order in which they were given.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(sha) => Digest::from_exact(Algorithm::Sha256, &sha.finalize()),
            State::Sha512(sha) => Digest::from_exact(Algorithm::Sha512, &sha.finalize()),
        }
    }
}
