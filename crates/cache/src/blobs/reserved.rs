//! Bytes that running fills will take: counted from before they are there until they are stored, or never will be.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What all running fills have reserved. Cheap to clone; all clones are the same count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations(Arc<AtomicU64>);

/// What one fill has reserved, counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Reserved {
    all: Reservations,
    size: u64,
}

impl Reservations {
    /// The sum.
    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A reservation of nothing yet.
    pub(crate) fn begin(&self) -> Reserved {
        Reserved {
            all: self.clone(),
            size: 0,
        }
    }
}

impl Reserved {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reserves `bytes` more, unless that brings the sum of all reservations above `most`: then nothing changes, and the answer
    /// is what the others have left.
    pub(crate) fn grow(&mut self, bytes: u64, most: u64) -> Result<(), u64> {
        let grown = |total: u64| total.checked_add(bytes).filter(|grown| *grown <= most);
        let count = &self.all.0;
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .map_err(|total| most.saturating_sub(total))?;
        self.size += bytes;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.size, Ordering::Relaxed);
    }
}
