//! The layout of the file: which bytes are where, as a function of the lock's bytes.

use manifest_model::Digest;

use crate::{
    documents,
    lock::{Blob, Lock, LockError},
    tar_header::{self, BLOCK, padded},
};

/// The reserved place of the signature. It is blank until the bundle is signed, so that signing
/// changes these bytes and no others.
pub const SIGNATURE_BYTES: u64 = 1024;

/// Where the lock's data begins: after the header and data of `oci-layout`, and its own header.
pub(crate) const LOCK_AT: u64 = 3 * BLOCK;

const OCI_LAYOUT: &str = "oci-layout";
const LOCK: &str = "archway/lock.json";
const CHECKSUM: &str = "archway/lock.json.sha256";
const SIGNATURE: &str = "archway/lock.json.minisig";
const INDEX: &str = "index.json";
const DOCKER_ARCHIVE: &str = "manifest.json";

/// Two blocks of zeros end a tar.
const END: u64 = 2 * BLOCK;

/// Where everything in a bundle is.
#[derive(Clone, Debug)]
pub struct Layout {
    /// All bytes before the first blob's headers, with a blank signature.
    head: Vec<u8>,
    signature_at: u64,
    blobs: Vec<Placed>,
    size: u64,
}

/// A blob in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Where its headers begin.
    pub(crate) headers_at: u64,
    /// Where its bytes begin, a multiple of 4096.
    pub(crate) data_at: u64,
}

impl Placed {
    /// Its headers.
    pub(crate) fn headers(&self) -> Vec<u8> {
        tar_header::aligned(&documents::path(&self.digest), self.size, self.headers_at)
    }

    /// Where its padding ends.
    pub(crate) fn end(&self) -> u64 {
        self.data_at + padded(self.size)
    }
}

/// Why a lock has no layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The lock is not valid.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The lock gives a blob another place than it has.
    #[error("the lock has a wrong offset for the blob {0}")]
    Offset(Digest),
}

impl Layout {
    /// The layout of the bundle with the lock `bytes`, which parse as `lock`.
    pub fn new(bytes: &[u8], lock: &Lock) -> Result<Self, LayoutError> {
        let (head, signature_at) = head(bytes, lock);
        let mut blobs = Vec::with_capacity(lock.blobs.len());
        let mut position = head.len() as u64;
        let mut first = None;
        for blob in lock.carried() {
            let placed = place(blob, position).ok_or(LockError::Sizes)?;
            let first = *first.get_or_insert(placed.data_at);
            if blob.offset != Some(placed.data_at - first) {
                return Err(LayoutError::Offset(blob.digest));
            }
            position = placed.end();
            blobs.push(placed);
        }
        let size = position.checked_add(END).ok_or(LockError::Sizes)?;
        Ok(Self {
            head,
            signature_at,
            blobs,
            size,
        })
    }

    /// The size of the whole file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the reserved [`SIGNATURE_BYTES`] begin.
    pub fn signature_at(&self) -> u64 {
        self.signature_at
    }

    /// Where the bytes of a blob begin; `None` if the file does not carry it. Takes time that grows
    /// with the number of blobs.
    pub fn offset(&self, digest: &Digest) -> Option<u64> {
        let placed = self.blobs.iter().find(|placed| placed.digest == *digest);
        placed.map(|placed| placed.data_at)
    }

    /// The carried blobs in the order of the file: digest, size, and where their bytes begin.
    pub fn carried(&self) -> impl Iterator<Item = (Digest, u64, u64)> {
        let blobs = self.blobs.iter();
        blobs.map(|placed| (placed.digest, placed.size, placed.data_at))
    }

    /// Of a file of `length` bytes that was cut off while it was written, how many to keep: up to
    /// the end of its last entry that something follows. One that ends the file may not have been
    /// checked.
    pub fn whole_until(&self, length: u64) -> u64 {
        let entries = self.blobs.iter().map(Placed::end);
        let ends = [self.head.len() as u64].into_iter().chain(entries);
        ends.take_while(|&end| end < length).last().unwrap_or(0)
    }

    /// Bytes that follow from the lock and touch `range`, each with its place: the headers of blobs,
    /// and the end.
    pub(crate) fn landmarks(
        &self,
        range: std::ops::Range<u64>,
    ) -> impl Iterator<Item = (u64, Vec<u8>)> {
        let end = vec![0; usize::try_from(END).expect("small")];
        let touches = move |at: u64, until: u64| at < range.end && until > range.start;
        let is_touched = touches;
        let headers = self.blobs.iter();
        let headers = headers.filter(move |blob| is_touched(blob.headers_at, blob.data_at));
        let headers = headers.map(|blob| (blob.headers_at, blob.headers()));
        let end = touches(self.end_at(), self.size).then(|| (self.end_at(), end));
        headers.chain(end)
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn blobs(&self) -> &[Placed] {
        &self.blobs
    }

    /// Where the two blocks that end the file begin.
    pub(crate) fn end_at(&self) -> u64 {
        self.size - END
    }
}

/// Gives each carried blob its offset, for a lock that is being made.
pub(crate) fn set_offsets(blobs: &mut [Blob]) -> Result<(), LockError> {
    let mut position = BLOCK;
    let mut first = None;
    for blob in blobs {
        blob.offset = None;
        if blob.place == crate::lock::Place::Bundle {
            let placed = place(blob, position).ok_or(LockError::Sizes)?;
            let first = *first.get_or_insert(placed.data_at);
            blob.offset = Some(placed.data_at - first);
            position = placed.end();
        }
    }
    Ok(())
}

fn place(blob: &Blob, headers_at: u64) -> Option<Placed> {
    let headers = tar_header::aligned_len(&documents::path(&blob.digest), blob.size, headers_at);
    let data_at = headers_at.checked_add(headers)?;
    // Twice a boundary of room, for the padding and the next headers.
    data_at.checked_add(blob.size)?.checked_add(1 << 20)?;
    Some(Placed {
        digest: blob.digest,
        size: blob.size,
        headers_at,
        data_at,
    })
}

/// The bytes before the data of a lock of `size` bytes: [`LOCK_AT`] of them.
pub(crate) fn start(size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    add(&mut bytes, OCI_LAYOUT, documents::OCI_LAYOUT.as_bytes());
    bytes.extend_from_slice(&tar_header::plain(LOCK, size));
    bytes
}

fn head(bytes: &[u8], lock: &Lock) -> (Vec<u8>, u64) {
    let mut head = start(bytes.len() as u64);
    add_data(&mut head, bytes);
    // For `sha256sum -c`, and so that a bit that flips in an unsigned lock is found.
    let checksum = format!("{}  {LOCK}\n", Lock::id(bytes).hex());
    add(&mut head, CHECKSUM, checksum.as_bytes());
    let blank = vec![b'\n'; usize::try_from(SIGNATURE_BYTES).expect("small")];
    let signature_at = head.len() as u64 + BLOCK;
    add(&mut head, SIGNATURE, &blank);
    add(&mut head, INDEX, &documents::index(lock));
    add(&mut head, DOCKER_ARCHIVE, &documents::docker_archive(lock));
    (head, signature_at)
}

fn add(out: &mut Vec<u8>, path: &str, data: &[u8]) {
    out.extend_from_slice(&tar_header::plain(path, data.len() as u64));
    add_data(out, data);
}

fn add_data(out: &mut Vec<u8>, data: &[u8]) {
    let block = usize::try_from(BLOCK).expect("small");
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(block), 0);
}
