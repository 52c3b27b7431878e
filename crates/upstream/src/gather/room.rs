//! The room that bodies share, and a body that holds its part of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that all bodies of one kind may have together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Room for so many bytes.
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    pub(super) fn empty(&self) -> Reserved {
        Reserved {
            permit: Arc::clone(&self.0)
                .try_acquire_many_owned(0)
                .expect("nothing is always there, and nobody closes it"),
            room: self.clone(),
        }
    }
}

/// A part of the room.
#[derive(Debug)]
pub(super) struct Reserved {
    permit: OwnedSemaphorePermit,
    room: Room,
}

impl Reserved {
    /// Grows to `bytes`; `false` where that is not free.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.permit.num_permits());
        let Ok(more) = u32::try_from(more) else {
            return false;
        };
        match Arc::clone(&self.room.0).try_acquire_many_owned(more) {
            Ok(more) => {
                self.permit.merge(more);
                true
            }
            Err(_) => false,
        }
    }

    fn shrink(&mut self, bytes: usize) {
        let spare = self.permit.num_permits().saturating_sub(bytes);
        drop(self.permit.split(spare));
    }
}

/// A body, whole. It takes up its room until it is dropped.
#[derive(Debug)]
pub struct Gathered {
    bytes: Vec<u8>,
    _reserved: Option<Reserved>,
}

impl Gathered {
    pub(super) fn new(mut bytes: Vec<u8>, mut reserved: Option<Reserved>) -> Self {
        bytes.shrink_to_fit();
        if let Some(reserved) = &mut reserved {
            reserved.shrink(bytes.len());
        }
        Self {
            bytes,
            _reserved: reserved,
        }
    }
}

impl AsRef<[u8]> for Gathered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
