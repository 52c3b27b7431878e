//! The file an answer is sent from, noted by the route and read by the connection.

use std::sync::{Arc, Weak};

use cache::OpenFile;
use parking_lot::Mutex;

/// The file a connection's current answer is sent from. One per connection, shared by it and its
/// requests.
#[derive(Debug, Default)]
pub struct SendfileTarget(Mutex<Sending>);

/// A file, and how much of it can be sent without waiting.
#[derive(Debug, Default)]
struct Sending {
    file: Weak<OpenFile>,
    /// The offset up to which the file has its bytes.
    there: u64,
}

impl SendfileTarget {
    /// Has pieces of `file` sent from the file from now on. Those before offset `there` follow each
    /// other without a wait.
    pub fn set(&self, file: Weak<OpenFile>, there: u64) {
        *self.0.lock() = Sending { file, there };
    }

    /// The file `slice` is a piece of, and where in it.
    pub(crate) fn find(&self, slice: &[u8]) -> Option<(Arc<OpenFile>, u64)> {
        let file = self.0.lock().file.upgrade()?;
        let offset = file.offset_of(slice)?;
        Some((file, offset))
    }

    /// Whether more of the answer can be sent at once behind `position`.
    pub(crate) fn goes_on_at(&self, position: &Position) -> bool {
        let sending = self.0.lock();
        position.file.ptr_eq(&sending.file) && position.offset < sending.there
    }
}

/// A place in a file.
#[derive(Debug)]
pub(crate) struct Position {
    pub(crate) file: Weak<OpenFile>,
    pub(crate) offset: u64,
}
