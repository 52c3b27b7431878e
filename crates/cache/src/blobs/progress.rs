//! What a fill tells its followers, and what they tell it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};

use super::Spans;
use crate::{OpenFile, error::FillError};

/// How many bytes at the end of a blob nobody sees before the digest has matched.
pub const HOLD_BACK: u64 = 16 * 1024;

/// A follower that is this far ahead of the bytes that arrive in order says so, instead of waiting for them to get there.
const FAR_AHEAD: u64 = 16 * 1024 * 1024;

/// How far a download has come.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// The source has not answered yet.
    Waiting,
    /// Bytes are arriving.
    Filling {
        /// The growing file.
        file: Arc<OpenFile>,
        /// The size the source announced, if it did.
        size: Option<u64>,
        /// Which bytes are in the file.
        written: Arc<Spans>,
    },
    /// All bytes are there and the digest has matched.
    Complete {
        /// The whole file.
        file: Arc<OpenFile>,
        /// The blob's size.
        size: u64,
    },
    /// It will not be completed.
    Failed(Arc<FillError>),
}

impl Progress {
    /// How far a follower at `position` may read now; `None` while it has to wait, as it has at `position` itself.
    ///
    /// Where the size is known only its end is held back; where it is not, any byte may belong to the end.
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

    /// Whether the bytes at `position` will not come soon of themselves.
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

/// What a fill shares with its followers.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) progress: watch::Sender<Progress>,
    wishes: Arc<Wishes>,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            progress: watch::Sender::new(Progress::Waiting),
            wishes: Arc::default(),
        }
    }

    pub(super) fn wishes(&self) -> Arc<Wishes> {
        Arc::clone(&self.wishes)
    }

    /// Says that somebody waits at `position`, if that is far from where bytes arrive, for as long as the answer lives.
    pub(super) fn wish(&self, position: u64) -> Option<Wish> {
        self.progress.borrow().is_far(position).then(|| {
            self.wishes.add(position);
            Wish {
                wishes: self.wishes(),
                position,
            }
        })
    }
}

/// Where followers wait, far ahead of the bytes that arrive in order.
#[derive(Debug, Default)]
pub struct Wishes {
    positions: Mutex<BTreeMap<u64, usize>>,
    changed: Notify,
}

impl Wishes {
    /// The positions, in order.
    pub fn positions(&self) -> Vec<u64> {
        let positions = self.positions.lock();
        let positions = positions.unwrap_or_else(PoisonError::into_inner);
        positions.keys().copied().collect()
    }

    /// Waits for a follower to come that waits far ahead. One that came since the last call counts. Cancel safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn add(&self, position: u64) {
        let mut positions = self
            .positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *positions.entry(position).or_default() += 1;
        drop(positions);
        self.changed.notify_one();
    }

    fn remove(&self, position: u64) {
        let mut positions = self
            .positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = positions.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                positions.remove(&position);
            }
        }
    }
}

/// One follower's waiting, taken back when it is dropped.
#[derive(Debug)]
pub(super) struct Wish {
    wishes: Arc<Wishes>,
    position: u64,
}

impl Drop for Wish {
    fn drop(&mut self) {
        self.wishes.remove(self.position);
    }
}
