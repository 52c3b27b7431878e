//! One connection of a download: a segment of the blob, through cuts and stalls.
//!
//! A connection that breaks is resumed with `Range` from the byte reached. A stall gets fewer
//! attempts than a cut, since it costs the clients more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use cache::{Closed, FillWriter};
use futures_util::StreamExt;
use tracing::debug;
use upstream::{Backoff, BlobBody, BlobSource, Cause, FetchError, Part};

use super::plan::Segment;

/// How often in a row a segment may be resumed without a byte gained in between.
const MAX_RESUMES: u32 = 4;

/// Stalls in a row, without a byte gained in between, that end a connection. Each costs the clients
/// a whole idle timeout.
const MAX_STALLS: u32 = 2;

/// The pause before the first resume; it doubles each time, up to that before the last.
const FIRST_RESUME_PAUSE: Duration = Duration::from_millis(100);
const MAX_RESUME_PAUSE: Duration = Duration::from_millis(800);

/// The state that all connections of a download share.
#[derive(Clone)]
pub(super) struct Transfer {
    pub(super) source: Arc<BlobSource>,
    pub(super) writer: FillWriter,
    /// The blob's size: an answer with another size is about another blob.
    pub(super) size: u64,
    /// Bytes received over all connections since the last sample.
    pub(super) received: Arc<AtomicU64>,
    /// Microseconds for which connections have waited for the writer since then.
    pub(super) writer_wait: Arc<AtomicU64>,
}

/// Why a segment was not fetched to its end.
pub(super) enum Broken {
    /// The upstream failed for good.
    Source(FetchError),
    /// The fill takes no more bytes.
    Writer,
}

impl From<Closed> for Broken {
    fn from(_: Closed) -> Self {
        Self::Writer
    }
}

/// Fetches all of `segment`, beginning with `body` where there is one already.
pub(super) async fn fetch(
    transfer: Transfer,
    segment: Segment,
    mut body: Option<BlobBody>,
) -> Result<(), Broken> {
    let (mut resumes, mut stalls) = (0, 0);
    let mut backoff = Backoff::new(FIRST_RESUME_PAUSE, MAX_RESUME_PAUSE);
    loop {
        let before = segment.reached();
        let broken = match body.take() {
            Some(body) => pour(&transfer, &segment, body).await?,
            None => match ask(&transfer, &segment).await {
                Ok(body) => pour(&transfer, &segment, body).await?,
                Err(error) if error.is_transient() => Some(error),
                Err(error) => return Err(Broken::Source(error)),
            },
        };
        if segment.is_done() {
            return Ok(());
        }
        if segment.reached() > before {
            (resumes, stalls) = (0, 0);
            backoff.reset();
        }
        resumes += 1;
        stalls += u32::from(broken.as_ref().is_some_and(FetchError::is_stall));
        if resumes > MAX_RESUMES || stalls >= MAX_STALLS {
            // A body that ended early without an error is a cut. Taken for an end, its rest would
            // be assigned again for ever.
            let error = broken.unwrap_or_else(|| transfer.source.broken(Cause::Truncated));
            return Err(Broken::Source(error));
        }
        debug!(reached = segment.reached(), resumes, "asking for the rest");
        tokio::time::sleep(backoff.pause()).await;
        backoff.lengthen();
    }
}

async fn ask(transfer: &Transfer, segment: &Segment) -> Result<BlobBody, FetchError> {
    let end = Some(segment.end()).filter(|end| *end < transfer.size);
    let body = transfer
        .source
        .get(Part::Bytes(segment.reached(), end))
        .await?;
    match body.size {
        Some(size) if size != transfer.size => Err(transfer.source.broken(Cause::Resized {
            before: transfer.size,
            now: size,
        })),
        _ => Ok(body),
    }
}

/// Writes the body up to the end of the segment; returns the error if the body broke before.
async fn pour(
    transfer: &Transfer,
    segment: &Segment,
    mut body: BlobBody,
) -> Result<Option<FetchError>, Broken> {
    let mut position = body.start;
    while !segment.is_done()
        && let Some(chunk) = body.bytes.next().await
    {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Ok(Some(error)),
        };
        transfer
            .received
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let end = position + chunk.len() as u64;
        let new = cut(chunk, position, segment.reached(), segment.end());
        position = end;
        if !new.is_empty() {
            let length = new.len() as u64;
            let begun = Instant::now();
            transfer.writer.write(segment.reached(), new).await?;
            let waited = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            transfer.writer_wait.fetch_add(waited, Ordering::Relaxed);
            segment.advance(length);
        }
    }
    Ok(None)
}

/// The bytes from `from` to `to`, of a chunk that begins at `position`.
fn cut(mut chunk: Bytes, position: u64, from: u64, to: u64) -> Bytes {
    let place = |offset: u64| {
        usize::try_from(offset.saturating_sub(position))
            .map_or(chunk.len(), |at| at.min(chunk.len()))
    };
    let (from, to) = (place(from), place(to));
    chunk.truncate(to);
    chunk.split_off(from.min(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_of_the_segment_are_taken() {
        let chunk = Bytes::from_static(b"0123456789");
        assert_eq!(cut(chunk.clone(), 100, 100, 200), chunk);
        assert_eq!(cut(chunk.clone(), 100, 103, 105), "34");
        assert_eq!(cut(chunk.clone(), 100, 110, 200), "");
        assert_eq!(cut(chunk.clone(), 100, 50, 102), "01");
        assert_eq!(cut(chunk, 100, 105, 103), "");
    }
}
