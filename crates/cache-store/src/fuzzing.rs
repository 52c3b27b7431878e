//! Doors for the fuzz targets, which see no more of this crate: built by `cargo fuzz` alone.

/// Reads a journal; one that can be read is read the same from what it is written as.
pub fn journal(text: &str) {
    crate::disk::fuzz_journal(text);
}

/// Reads the index snapshot: these bytes as they are, and as the lines of one that is whole.
pub fn snapshot(bytes: &[u8]) {
    crate::index::fuzz_snapshot(bytes);
}
