//! Showing followers how far a download has come: the first bytes at once, later ones at intervals.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    OpenFile, Spans,
    blobs::{Progress, Running},
};

/// How long written bytes may wait to be shown. Showing them wakes every follower, and each sends
/// the new bytes on its own: many small steps cost more than the bytes.
const SHOW_INTERVAL: Duration = Duration::from_millis(4);

/// The progress as the followers last saw it.
pub(super) struct Showing {
    running: Arc<Running>,
    file: Arc<OpenFile>,
    size: Option<u64>,
    /// When bytes may be shown again; `None` before the first.
    next: Option<Instant>,
    /// Whether there are bytes to show.
    is_behind: bool,
}

impl Showing {
    pub(super) fn new(running: Arc<Running>, file: Arc<OpenFile>, size: Option<u64>) -> Self {
        Self {
            running,
            file,
            size,
            next: None,
            is_behind: false,
        }
    }

    /// The file that followers read.
    pub(super) fn file(&self) -> &Arc<OpenFile> {
        &self.file
    }

    pub(super) fn into_file(self) -> Arc<OpenFile> {
        self.file
    }

    /// Notes that more bytes are written, and shows them if that is due.
    pub(super) fn note(&mut self, written: &Spans) {
        self.is_behind = true;
        self.show_if_due(written);
    }

    /// When bytes that are not shown yet may be shown.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.filter(|_| self.is_behind)
    }

    pub(super) fn show_if_due(&mut self, written: &Spans) {
        if self.is_behind && self.next.is_none_or(|next| next <= Instant::now()) {
            self.show(written);
        }
    }

    pub(super) fn show(&mut self, written: &Spans) {
        self.is_behind = false;
        self.next = Some(Instant::now() + SHOW_INTERVAL);
        // A fill that was dropped has failed already, and stays so.
        self.running.show_unless_failed(Progress::Filling {
            file: Arc::clone(&self.file),
            size: self.size,
            written: Arc::new(written.clone()),
        });
    }
}
