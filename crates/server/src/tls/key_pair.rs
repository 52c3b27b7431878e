//! The certificate and key of a listener, as their files are.

use std::{fmt, fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::SystemTime};

use config::{KeyPairError, KeyPairFiles};
use parking_lot::RwLock;
use rustls::sign::CertifiedKey;
use x509_cert::{Certificate, der::Decode};

/// A pair of certificate and key and its files. A clone is a cheap handle to the same pair.
///
/// `Debug` shows the files only.
#[derive(Clone)]
pub(crate) struct KeyPair(Arc<KeyPairInner>);

struct KeyPairInner {
    files: KeyPairFiles,
    last: RwLock<LoadedPair>,
}

/// The pair as it was when the files had these stamps.
struct LoadedPair {
    stamps: [Stamp; 2],
    pair: Arc<CertifiedKey>,
}

/// The result of [`KeyPair::refresh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refreshed {
    /// The files have not changed.
    Unchanged,
    /// There is a new pair.
    Replaced,
}

impl KeyPair {
    /// Reads both files for the first time.
    pub(crate) fn load(files: KeyPairFiles) -> Result<Self, KeyPairError> {
        let last = RwLock::new(load(&files)?);
        Ok(Self(Arc::new(KeyPairInner { files, last })))
    }

    /// The file of the certificate chain.
    pub(super) fn cert(&self) -> &Path {
        &self.0.files.cert
    }

    /// The last good pair.
    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        let last = self.0.last.read();
        Arc::clone(&last.pair)
    }

    /// Until when the certificate is valid, if its dates can be read.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        let pair = self.current();
        let certificate = Certificate::from_der(pair.cert.first()?).ok()?;
        let end = certificate.tbs_certificate.validity.not_after;
        Some(end.to_system_time())
    }

    /// Reads the files again when one of them has changed; if they are no pair now, the last good
    /// one stays.
    ///
    /// Touches the file system: call it where blocking is allowed.
    pub(super) fn refresh(&self) -> Result<Refreshed, KeyPairError> {
        let known = {
            let last = self.0.last.read();
            last.stamps
        };
        if stamps(&self.0.files) == known {
            return Ok(Refreshed::Unchanged);
        }
        let version = load(&self.0.files)?;
        *self.0.last.write() = version;
        Ok(Refreshed::Replaced)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPair")
            .field("cert", &self.0.files.cert)
            .field("key", &self.0.files.key)
            .finish_non_exhaustive()
    }
}

/// The stamps are taken first: a change between the two steps is then seen again, not missed.
fn load(files: &KeyPairFiles) -> Result<LoadedPair, KeyPairError> {
    let stamps = stamps(files);
    let pair = Arc::new(files.read()?);
    Ok(LoadedPair { stamps, pair })
}

/// The file that a path leads to, through all symbolic links: device, inode, size, and the time of
/// the last change, which no program can set back as it can the time of the last write. `None` if
/// it leads nowhere.
type Stamp = Option<[i128; 5]>;

fn stamps(files: &KeyPairFiles) -> [Stamp; 2] {
    [&files.cert, &files.key].map(|path| {
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
