//! Digests: the names of content.
//!
//! The wire form is `algorithm:hex` with lower-case hex of the algorithm's exact length. Only the
//! two algorithms that registries serve are known; a digest of any other is refused.

pub(crate) mod hasher;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::hasher::Hasher;
use crate::error::{ParseError, Word};

/// The size of the longest digest, that of SHA-512.
const MAX_DIGEST_BYTES: usize = 64;

const WRONG_LENGTH: &str = "the wrong length for its algorithm";
const NOT_HEX: &str = "not lower-case hex after the colon";

/// A digest algorithm of the OCI image specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, in practice the algorithm of nearly all content.
    Sha256,
    /// SHA-512, the other algorithm the specification registers.
    Sha512,
}

impl Algorithm {
    /// The number of hex digits in a digest of this algorithm.
    pub const fn hex_len(self) -> usize {
        self.len() * 2
    }

    /// The number of bytes in a digest of this algorithm.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The digest of some content: an [`Algorithm`] and the bytes it computed.
///
/// Digests are ordered by algorithm, then by value, and serialised in their wire form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Zero past the algorithm's length, so that the derived comparisons are right.
    bytes: [u8; MAX_DIGEST_BYTES],
}

impl Digest {
    /// Computes the digest of `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Builds a digest from its two parts, for a store that keeps them apart.
    ///
    /// The number of bytes must be the one the algorithm computes.
    pub fn from_parts(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() == algorithm.len() {
            Ok(Self::from_exact(algorithm, bytes))
        } else {
            Err(ParseError::new(
                Word::Digest,
                WRONG_LENGTH,
                &hex::encode(bytes),
            ))
        }
    }

    /// The algorithm that computed the digest.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part after the colon.
    pub fn hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// The bytes the algorithm computed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len()]
    }

    /// `bytes` must have the algorithm's length.
    fn from_exact(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut all = [0; MAX_DIGEST_BYTES];
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
            .ok_or_else(|| wrong("no colon after the algorithm"))?;
        let algorithm: Algorithm = algorithm
            .parse()
            .map_err(|e: ParseError| wrong(e.problem()))?;
        if hex.len() != algorithm.hex_len() {
            return Err(wrong(WRONG_LENGTH));
        }
        if hex.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong(NOT_HEX));
        }
        let mut bytes = [0; MAX_DIGEST_BYTES];
        hex::decode_to_slice(hex, &mut bytes[..algorithm.len()]).map_err(|_| wrong(NOT_HEX))?;
        Ok(Self { algorithm, bytes })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0; MAX_DIGEST_BYTES * 2];
        let hex = &mut hex[..self.algorithm.hex_len()];
        hex::encode_to_slice(self.as_bytes(), hex).map_err(|_| fmt::Error)?;
        formatter.write_str(self.algorithm.as_str())?;
        formatter.write_str(":")?;
        formatter.write_str(std::str::from_utf8(hex).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
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
