//! Blobs that lie in files of others, each at its place: those of a bundle that is served as it is.
//!
//! Nothing here was hashed when it came, so each blob is proved before its first byte goes out, and
//! that is remembered.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::{Arc, OnceLock},
};

use manifest_model::{Digest, Hasher};
use parking_lot::RwLock;

/// How much of a file is hashed at once.
const CHUNK: usize = 1 << 20;

/// A blob in a file of others.
#[derive(Clone, Debug)]
pub struct CarriedBlob {
    /// The file.
    pub file: Arc<File>,
    /// Where the blob begins in it.
    pub start: u64,
    /// The blob's size.
    pub size: u64,
}

/// Whether the bytes of a blob are those that its digest names; unknown until somebody asks. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct BlobProof {
    digest: Digest,
    blob: CarriedBlob,
    is_sound: Arc<OnceLock<bool>>,
}

/// The blobs that lie elsewhere.
#[derive(Debug, Default)]
pub(super) struct Carried(RwLock<HashMap<Digest, BlobProof>>);

impl Carried {
    /// Adds blobs; one that is known stays where it is.
    pub(super) fn add(&self, blobs: impl Iterator<Item = (Digest, CarriedBlob)>) {
        let mut known = self.0.write();
        for (digest, blob) in blobs {
            known.entry(digest).or_insert_with(|| BlobProof {
                digest,
                blob,
                is_sound: Arc::default(),
            });
        }
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<BlobProof> {
        self.0.read().get(digest).cloned()
    }
}

impl BlobProof {
    /// Where the blob is.
    pub fn blob(&self) -> &CarriedBlob {
        &self.blob
    }

    /// Whether all of the blob was hashed, and is sound.
    pub fn is_known(&self) -> bool {
        self.is_sound.get() == Some(&true)
    }

    /// Hashes the blob, unless that was done; all who ask meanwhile wait for the one. Blocks.
    pub fn holds(&self) -> bool {
        *self.is_sound.get_or_init(|| self.hash().unwrap_or(false))
    }

    fn hash(&self) -> io::Result<bool> {
        let CarriedBlob { file, start, size } = &self.blob;
        let mut hasher = Hasher::new(self.digest.algorithm());
        let mut source = Section {
            file,
            at: *start,
            end: start + size,
        };
        let length = hasher.add_all(&mut source, &mut vec![0; CHUNK], |_| ())?;
        Ok(length == *size && hasher.finish() == self.digest)
    }
}

/// A part of a file, read without its position.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let length = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}
