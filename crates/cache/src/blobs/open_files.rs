//! Files that stay open between requests. Eviction learns from them which blobs are being read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lru::LruCache;
use manifest_model::Digest;

use crate::OpenFile;

/// How long an open file is trusted to be the one in the directory. `archway cache verify --repair`
/// removes files beside a running process.
const LINK_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Files open for reading, the least recently used last. Files in use stay, whatever the bound.
#[derive(Debug)]
pub(super) struct OpenFiles {
    files: LruCache<Digest, OpenEntry>,
    max_files: usize,
}

#[derive(Debug)]
struct OpenEntry {
    file: Arc<OpenFile>,
    size: u64,
    checked: Instant,
}

impl OpenEntry {
    /// Whether anybody but this list holds the file.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.file) > 1
    }
}

impl OpenFiles {
    pub(super) fn new(max_files: usize) -> Self {
        Self {
            files: LruCache::unbounded(),
            max_files,
        }
    }

    /// The open file of `digest` and its size, if it is open and still in the directory.
    pub(super) fn get(&mut self, digest: &Digest) -> Option<(Arc<OpenFile>, u64)> {
        let entry = self.files.get_mut(digest)?;
        let now = Instant::now();
        let mut is_current = !entry.file.is_discarded();
        if is_current && now.duration_since(entry.checked) > LINK_CHECK_INTERVAL {
            entry.checked = now;
            is_current = entry.file.is_linked();
        }
        if !is_current {
            self.files.pop(digest);
            return None;
        }
        Some((Arc::clone(&entry.file), entry.size))
    }

    pub(super) fn insert(&mut self, digest: Digest, file: Arc<OpenFile>, size: u64) {
        let checked = Instant::now();
        let entry = OpenEntry {
            file,
            size,
            checked,
        };
        self.files.put(digest, entry);
        // One look per surplus file: a file in use moves to the young end and is not seen again.
        for _ in 0..self.files.len().saturating_sub(self.max_files) {
            match self.files.pop_lru() {
                Some((digest, entry)) if entry.is_in_use() => {
                    self.files.put(digest, entry);
                }
                _ => {}
            }
        }
    }

    /// Closes all files that nobody reads. `false` if there was none.
    pub(super) fn close_idle(&mut self) -> bool {
        let idle = self.files.iter().filter(|(_, entry)| !entry.is_in_use());
        let idle: Vec<_> = idle.map(|(digest, _)| *digest).collect();
        for digest in &idle {
            self.files.pop(digest);
        }
        !idle.is_empty()
    }

    /// Closes the file of `digest`. `false` if somebody reads it, and then it stays open.
    pub(super) fn close_unless_in_use(&mut self, digest: &Digest) -> bool {
        if self.files.peek(digest).is_some_and(OpenEntry::is_in_use) {
            return false;
        }
        self.files.pop(digest);
        true
    }

    /// Forgets the file of `digest`. Its readers keep it open.
    pub(super) fn forget(&mut self, digest: &Digest) {
        self.files.pop(digest);
    }
}
