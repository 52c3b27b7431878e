//! The keys whose bundles are trusted.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use bundle::{NotAKey, PublicKey};
use config::TrustedKey;

/// Why a key to trust cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the public key {}", path.display())]
pub struct TrustError {
    path: PathBuf,
    source: Box<dyn Error + Send + Sync>,
}

/// The keys as they are now: their files are read each time, so that a key is exchanged without a
/// restart.
pub(crate) fn keys(configured: &[TrustedKey]) -> Result<Vec<PublicKey>, TrustError> {
    configured.iter().map(key).collect()
}

/// The key of a command line: itself, or the file it is in.
pub fn named_key(text: &str) -> Result<PublicKey, TrustError> {
    text.parse().or_else(|_| read(Path::new(text)))
}

fn key(configured: &TrustedKey) -> Result<PublicKey, TrustError> {
    match configured {
        TrustedKey::Line(line) => named_key(line),
        TrustedKey::File(path) => read(path),
    }
}

fn read(path: &Path) -> Result<PublicKey, TrustError> {
    let failed = |source: Box<dyn Error + Send + Sync>| TrustError {
        path: path.to_owned(),
        source,
    };
    let text = fs::read_to_string(path).map_err(|source| failed(source.into()))?;
    text.parse()
        .map_err(|source: NotAKey| failed(source.into()))
}
