//! Signatures of locks, as minisign makes and checks them: Ed25519 over the lock's BLAKE2b-512.
//!
//! A lock names every digest, so its signature reaches every byte of a bundle. Making one is left to
//! whoever has the key; see [`trusted_comment`].

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minisign_verify::Signature;

use crate::{lock::Lock, read::Bundle};

/// The bytes before the key's number in the text form of keys and signatures: an algorithm.
const ALGORITHM_BYTES: usize = 2;

/// The public half of a minisign key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    key: minisign_verify::PublicKey,
    number: KeyNumber,
}

/// The number that minisign gives a key, and names in its signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyNumber(u64);

impl fmt::Display for KeyNumber {
    /// Sixteen capital digits, as minisign writes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016X}", self.0)
    }
}

/// A text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no public key of minisign; it begins with RW and has 56 characters")]
pub struct NotAKey;

/// Why the signature of a bundle is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("the bundle is not signed")]
    Unsigned,
    /// What is in its place is something else.
    #[error("the bundle's signature is none of minisign")]
    Malformed,
    /// It is by a key that is not trusted.
    #[error(
        "the bundle is signed by the key {number}, which is none of the trusted keys: {trusted}"
    )]
    Untrusted {
        /// The key that the signature names.
        number: KeyNumber,
        /// The trusted ones, as a list.
        trusted: String,
    },
    /// It names a trusted key and was not made by it over this lock.
    #[error(
        "the bundle's signature by the key {number} is wrong: the lock or the signature was changed"
    )]
    Wrong {
        /// The key that the signature names.
        number: KeyNumber,
    },
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    /// The line with the key alone, or a whole `.pub` file with its comment.
    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let line = text.trim().lines().last().ok_or(NotAKey)?.trim();
        let key = minisign_verify::PublicKey::from_base64(line).map_err(|_| NotAKey)?;
        let number = number(line).ok_or(NotAKey)?;
        Ok(Self { key, number })
    }
}

impl PublicKey {
    /// Its number.
    pub fn number(&self) -> KeyNumber {
        self.number
    }
}

/// The key of `trusted` that has signed the bundle.
pub fn signer(bundle: &Bundle, trusted: &[PublicKey]) -> Result<KeyNumber, SignatureError> {
    let text = bundle.signature().ok_or(SignatureError::Unsigned)?;
    let signature = Signature::decode(text).map_err(|_| SignatureError::Malformed)?;
    let number = named(text).ok_or(SignatureError::Malformed)?;
    let key = trusted.iter().find(|key| key.number == number);
    let key = key.ok_or_else(|| SignatureError::Untrusted {
        number,
        trusted: list(trusted),
    })?;
    // Signatures over the whole lock in place of its hash are of minisign before 0.10.
    let right = key.key.verify(bundle.lock_bytes(), &signature, false);
    right.map_err(|_| SignatureError::Wrong { number })?;
    Ok(number)
}

/// The key that a signature names. It proves nothing.
pub fn named(signature: &str) -> Option<KeyNumber> {
    number(signature.lines().nth(1)?)
}

/// The comment that the signature of a lock covers, so that `minisign -V` shows what was signed.
pub fn trusted_comment(lock: &Lock, bytes: &[u8]) -> String {
    let id = Lock::id(bytes);
    match (&lock.series, lock.sequence) {
        (Some(series), Some(sequence)) => {
            format!("archway bundle {id} series {series} sequence {sequence}")
        }
        _ => format!("archway bundle {id}"),
    }
}

fn number(line: &str) -> Option<KeyNumber> {
    let bytes = STANDARD.decode(line.trim()).ok()?;
    let number = bytes.get(ALGORITHM_BYTES..)?.first_chunk()?;
    Some(KeyNumber(u64::from_le_bytes(*number)))
}

fn list(keys: &[PublicKey]) -> String {
    let numbers: Vec<String> = keys.iter().map(|key| key.number.to_string()).collect();
    numbers.join(", ")
}
