//! Where the bytes of blobs come from.

use std::{fs::File, io};

use manifest_model::Digest;

/// A store of blobs, read while a bundle is written. Must be able to open each blob of the lock
/// more than once; the writer hashes what it reads, so the store need not.
pub trait Contents {
    /// The blob as a file of its own, at its beginning.
    fn open(&self, digest: &Digest) -> io::Result<File>;
}
