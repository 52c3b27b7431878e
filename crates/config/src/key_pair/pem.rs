//! The two texts of a pair: their sections, and whether they belong together.

use std::io;

use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use super::PairFile;

/// A flaw in one of the files, or between the two.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The system cannot read it.
    #[error(transparent)]
    Unreadable(io::Error),
    /// There are broken or cut sections in it.
    #[error("it is not PEM")]
    NotPem(#[source] pem::Error),
    /// Other things may be in it.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// Other things may be in it.
    #[error("there is no private key in it")]
    NoKey,
    /// Archway has no way to ask for the passphrase.
    #[error("the key in it is locked with a passphrase")]
    Locked,
    /// The first certificate is none that TLS could use.
    #[error("the first certificate in it cannot be used")]
    BadCertificate(#[source] Error),
    /// The key is damaged, or of a kind that TLS does not use.
    #[error("the key in it cannot be used")]
    BadKey(#[source] Error),
    /// Each is fine, but not with the other.
    #[error("the key in it does not belong to the first certificate")]
    Mismatch,
}

impl Flaw {
    /// How to fix it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "name a file in PEM form that the user Archway runs as may read",
            Self::NotPem(_) => "a section goes from -----BEGIN to -----END",
            Self::NoCertificate | Self::BadCertificate(_) => {
                "it holds the certificate of the key, then those that lead to its authority"
            }
            Self::NoKey | Self::BadKey(_) => {
                "it holds an RSA, ECDSA or Ed25519 key that begins with -----BEGIN PRIVATE KEY"
            }
            Self::Locked => "write it without one: openssl pkey -in LOCKED -out KEY",
            Self::Mismatch => "the certificate of the key comes first in its file",
        }
    }
}

/// All certificates of a text, in its order; never none.
pub(super) fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(Flaw::NotPem)?;
    if chain.is_empty() {
        return Err(Flaw::NoCertificate);
    }
    Ok(chain)
}

/// The first private key of a text, in any of the three wrappings that are in use.
pub(super) fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(_) if is_locked(text) => Err(Flaw::Locked),
        Err(pem::Error::NoItemsFound) => Err(Flaw::NoKey),
        Err(error) => Err(Flaw::NotPem(error)),
    }
}

/// Both forms of locked keys contain the word: in the section's name, or above the base64.
fn is_locked(text: &[u8]) -> bool {
    text.windows(b"ENCRYPTED".len())
        .any(|word| word == b"ENCRYPTED")
}

/// The pair, when the key is that of the first certificate. Its expiry and its names are for the
/// clients to judge.
pub(super) fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, (PairFile, Flaw)> {
    let key = aws_lc_rs::sign::any_supported_type(key)
        .map_err(|error| (PairFile::Key, Flaw::BadKey(error)))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err((PairFile::Key, Flaw::Mismatch))
        }
        Err(error) => Err((PairFile::Cert, Flaw::BadCertificate(error))),
    }
}
