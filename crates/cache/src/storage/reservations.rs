//! Bytes reserved by running fills, from before they arrive until they are stored or given up.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The sum of all reservations. Cheap to clone; all clones are the same sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Reservations(Arc<AtomicU64>);

/// One fill's reservation, counted for as long as this lives.
#[derive(Debug)]
pub(super) struct Reserved {
    all: Reservations,
    size: u64,
}

impl Reservations {
    pub(super) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A reservation of nothing yet.
    pub(super) fn begin(&self) -> Reserved {
        Reserved {
            all: self.clone(),
            size: 0,
        }
    }
}

impl Reserved {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reserves `bytes` more. If that brings the sum of all reservations above `max_total`, it
    /// changes nothing, and the error is the number of bytes that the others leave.
    pub(super) fn grow(&mut self, bytes: u64, max_total: u64) -> Result<(), u64> {
        let grown = |total: u64| total.checked_add(bytes).filter(|grown| *grown <= max_total);
        let count = &self.all.0;
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .map_err(|total| max_total.saturating_sub(total))?;
        self.size += bytes;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.size, Ordering::Relaxed);
    }
}
