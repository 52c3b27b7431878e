//! Reading a bundle: its head, and with that all that can be known without reading blobs.

use std::io::{self, Read};

use manifest_model::Digest;

use crate::{
    layout::{self, LOCK_AT, Layout, LayoutError, SIGNATURE_BYTES},
    lock::{Lock, LockError, MAX_LOCK_BYTES},
    tar_header::{BLOCK, padded},
};

/// The size field of a tar header.
const SIZE_FIELD: std::ops::Range<usize> = 124..136;

/// A bundle whose head was read.
#[derive(Clone, Debug)]
pub struct Bundle {
    id: Digest,
    lock: Lock,
    lock_bytes: Vec<u8>,
    layout: Layout,
    signature: Option<String>,
}

/// Why a file is refused as a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("cannot read the bundle")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is not an Archway bundle: it does not begin with an OCI layout and a lock")]
    NotABundle,
    /// It ends too early.
    #[error("the bundle ends after {length} bytes, within its {part}; copy it again")]
    CutShort {
        /// The bytes there are.
        length: u64,
        /// The part that is cut.
        part: &'static str,
    },
    /// Its lock is not valid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Something is not as the lock says.
    #[error("the bundle is damaged at byte {at}: it differs from what its lock says")]
    Damaged {
        /// The first byte that differs.
        at: u64,
    },
    /// The signature slot holds bytes that are no text.
    #[error("the bundle's signature is damaged")]
    Signature,
}

impl From<LockError> for ReadError {
    fn from(error: LockError) -> Self {
        Self::Layout(error.into())
    }
}

impl Bundle {
    /// Reads the head from the beginning of a bundle, and no further: the same time for 1 MB and
    /// for 200 GB. What follows in `source` are the headers of the first blob.
    pub fn open(source: &mut impl Read) -> Result<Self, ReadError> {
        let lock_bytes = read_lock(source)?;
        let lock = Lock::parse(&lock_bytes)?;
        let layout = Layout::new(&lock_bytes, &lock)?;
        let signature = read_rest(source, &layout, lock_bytes.len())?;
        Ok(Self {
            id: Lock::id(&lock_bytes),
            lock,
            lock_bytes,
            layout,
            signature,
        })
    }

    /// The bundle of a lock that lies beside it or beside its parts, with its signature.
    pub fn of_lock(lock_bytes: Vec<u8>, signature: Option<String>) -> Result<Self, ReadError> {
        let lock = Lock::parse(&lock_bytes)?;
        let layout = Layout::new(&lock_bytes, &lock)?;
        Ok(Self {
            id: Lock::id(&lock_bytes),
            lock,
            lock_bytes,
            layout,
            signature,
        })
    }

    /// The digest of its lock.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// What it holds.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The lock as the file has it: what is signed.
    pub fn lock_bytes(&self) -> &[u8] {
        &self.lock_bytes
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The text of its signature; `None` while it is not signed.
    pub fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }
}

/// The lock's bytes, after a look at what is before them.
fn read_lock(source: &mut impl Read) -> Result<Vec<u8>, ReadError> {
    let mut start = vec![0; usize::try_from(LOCK_AT).expect("small")];
    if fill(source, &mut start)? < start.len() {
        return Err(ReadError::NotABundle);
    }
    let header = start.len() - usize::try_from(BLOCK).expect("small");
    let size = octal(&start[header..][SIZE_FIELD]).ok_or(ReadError::NotABundle)?;
    if start != layout::start(size) {
        return Err(ReadError::NotABundle);
    }
    if size > MAX_LOCK_BYTES {
        return Err(LockError::TooLong { size }.into());
    }
    // Grows with what arrives: a size that lies costs nothing.
    let mut bytes = Vec::new();
    source.take(size).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < size {
        return Err(ReadError::CutShort {
            length: LOCK_AT + bytes.len() as u64,
            part: "lock",
        });
    }
    Ok(bytes)
}

/// The rest of the head, which must be as the lock says but for the signature.
fn read_rest(
    source: &mut impl Read,
    layout: &Layout,
    lock_len: usize,
) -> Result<Option<String>, ReadError> {
    let from = usize::try_from(LOCK_AT).expect("small") + lock_len;
    let mut expected = layout.head()[from..].to_vec();
    let mut found = vec![0; expected.len()];
    let length = fill(source, &mut found)?;
    if length < found.len() {
        return Err(ReadError::CutShort {
            length: (from + length) as u64,
            part: "head",
        });
    }
    let slot = usize::try_from(layout.signature_at()).expect("in memory") - from;
    let slot = slot..slot + usize::try_from(SIGNATURE_BYTES).expect("small");
    let signature = found[slot.clone()].to_vec();
    expected[slot.clone()].copy_from_slice(&signature);
    if let Some(at) = found.iter().zip(&expected).position(|(a, b)| a != b) {
        return Err(ReadError::Damaged {
            at: (from + at) as u64,
        });
    }
    let text = String::from_utf8(signature).map_err(|_| ReadError::Signature)?;
    let text = text.trim_end_matches('\n');
    Ok((!text.is_empty()).then(|| format!("{text}\n")))
}

/// Reads until `buffer` is full or the source ends, and returns how much it read.
pub(crate) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_end_matches('\0');
    u64::from_str_radix(text, 8).ok()
}

/// The padding after `size` bytes of data.
pub(crate) fn padding(size: u64) -> usize {
    usize::try_from(padded(size) - size).expect("less than a block")
}
