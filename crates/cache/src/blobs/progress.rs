//! The state that a fill shares with its followers: its progress one way, their demand the other.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::{OpenFile, Spans, error::FillError};

/// How many bytes at the end of a blob stay hidden until its digest has matched.
pub const HOLD_BACK: u64 = 16 * 1024;

/// A follower this far ahead of the gapless start demands its bytes instead of waiting for them.
const FAR_AHEAD: u64 = 16 * 1024 * 1024;

/// How much of a blob is there, and of how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// The size, if it is known.
    pub size: Option<u64>,
    /// Bytes in the file.
    pub written: u64,
}

/// How far a download has come.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// The source has not answered yet.
    Waiting,
    /// Bytes are arriving.
    Filling {
        /// The growing file.
        file: Arc<OpenFile>,
        /// The size, if the source announced it.
        size: Option<u64>,
        /// The bytes in the file.
        written: Arc<Spans>,
    },
    /// All bytes are written and the digest has matched.
    Complete {
        /// The whole file.
        file: Arc<OpenFile>,
        /// The blob's size.
        size: u64,
    },
    /// There will be no blob.
    Failed(Arc<FillError>),
}

impl Progress {
    /// The end of the bytes a follower at `position` may read now; `None` if there are none.
    ///
    /// With a known size only the blob's end is held back; without it, any byte may be the last.
    pub(crate) fn readable(&self, position: u64) -> Option<u64> {
        let end = match self {
            Self::Waiting | Self::Failed(_) => return None,
            Self::Complete { size, .. } => *size,
            Self::Filling { size, written, .. } => {
                let end = written.end_at(position)?;
                match size {
                    Some(size) => end.min(size.saturating_sub(HOLD_BACK)),
                    None => end.saturating_sub(HOLD_BACK),
                }
            }
        };
        (end > position).then_some(end)
    }

    /// Whether the bytes at `position` will not arrive soon on their own.
    fn is_far(&self, position: u64) -> bool {
        match self {
            Self::Filling { written, size, .. } => {
                let reach = written.prefix() + FAR_AHEAD;
                position > reach && size.is_some_and(|size| position < size - HOLD_BACK.min(size))
            }
            _ => false,
        }
    }
}

/// A running fill, as its followers see it.
#[derive(Debug)]
pub(crate) struct Running {
    progress: watch::Sender<Progress>,
    demands: Arc<ReadDemands>,
    /// How many of those who follow are nobody to fill for.
    onlookers: AtomicUsize,
    ended: watch::Sender<bool>,
}

impl Running {
    pub(crate) fn new() -> Self {
        Self {
            progress: watch::Sender::new(Progress::Waiting),
            demands: Arc::default(),
            onlookers: AtomicUsize::new(0),
            ended: watch::Sender::new(false),
        }
    }

    /// The blob is stored by now, or will not be.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Returns when it [has ended](Self::end). Cancel safe.
    pub(super) async fn ended(&self) {
        // The sender lives as long as this.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub(crate) fn read_demands(&self) -> Arc<ReadDemands> {
        Arc::clone(&self.demands)
    }

    /// Shows `progress` to all followers.
    pub(crate) fn show(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// Shows `progress`, unless the fill has failed: followers that saw the failure and then
    /// saw it run again would wait forever.
    pub(crate) fn show_unless_failed(&self, progress: Progress) {
        self.progress.send_if_modified(|shown| {
            let is_open = !matches!(shown, Progress::Failed(_));
            if is_open {
                *shown = progress;
            }
            is_open
        });
    }

    /// The whole file and its size, once all bytes are written and the digest has matched.
    pub(crate) fn complete(&self) -> Option<(Arc<OpenFile>, u64)> {
        match &*self.progress.borrow() {
            Progress::Complete { file, size } => Some((Arc::clone(file), *size)),
            Progress::Waiting | Progress::Filling { .. } | Progress::Failed(_) => None,
        }
    }

    /// How much is there; `None` once it has failed.
    pub(crate) fn arrived(&self) -> Option<Arrived> {
        Some(match &*self.progress.borrow() {
            Progress::Waiting => Arrived::default(),
            Progress::Filling { size, written, .. } => Arrived {
                size: *size,
                written: written.total(),
            },
            Progress::Complete { size, .. } => Arrived {
                size: Some(*size),
                written: *size,
            },
            Progress::Failed(_) => return None,
        })
    }

    pub(crate) fn followers(&self) -> usize {
        let onlookers = self.onlookers.load(Ordering::Relaxed);
        self.progress.receiver_count().saturating_sub(onlookers)
    }

    /// Counts one follower less for as long as the answer lives.
    pub(super) fn look_on(self: &Arc<Self>) -> Onlooker {
        self.onlookers.fetch_add(1, Ordering::Relaxed);
        Onlooker(Arc::clone(self))
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Demands the bytes at `position` for as long as the answer lives, if they are far away.
    pub(super) fn demand(&self, position: u64) -> Option<ReadDemand> {
        self.progress.borrow().is_far(position).then(|| {
            self.demands.add(position);
            ReadDemand {
                demands: self.read_demands(),
                position,
            }
        })
    }
}

/// A follower that the fill does not run for.
#[derive(Debug)]
pub(super) struct Onlooker(Arc<Running>);

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.0.onlookers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where followers wait, far ahead of the gapless start.
#[derive(Debug, Default)]
pub struct ReadDemands {
    /// The number of followers at each position.
    positions: Mutex<BTreeMap<u64, usize>>,
    changed: Notify,
}

impl ReadDemands {
    /// The positions, in order.
    pub fn positions(&self) -> Vec<u64> {
        self.positions.lock().keys().copied().collect()
    }

    /// Waits for a new demand. One that came since the last call counts. Cancel safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn add(&self, position: u64) {
        *self.positions.lock().entry(position).or_default() += 1;
        self.changed.notify_one();
    }

    fn remove(&self, position: u64) {
        let mut positions = self.positions.lock();
        if let Some(count) = positions.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                positions.remove(&position);
            }
        }
    }
}

/// One follower's demand, withdrawn on drop.
#[derive(Debug)]
pub(super) struct ReadDemand {
    demands: Arc<ReadDemands>,
    position: u64,
}

impl Drop for ReadDemand {
    fn drop(&mut self) {
        self.demands.remove(self.position);
    }
}
