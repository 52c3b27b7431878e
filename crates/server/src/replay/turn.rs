//! Whose turn it is on a connection: that of whoever replays, or hyper's.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;

/// Shared by a connection and the service that answers its requests.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// A request was handed up and its answer is not made to its end.
    busy: AtomicBool,
    /// The bytes of that request.
    request: Mutex<Option<Bytes>>,
}

impl Turn {
    /// Hands a request up.
    pub(super) fn begin(&self, request: Bytes) {
        self.busy.store(true, Ordering::Release);
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// The bytes of the request that is being answered now, once. None for a request that did not come alone.
    pub(crate) fn take(&self) -> Option<Bytes> {
        self.request
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// An answer that is being made; dropped with its body.
#[derive(Debug)]
pub(crate) struct Busy(pub(crate) Arc<Turn>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}
