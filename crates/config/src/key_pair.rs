//! A certificate chain and its private key in two PEM files, accepted only when they belong
//! together.
//!
//! `pem.rs` knows the content of the two, this file reads them. The users of a pair decide when to
//! read it again.

mod pem;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

pub use pem::Flaw;
use rustls::{pki_types::CertificateDer, sign::CertifiedKey};
use serde::Serialize;

/// No chain is nearly that long; a device file or a wrong path would be.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// The two files of a pair, such as those of a mounted Kubernetes secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyPairFiles {
    /// The certificate, then those between it and its root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairFile {
    /// The certificate chain.
    Cert,
    /// The private key.
    Key,
}

/// Why two files are no pair: the file to fix, and its flaw.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", path.display())]
pub struct KeyPairError {
    /// Which of the two it is.
    pub file: PairFile,
    /// Its path.
    pub path: PathBuf,
    /// Its flaw.
    #[source]
    pub flaw: Flaw,
}

impl KeyPairFiles {
    /// The pair as the files are now.
    ///
    /// Touches the file system: call it where blocking is allowed.
    pub fn read(&self) -> Result<CertifiedKey, KeyPairError> {
        let wrong = |file, flaw| KeyPairError {
            file,
            path: match file {
                PairFile::Cert => self.cert.clone(),
                PairFile::Key => self.key.clone(),
            },
            flaw,
        };
        let read = |file, path| read(path).map_err(|error| wrong(file, Flaw::Unreadable(error)));
        let chain = read(PairFile::Cert, &self.cert)?;
        let chain = pem::chain(&chain).map_err(|flaw| wrong(PairFile::Cert, flaw))?;
        let key = read(PairFile::Key, &self.key)?;
        let key = pem::key(&key).map_err(|flaw| wrong(PairFile::Key, flaw))?;
        pem::pair(chain, &key).map_err(|(file, flaw)| wrong(file, flaw))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_PEM_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PEM_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// All certificates of a file; never none.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    pem::chain(&read(path).map_err(Flaw::Unreadable)?)
}

#[cfg(test)]
mod tests;
