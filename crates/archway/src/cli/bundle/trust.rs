//! The keys whose bundles are trusted.

use std::{fs, path::Path};

use bundle::PublicKey;
use config::TrustedKey;

use super::error::TrustError;

/// The keys as they are now: their files are read each time, so that a key is exchanged without a
/// restart.
pub(super) fn keys(configured: &[TrustedKey]) -> Result<Vec<PublicKey>, TrustError> {
    configured.iter().map(key).collect()
}

/// The key of a command line: itself, or the file it is in.
pub(super) fn named(text: &str) -> Result<PublicKey, TrustError> {
    text.parse().or_else(|_| read(Path::new(text)))
}

fn key(configured: &TrustedKey) -> Result<PublicKey, TrustError> {
    match configured {
        TrustedKey::Line(line) => named(line),
        TrustedKey::File(path) => read(path),
    }
}

fn read(path: &Path) -> Result<PublicKey, TrustError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| TrustError {
        path: path.to_owned(),
        source,
    };
    let text = fs::read_to_string(path).map_err(|source| failed(source.into()))?;
    text.parse()
        .map_err(|source: bundle::NotAKey| failed(source.into()))
}
