//! The queue of bytes between the network and the [writer](super::writer). It is bounded in bytes:
//! queued bytes take memory, and a `kill -9` loses them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The bound on the queued bytes of one download. A larger piece is queued alone.
const MAX_QUEUED_BYTES: u32 = 1024 * 1024;

/// The least that a piece counts for: an upstream that sends single bytes must not fill the memory
/// with the bookkeeping around them.
const MIN_PIECE_SHARE: u32 = 4096;

/// Bytes of the blob and their offset.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
    /// Its share of [`MAX_QUEUED_BYTES`], until it is written and hashed.
    _share: OwnedSemaphorePermit,
}

/// A handle that hands bytes to a fill. Cheap to clone; several may write at a time.
#[derive(Clone, Debug)]
pub struct FillWriter {
    /// Bounded by `shares`.
    pieces: mpsc::UnboundedSender<Piece>,
    shares: Arc<Semaphore>,
}

/// The fill takes no more bytes; [`Fill::commit`](super::Fill::commit) gives the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

pub(super) fn queue() -> (FillWriter, mpsc::UnboundedReceiver<Piece>) {
    let (pieces, queue) = mpsc::unbounded_channel();
    let shares = Arc::new(Semaphore::new(MAX_QUEUED_BYTES as usize));
    (FillWriter { pieces, shares }, queue)
}

impl FillWriter {
    /// Hands over bytes that belong at `offset`; waits while the writer is behind. Cancel safe:
    /// while it waits, nothing is handed over.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<(), Closed> {
        let length = u32::try_from(bytes.len()).unwrap_or(MAX_QUEUED_BYTES);
        let share = length.clamp(MIN_PIECE_SHARE, MAX_QUEUED_BYTES);
        let shares = Arc::clone(&self.shares).acquire_many_owned(share).await;
        let piece = Piece {
            offset,
            bytes,
            _share: shares.expect("never closed"),
        };
        self.pieces.send(piece).map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::task::unconstrained;

    use super::*;

    const MIB: usize = MAX_QUEUED_BYTES as usize;

    fn bytes(length: usize) -> Bytes {
        vec![0; length].into()
    }

    #[tokio::test]
    async fn a_source_with_more_than_a_mebibyte_waits_until_the_writer_is_through_with_some() {
        let (writer, mut queue) = queue();
        writer.write(0, bytes(MIB / 2)).await.unwrap();
        writer.write(0, bytes(MIB / 2)).await.unwrap();
        let mut next = Box::pin(writer.write(0, bytes(1)));
        assert_eq!(next.as_mut().now_or_never(), None);
        let taken = queue.recv().await.unwrap();
        assert_eq!(next.as_mut().now_or_never(), None, "it is not written yet");
        drop(taken);
        assert_eq!(next.await, Ok(()));
    }

    #[tokio::test]
    async fn single_bytes_are_few_at_a_time() {
        let (writer, _queue) = queue();
        let mut handed_over = 0;
        while unconstrained(writer.write(0, bytes(1)))
            .now_or_never()
            .is_some()
        {
            handed_over += 1;
        }
        assert_eq!(handed_over, 256);
    }

    #[tokio::test]
    async fn a_larger_piece_goes_alone() {
        let (writer, mut queue) = queue();
        writer.write(0, bytes(2 * MIB)).await.unwrap();
        let mut next = Box::pin(writer.write(0, bytes(1)));
        assert_eq!(next.as_mut().now_or_never(), None);
        assert_eq!(queue.recv().await.unwrap().bytes.len(), 2 * MIB);
        assert_eq!(next.await, Ok(()));
    }

    #[tokio::test]
    async fn a_source_that_waits_when_the_writer_ends_is_told() {
        let (writer, queue) = queue();
        writer.write(0, bytes(MIB)).await.unwrap();
        let mut next = Box::pin(writer.write(0, bytes(1)));
        assert_eq!(next.as_mut().now_or_never(), None);
        drop(queue);
        assert_eq!(next.await, Err(Closed));
    }
}
