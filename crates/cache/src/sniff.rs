//! Telling manifests from other files by what stands in them.

use std::{fs::File, io::Read};

use manifest_model::{Algorithm, Manifest};

/// Files above this are no manifests (distribution-spec: registries may refuse manifests over 4 MiB).
pub(crate) const LARGEST_MANIFEST: u64 = 4 * 1024 * 1024;

/// The file as a manifest, if it is one: an image's config is JSON too, but has neither layers nor manifests of its own.
pub(crate) fn manifest(mut file: File, size: u64, algorithm: Algorithm) -> Option<Manifest> {
    if size > LARGEST_MANIFEST {
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
