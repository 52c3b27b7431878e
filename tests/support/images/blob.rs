//! Blobs: bytes that are held, and large ones that are made while they are sent and checked while
//! they are read, so that a 200 MB blob costs one mebibyte.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use manifest_model::{Algorithm, Digest, Hasher};
use serde_json::{Value, json};

const BLOCK: u64 = 1 << 20;
const STAMP: u64 = 8;

/// The bytes behind a descriptor.
#[derive(Clone, Debug)]
pub enum Blob {
    /// In memory.
    Held(Bytes),
    /// Made on the way.
    Made(BigBlob),
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Held(bytes.into())
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        Self::Held(text.into())
    }
}

impl From<BigBlob> for Blob {
    fn from(blob: BigBlob) -> Self {
        Self::Made(blob)
    }
}

impl Blob {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Made(blob) => blob.size(),
        }
    }

    /// Its SHA-256 digest.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Held(bytes) => Digest::of(Algorithm::Sha256, bytes),
            Self::Made(blob) => blob.digest(),
        }
    }

    /// The descriptor a manifest holds of it.
    pub fn descriptor(&self, media_type: &str) -> Value {
        json!({
            "mediaType": media_type,
            "digest": self.digest().to_string(),
            "size": self.size(),
        })
    }

    /// Some bytes from `offset` on, at most `most`; empty only at the end.
    pub fn piece(&self, offset: u64, most: u64) -> Bytes {
        match self {
            Self::Held(bytes) => {
                let start = index(offset.min(self.size()));
                let end = index((offset + most).min(self.size()));
                bytes.slice(start..end)
            }
            Self::Made(blob) => blob.piece(offset, most),
        }
    }

    /// Whether `bytes` are what it holds from `offset` on.
    pub fn holds_at(&self, offset: u64, bytes: &[u8]) -> bool {
        let mut done = 0;
        while done < bytes.len() as u64 {
            let rest = &bytes[index(done)..];
            let piece = self.piece(offset + done, rest.len() as u64);
            if piece.is_empty() || rest[..piece.len()] != piece[..] {
                return false;
            }
            done += piece.len() as u64;
        }
        true
    }
}

/// Pseudo-random bytes: one block again and again, each time stamped with its number, so that no
/// two blocks are alike and any stretch can be made or checked without what comes before it.
#[derive(Clone, Debug)]
pub struct BigBlob {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    size: u64,
    block: Bytes,
    digest: OnceLock<Digest>,
}

impl BigBlob {
    /// `size` bytes that differ with `seed`.
    pub fn new(seed: &str, size: u64) -> Self {
        let shared = Shared {
            size,
            block: noise(seed, index(BLOCK)).into(),
            digest: OnceLock::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.shared.size
    }

    /// Its SHA-256 digest; made on the first call.
    pub fn digest(&self) -> Digest {
        *self.shared.digest.get_or_init(|| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            let mut offset = 0;
            while offset < self.size() {
                let piece = self.piece(offset, BLOCK);
                hasher.update(&piece);
                offset += piece.len() as u64;
            }
            hasher.finish()
        })
    }

    fn piece(&self, offset: u64, most: u64) -> Bytes {
        let most = most.min(self.size().saturating_sub(offset));
        let (number, within) = (offset / BLOCK, offset % BLOCK);
        if within < STAMP {
            let stamp = number.to_le_bytes();
            let end = (within + most).min(STAMP);
            return Bytes::copy_from_slice(&stamp[index(within)..index(end)]);
        }
        let end = (within + most).min(BLOCK);
        self.shared.block.slice(index(within)..index(end))
    }
}

/// `size` bytes that look random and are the same each time for one `seed`.
pub fn noise(seed: &str, size: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("tests run on 64 bits")
}
