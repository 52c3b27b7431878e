//! The request that a connection is busy with: shared by the half below hyper and the half above.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

/// The request of a connection that hyper is answering, if there is one.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// A request was handed up, and its answer has not been made to its end.
    busy: AtomicBool,
    /// The bytes of that request.
    request: Mutex<Option<Bytes>>,
}

impl InFlight {
    /// Marks the connection busy with a request that is handed up to hyper.
    pub(super) fn begin(&self, request: Bytes) {
        self.busy.store(true, Ordering::Release);
        *self.request.lock() = Some(request);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// The bytes of the request that is being answered, once. `None` for a request that did not
    /// come alone.
    pub(super) fn take_request(&self) -> Option<Bytes> {
        self.request.lock().take()
    }
}

/// An answer in the making: its connection is busy until this is dropped with its body.
#[derive(Debug)]
pub(super) struct Busy(pub(super) Arc<InFlight>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}
