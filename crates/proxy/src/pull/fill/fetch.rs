//! One connection of a download: a stretch of the blob, through cuts and stalls.

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

/// How often in a row a stretch may be taken up again without a byte gained in between.
const MAX_RESUMES: u32 = 4;

/// How many stalls in a row, without a byte gained in between, are enough. Each costs the clients a whole idle timeout.
const MAX_STALLS: u32 = 2;

/// The pause before the first of them; it doubles each time, up to that before the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// What all connections of a download share.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) source: Arc<BlobSource>,
    pub(super) writer: FillWriter,
    /// The blob's size: an answer that speaks of another one is about another blob.
    pub(super) size: u64,
    /// Bytes received over all connections, since somebody last looked.
    pub(super) received: Arc<AtomicU64>,
    /// Microseconds for which they have waited for the writer, likewise.
    pub(super) held: Arc<AtomicU64>,
}

/// Why a stretch was not fetched to its end.
pub(super) enum Broken {
    /// The upstream.
    Source(FetchError),
    /// The fill takes no more.
    Writer,
}

impl From<Closed> for Broken {
    fn from(_: Closed) -> Self {
        Self::Writer
    }
}

/// Fetches all of `segment`, beginning with `body` where that has been asked for already.
pub(super) async fn fetch(
    line: Line,
    segment: Segment,
    mut body: Option<BlobBody>,
) -> Result<(), Broken> {
    let (mut resumes, mut stalls) = (0, 0);
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let before = segment.reached();
        let broken = match body.take() {
            Some(body) => pour(&line, &segment, body).await?,
            None => match ask(&line, &segment).await {
                Ok(body) => pour(&line, &segment, body).await?,
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
            // Ended early without an error: a cut that looks like an end. Taken for one, the rest would be assigned for ever.
            let error = broken.unwrap_or_else(|| line.source.broken(Cause::Truncated));
            return Err(Broken::Source(error));
        }
        debug!(reached = segment.reached(), resumes, "asking for the rest");
        tokio::time::sleep(backoff.pause()).await;
        backoff.lengthen();
    }
}

async fn ask(line: &Line, segment: &Segment) -> Result<BlobBody, FetchError> {
    let end = Some(segment.end()).filter(|end| *end < line.size);
    let body = line.source.get(Part::Bytes(segment.reached(), end)).await?;
    match body.size {
        Some(size) if size != line.size => Err(line.source.broken(Cause::Resized {
            before: line.size,
            now: size,
        })),
        _ => Ok(body),
    }
}

/// Writes what comes, up to the end of the segment, until the body ends or breaks; the error, if it broke.
async fn pour(
    line: &Line,
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
        line.received
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let end = position + chunk.len() as u64;
        let new = cut(chunk, position, segment.reached(), segment.end());
        position = end;
        if !new.is_empty() {
            let length = new.len() as u64;
            let begun = Instant::now();
            line.writer.write(segment.reached(), new).await?;
            let held = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            line.held.fetch_add(held, Ordering::Relaxed);
            segment.advance(length);
        }
    }
    Ok(None)
}

/// Of bytes that begin at `position`, those from `from` to `to`.
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
    fn only_the_bytes_of_the_stretch_are_taken() {
        let chunk = Bytes::from_static(b"0123456789");
        assert_eq!(cut(chunk.clone(), 100, 100, 200), chunk);
        assert_eq!(cut(chunk.clone(), 100, 103, 105), "34");
        assert_eq!(cut(chunk.clone(), 100, 110, 200), "");
        assert_eq!(cut(chunk.clone(), 100, 50, 102), "01");
        assert_eq!(cut(chunk, 100, 105, 103), "");
    }
}
