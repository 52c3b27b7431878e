//! A certificate chain and its private key, read from two PEM files and only taken when they belong together.
//!
//! `pem.rs` says what two texts must hold; this file knows the files, and what became of them since.

mod pem;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

pub use pem::Flaw;
use rustls::{pki_types::CertificateDer, sign::CertifiedKey};

/// No chain is nearly that long; a device file or a wrong path would be.
const MOST_BYTES: u64 = 1 << 20;

/// What a TLS server shows and signs with, kept in files such as a mounted Kubernetes secret. A clone is a cheap
/// handle to the same pair.
///
/// `Debug` shows the files; two pairs are equal when they come from the same files.
#[derive(Clone)]
pub struct KeyPair(Arc<Inner>);

struct Inner {
    cert: PathBuf,
    key: PathBuf,
    last: RwLock<Version>,
}

/// The pair as it was when the files had these stamps.
struct Version {
    stamps: [Stamp; 2],
    pair: Arc<CertifiedKey>,
}

/// What [`KeyPair::refresh`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// The files are as they were.
    Unchanged,
    /// There is a new pair.
    Replaced,
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairFile {
    /// The certificate chain.
    Cert,
    /// The private key.
    Key,
}

/// Why two files are no pair: the file that is to be mended, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", path.display())]
pub struct KeyPairError {
    /// Which of the two it is.
    pub file: PairFile,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub flaw: Flaw,
}

impl KeyPair {
    /// Reads both files for the first time.
    pub fn from_files(
        cert: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<KeyPair, KeyPairError> {
        let (cert, key) = (cert.into(), key.into());
        let last = RwLock::new(load(&cert, &key)?);
        Ok(KeyPair(Arc::new(Inner { cert, key, last })))
    }

    /// The file of the certificate chain.
    pub fn cert(&self) -> &Path {
        &self.0.cert
    }

    /// The file of the private key.
    pub fn key(&self) -> &Path {
        &self.0.key
    }

    /// The last pair that was good.
    pub fn current(&self) -> Arc<CertifiedKey> {
        let last = self.0.last.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&last.pair)
    }

    /// Reads the files anew when one of them has changed; where they are no pair now, the last good one stays.
    ///
    /// Touches the file system: call it where blocking is allowed.
    pub fn refresh(&self) -> Result<Refreshed, KeyPairError> {
        let known = {
            let last = self.0.last.read().unwrap_or_else(PoisonError::into_inner);
            last.stamps
        };
        if stamps(self.cert(), self.key()) == known {
            return Ok(Refreshed::Unchanged);
        }
        let version = load(self.cert(), self.key())?;
        *self.0.last.write().unwrap_or_else(PoisonError::into_inner) = version;
        Ok(Refreshed::Replaced)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("cert", &self.cert())
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

impl PartialEq for KeyPair {
    fn eq(&self, other: &Self) -> bool {
        (self.cert(), self.key()) == (other.cert(), other.key())
    }
}

impl Eq for KeyPair {}

/// The stamps are taken first: a change between the two steps is then seen again, not missed.
fn load(cert: &Path, key: &Path) -> Result<Version, KeyPairError> {
    let stamps = stamps(cert, key);
    let wrong = |file, flaw| KeyPairError {
        file,
        path: match file {
            PairFile::Cert => cert,
            PairFile::Key => key,
        }
        .to_owned(),
        flaw,
    };
    let read = |file, path| read(path).map_err(|error| wrong(file, Flaw::Unreadable(error)));
    let chain = read(PairFile::Cert, cert)?;
    let chain = pem::chain(&chain).map_err(|flaw| wrong(PairFile::Cert, flaw))?;
    let secret = read(PairFile::Key, key)?;
    let secret = pem::key(&secret).map_err(|flaw| wrong(PairFile::Key, flaw))?;
    let pair = pem::pair(chain, &secret).map_err(|(file, flaw)| wrong(file, flaw))?;
    Ok(Version {
        stamps,
        pair: Arc::new(pair),
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// All certificates of a file; never none.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    pem::chain(&read(path).map_err(Flaw::Unreadable)?)
}

/// What a path leads to, through all symbolic links: device, inode, size, and the time of the last change, which no
/// program can set back as it can the time of the last write. Nothing where it leads nowhere.
type Stamp = Option<[i128; 5]>;

fn stamps(cert: &Path, key: &Path) -> [Stamp; 2] {
    [cert, key].map(|path| {
        let found = fs::metadata(path).ok()?;
        Some([
            found.dev().into(),
            found.ino().into(),
            found.size().into(),
            found.ctime().into(),
            found.ctime_nsec().into(),
        ])
    })
}

#[cfg(test)]
mod tests;
