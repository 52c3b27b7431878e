//! One connection of a download: its segments of the blob, through cuts and stalls.
//!
//! A connection that breaks is resumed with `Range` from the byte reached, or without where the
//! upstream refuses ranges: then the bytes that are there come once more, and are dropped. A stall
//! gets fewer attempts than a cut, since it costs the clients more. Where a follower has brought
//! another upstream, that one is asked for the rest; if it does no better, the place that sent the
//! last byte gets the whole wait, as if there were no other.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use cache::{Closed, FillWriter};
use futures_util::StreamExt;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tracing::debug;
use upstream::{BlobBody, Cause, Deadline, FetchError, Part, RangeRefusal};

use super::{
    book::FillPage,
    place::Place,
    plan::Segment,
    resumes::Resumes,
    sources::{PAUSE, Sources},
};
use crate::failures::FirstByte;

/// The state that all connections of a download share.
#[derive(Clone)]
pub(super) struct Transfer {
    pub(super) sources: Arc<Sources>,
    pub(super) page: Arc<FillPage>,
    pub(super) writer: FillWriter,
    pub(super) first_byte: Arc<FirstByte>,
    /// The blob's size: an answer with another size is about another blob.
    pub(super) size: u64,
    /// Bytes received over all connections since the last sample.
    pub(super) received: Arc<AtomicU64>,
    /// How often a connection that broke was resumed, over all downloads.
    pub(super) resumed: Counter,
    /// Microseconds for which connections have waited for the writer since then.
    pub(super) writer_wait: Arc<AtomicU64>,
}

/// How a connection asks for its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// For each of its segments, by range.
    Parts,
    /// For the whole blob: ranges are refused, just now in this way.
    Whole(Option<RangeRefusal>),
}

/// Why a segment was not fetched to its end.
pub(super) enum Broken {
    /// The upstream failed for good; with what is left of the wait.
    Source(Box<FetchError>, Deadline),
    /// The fill takes no more bytes.
    Writer,
}

impl From<Closed> for Broken {
    fn from(_: Closed) -> Self {
        Self::Writer
    }
}

/// Fetches all of `segments`, which are in order, beginning with `body` where there is one already.
/// `deadline` is for the first byte; each one that comes begins another wait of this length.
pub(super) async fn fetch(
    transfer: Transfer,
    segments: &[Segment],
    mut asking: Asking,
    mut body: Option<BlobBody>,
    mut deadline: Deadline,
) -> Result<(), Broken> {
    let (mut resumes, mut last_byte) = (Resumes::new(), Instant::now());
    // The place of the last byte, at first the one that is asked first; how many were left since.
    let (mut home, mut left) = (transfer.sources.current(), 0);
    loop {
        let before = reached(segments);
        let Some(next) = segments.iter().find(|segment| !segment.is_done()) else {
            return Ok(());
        };
        let place = transfer.sources.current();
        let is_home = Arc::ptr_eq(&place, &home);
        let tried = if is_home { left + 1 } else { 1 };
        let answered = match body.take() {
            Some(body) => Ok(body),
            None => ask(&transfer, &place, tried, next, asking, &deadline).await,
        };
        let broken = match answered {
            Ok(body) => {
                // The refusal of a range counts once, however often the whole is resumed.
                if asking != Asking::Parts {
                    asking = Asking::Whole(None);
                }
                pour(&transfer, &place, tried, segments, body, &mut last_byte).await?
            }
            Err(error) if error.is_transient() || place.is_nearby() => Some(error),
            // Another place that limits our requests has the blob still, and may be asked again.
            Err(error @ FetchError::Throttled { .. }) if !transfer.sources.is_first(&place) => {
                Some(error)
            }
            Err(_) if transfer.sources.remove(&place) => continue,
            Err(error) => return Err(Broken::Source(error.into(), deadline)),
        };
        if are_done(segments) {
            return Ok(());
        }
        if reached(segments) > before {
            resumes.reset();
            (home, left) = (Arc::clone(&place), 0);
            deadline = deadline.renewed(last_byte);
        }
        if place.is_nearby() {
            debug!(reached = next.reached(), "a place nearby broke off");
            transfer.sources.remove(&place);
            continue;
        }
        transfer.sources.leave(&place);
        left += 1;
        if left < transfer.sources.count() && !deadline.is_over() {
            debug!(
                reached = next.reached(),
                "asking another upstream for the rest"
            );
            continue;
        }
        if !resumes.again(broken.as_ref(), &deadline).await {
            let error = reported(&transfer.sources, &place, broken);
            return Err(Broken::Source(error.into(), deadline));
        }
        transfer.resumed.inc();
        debug!(reached = next.reached(), "asking for the rest");
    }
}

