//! Files that are open: kept so that the next request need not open them, and known, so that eviction leaves alone what is
//! being read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lru::LruCache;
use manifest_model::Digest;

use crate::OpenFile;

/// How long an open file is taken for the one in the directory without looking. `archway cache verify --repair` takes files
/// out from under a running process.
const TRUSTED_FOR: Duration = Duration::from_secs(10);

/// Files open for reading, the least recently used at the end. Those in use stay, whatever the bound.
#[derive(Debug)]
pub(super) struct OpenFiles {
    files: LruCache<Digest, Entry>,
    bound: usize,
}

#[derive(Debug)]
struct Entry {
    file: Arc<OpenFile>,
    size: u64,
    looked: Instant,
}

impl Entry {
    /// Whether anybody but this list holds it.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.file) > 1
    }
}

impl OpenFiles {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            files: LruCache::unbounded(),
            bound,
        }
    }

    /// The open file of `digest` and its size, if there is one and it still stands in the directory.
    pub(super) fn get(&mut self, digest: &Digest) -> Option<(Arc<OpenFile>, u64)> {
        let entry = self.files.get_mut(digest)?;
        let now = Instant::now();
        if now.duration_since(entry.looked) > TRUSTED_FOR {
            if !entry.file.is_linked() {
                self.files.pop(digest);
                return None;
            }
            entry.looked = now;
        }
        Some((Arc::clone(&entry.file), entry.size))
    }

    pub(super) fn insert(&mut self, digest: Digest, file: Arc<OpenFile>, size: u64) {
        let looked = Instant::now();
        self.files.put(digest, Entry { file, size, looked });
        // As many looks as there may be too many: one that is in use goes to the young end and is not seen again.
        for _ in 0..self.files.len().saturating_sub(self.bound) {
            match self.files.pop_lru() {
                Some((digest, entry)) if entry.is_in_use() => {
                    self.files.put(digest, entry);
                }
                _ => {}
            }
        }
    }

    /// Closes all files that nobody reads. The answer says whether there was one.
    pub(super) fn close_idle(&mut self) -> bool {
        let idle = self.files.iter().filter(|(_, entry)| !entry.is_in_use());
        let idle: Vec<_> = idle.map(|(digest, _)| *digest).collect();
        for digest in &idle {
            self.files.pop(digest);
        }
        !idle.is_empty()
    }

    /// Closes the file of `digest`, unless somebody reads it: then the answer is false.
    pub(super) fn close(&mut self, digest: &Digest) -> bool {
        if self.files.peek(digest).is_some_and(Entry::is_in_use) {
            return false;
        }
        self.files.pop(digest);
        true
    }

    /// Forgets the file of `digest`; who reads it goes on reading.
    pub(super) fn forget(&mut self, digest: &Digest) {
        self.files.pop(digest);
    }
}
