//! The file an answer is sent from, noted by the route and read by the connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use cache::OpenFile;

/// The file a connection's current answer is sent from. One per connection, shared by it and its requests.
#[derive(Debug, Default)]
pub struct SendfileTarget(Mutex<Sending>);

/// What an answer is sent from.
#[derive(Debug, Default)]
struct Sending {
    file: Weak<OpenFile>,
    /// Up to here in the file nothing has to be waited for.
    there: u64,
}

impl SendfileTarget {
    /// From now on pieces of `file` are sent from the file. Those before `there` follow each other without a wait.
    pub fn set(&self, file: Weak<OpenFile>, there: u64) {
        *self.lock() = Sending { file, there };
    }

    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file `slice` is a piece of, and where in it.
    pub(crate) fn find(&self, slice: &[u8]) -> Option<(Arc<OpenFile>, u64)> {
        let file = self.lock().file.upgrade()?;
        let offset = file.offset_of(slice)?;
        Some((file, offset))
    }

    /// Whether more of the answer is there as soon as what stands before `position` has been sent.
    pub(crate) fn goes_on_at(&self, position: &Position) -> bool {
        let sending = self.lock();
        position.file.ptr_eq(&sending.file) && position.offset < sending.there
    }
}

/// A place in a file.
#[derive(Debug)]
pub(crate) struct Position {
    pub(crate) file: Weak<OpenFile>,
    pub(crate) offset: u64,
}