/// The error of a download that ends at `place`. It is told in the name of the first place, and
/// what another one says is not for the clients of that.
fn reported(sources: &Sources, place: &Arc<Place>, broken: Option<FetchError>) -> FetchError {
    if !sources.is_first(place) {
        return stalled(&sources.first());
    }
    // A body that ended early without an error is a cut. Taken for an end, its rest would be
    // assigned again for ever.
    broken.unwrap_or_else(|| place.broken(Cause::Truncated))
}

/// The sum of all bytes fetched, to be compared with another such sum.
fn reached(segments: &[Segment]) -> u64 {
    segments.iter().map(Segment::reached).sum()
}

fn are_done(segments: &[Segment]) -> bool {
    segments.iter().all(Segment::is_done)
}

/// The body with the rest of a segment; an error as well if it is better asked for elsewhere, where
/// there are more places than those `tried`.
async fn ask(
    transfer: &Transfer,
    place: &Arc<Place>,
    tried: usize,
    segment: &Segment,
    asking: Asking,
    deadline: &Deadline,
) -> Result<BlobBody, FetchError> {
    let source = &place.source;
    let answer = async {
        match asking {
            // Closed, since some registries refuse a range without an end.
            Asking::Parts => {
                let part = Part::Bytes(segment.reached(), Some(segment.end()));
                source.get(part, deadline).await
            }
            Asking::Whole(refusal) => {
                // It was the first place that refused, and another one answers for itself.
                let refusal = refusal.filter(|_| transfer.sources.is_first(place));
                source.get_without_range(refusal, deadline).await
            }
        }
    };
    let body = tokio::select! {
        answer = answer => answer?,
        () = transfer.sources.better_elsewhere(place, tried, Instant::now()) => {
            return Err(stalled(place));
        }
    };
    match body.size {
        Some(size) if size != transfer.size => Err(place.broken(Cause::Resized {
            before: transfer.size,
            now: size,
        })),
        _ => Ok(body),
    }
}

/// Writes the segments' bytes of the body; returns the error if the body broke before their end.
/// Sets when the last byte came; the cache's own time is none of the wait for the upstream.
async fn pour(
    transfer: &Transfer,
    place: &Place,
    mut tried: usize,
    segments: &[Segment],
    mut body: BlobBody,
    last_byte: &mut Instant,
) -> Result<Option<FetchError>, Broken> {
    let mut position = body.start;
    let mut since = Instant::now();
    while !are_done(segments) {
        let chunk = tokio::select! {
            biased;
            chunk = body.bytes.next() => chunk,
            () = transfer.sources.better_elsewhere(place, tried, since) => {
                return Ok(Some(stalled(place)));
            }
        };
        let chunk = match chunk {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Ok(Some(error)),
            None => break,
        };
        transfer
            .received
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let end = position + chunk.len() as u64;
        for segment in segments {
            let new = cut(chunk.clone(), position, segment.reached(), segment.end());
            write(transfer, segment, new).await?;
        }
        position = end;
        *last_byte = Instant::now();
        since = *last_byte;
        // With a byte of its own it is the only one that is tried.
        tried = 1;
    }
    Ok(None)
}

/// The error for a place that is left because a better one is known.
fn stalled(place: &Place) -> FetchError {
    FetchError::Unreachable {
        upstream: place.host().clone(),
        source: Cause::Stalled(PAUSE),
    }
}

async fn write(transfer: &Transfer, segment: &Segment, new: Bytes) -> Result<(), Broken> {
    if new.is_empty() {
        return Ok(());
    }
    let length = new.len() as u64;
    let begun = Instant::now();
    transfer.writer.write(segment.reached(), new).await?;
    transfer.first_byte.note();
    let waited = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    transfer.writer_wait.fetch_add(waited, Ordering::Relaxed);
    segment.advance(length);
    Ok(())
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
