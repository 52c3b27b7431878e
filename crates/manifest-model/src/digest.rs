//! Digests: what content is called by.
//!
//! The wire form is `algorithm:hex` with lower-case hex of the algorithm's exact length. Only the two algorithms that
//! registries serve are known; a digest of any other is not parsed.

pub(crate) mod hasher;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{ParseError, Word};
use hasher::Hasher;

/// Room for the longest digest.
const MAX_LEN: usize = 64;

/// A digest algorithm of the OCI image specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, which practically all content is named by.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// How many hex digits a digest of this algorithm has.
    pub const fn hex_len(self) -> usize {
        self.len() * 2
    }

    /// How many bytes a digest of this algorithm has.
    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl FromStr for Algorithm {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        match s {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(ParseError::new(
                Word::Algorithm,
                "neither sha256 nor sha512",
                s,
            )),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The digest of some content: an [`Algorithm`] and the bytes it computed.
///
/// Ordered by algorithm, then by value. Serialised as its wire form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Zero behind the algorithm's length, so that the derived comparisons are right.
    bytes: [u8; MAX_LEN],
}

impl Digest {
    /// Computes the digest of `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Makes a digest of an algorithm and the bytes it computed, as a store that keeps them apart reads them.
    ///
    /// An error if there are not as many bytes as the algorithm computes.
    pub fn from_parts(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() == algorithm.len() {
            Ok(Self::from_exact(algorithm, bytes))
        } else {
            Err(ParseError::new(
                Word::Digest,
                "not as long as its algorithm makes it",
                &hex::encode(bytes),
            ))
        }
    }

    /// The algorithm it was computed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part behind the colon.
    pub fn hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// The bytes the algorithm computed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len()]
    }

    /// `bytes` must have the algorithm's length.
    fn from_exact(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut all = [0; MAX_LEN];
        all[..algorithm.len()].copy_from_slice(bytes);
        Self {
            algorithm,
            bytes: all,
        }
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = |problem| ParseError::new(Word::Digest, problem, s);
        let (algorithm, hex) = s
            .split_once(':')
            .ok_or_else(|| wrong("no colon behind the algorithm"))?;
        let algorithm: Algorithm = algorithm
            .parse()
            .map_err(|e: ParseError| wrong(e.problem()))?;
        if hex.len() != algorithm.hex_len() {
            return Err(wrong("not as long as its algorithm makes it"));
        }
        if hex.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong("not lower-case hex behind the colon"));
        }
        let mut bytes = [0; MAX_LEN];
        hex::decode_to_slice(hex, &mut bytes[..algorithm.len()])
            .map_err(|_| wrong("not lower-case hex behind the colon"))?;
        Ok(Self { algorithm, bytes })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0; MAX_LEN * 2];
        let hex = &mut hex[..self.algorithm.hex_len()];
        hex::encode_to_slice(self.as_bytes(), hex).map_err(|_| fmt::Error)?;
        f.write_str(self.algorithm.as_str())?;
        f.write_str(":")?;
        f.write_str(std::str::from_utf8(hex).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
