//! Reading manifests from their files, and recognizing them among other files.

use std::{fs::File, io::Read};

use manifest_model::{Algorithm, Digest, Manifest, MediaType};

use crate::{disk::Disk, error::CacheError};

/// A larger file is not treated as a manifest.
pub const MAX_MANIFEST_SIZE: u64 = manifest_model::MAX_MANIFEST_BYTES as u64;

/// The stored state of a manifest.
pub enum ManifestFile {
    /// There is no file.
    Absent,
    /// Its bytes do not match its digest.
    Damaged,
    /// Its bytes are what its digest says.
    Whole(Manifest),
}

/// Reads a manifest that the index knows as `media_type`. Blocks.
pub fn read(
    disk: &Disk,
    digest: &Digest,
    media_type: &MediaType,
) -> Result<ManifestFile, CacheError> {
    let Some(bytes) = disk.read_whole(digest, MAX_MANIFEST_SIZE)? else {
        return Ok(ManifestFile::Absent);
    };
    // The index knows it as a manifest, so its digest alone tells whether it is the one.
    let parsed = Manifest::of_digest(bytes, Some(media_type), digest.algorithm());
    Ok(match parsed {
        Ok(manifest) if manifest.digest() == *digest => ManifestFile::Whole(manifest),
        _ => ManifestFile::Damaged,
    })
}

/// The file as a manifest, if it is one. An image config is JSON too, but has neither layers nor
/// manifests.
pub fn recognize(mut file: File, size: u64, algorithm: Algorithm) -> Option<Manifest> {
    if size > MAX_MANIFEST_SIZE {
        return None;
    }
    let mut bytes = vec![0; 1];
    file.read_exact(&mut bytes).ok()?;
    if !(bytes[0] == b'{' || bytes[0].is_ascii_whitespace()) {
        return None;
    }
    file.read_to_end(&mut bytes).ok()?;
    let parsed = Manifest::parse(bytes.into(), None, algorithm);
    parsed
        .ok()
        .filter(|manifest| manifest.links().next().is_some())
}
