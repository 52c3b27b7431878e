//! The first answer of a download: of the place that begins it or, where that one says nothing, of
//! another one that a follower has brought.

use std::sync::Arc;

use cache::Fill;
use manifest_model::Digest;
use tokio::time::Instant;
use tracing::debug;
use upstream::{BlobBody, Deadline, FetchError, Part};

use super::{place::Place, resumes::through_store_failures, scale, sources::Sources};

/// The answer that a download begins with.
pub(super) struct FirstAnswer {
    /// Who gave it.
    pub(super) place: Arc<Place>,
    pub(super) body: BlobBody,
    /// Whether an earlier download is resumed.
    pub(super) resumes: bool,
}

/// Asks the places for the blob, or for the first gap that an earlier download has left. An error
/// is always the first place's: what another one says is not for the clients of that.
pub(super) async fn first_answer(
    fill: &Fill,
    sources: &Sources,
    announced: Option<u64>,
    deadline: &Deadline,
) -> Result<FirstAnswer, FetchError> {
    // How many places were left while they said nothing.
    let mut left = 0;
    loop {
        let (place, asked) = (sources.current(), Instant::now());
        let ask = || answer_of(&place, fill, announced, deadline);
        let answer = tokio::select! {
            answer = through_store_failures(deadline, ask) => answer,
            () = sources.better_elsewhere(&place, left + 1, asked) => {
                debug!("no answer yet; asking another place for the blob");
                if place.is_nearby() {
                    sources.remove(&place);
                } else {
                    sources.leave(&place);
                    left += 1;
                }
                continue;
            }
            () = sources.dropped(&place) => continue,
        };
        match answer {
            Ok((body, resumes)) => {
                sources.answered();
                return Ok(FirstAnswer {
                    place,
                    body,
                    resumes,
                });
            }
            Err(error) if sources.is_first(&place) => return Err(error),
            Err(error) => {
                let error = error.chain();
                debug!(%error, "another place did not give the blob either");
                sources.remove(&place);
            }
        }
    }
}

/// What one place answers. The flag is true for the rest of an earlier download.
async fn answer_of(
    place: &Place,
    fill: &Fill,
    announced: Option<u64>,
    deadline: &Deadline,
) -> Result<(BlobBody, bool), FetchError> {
    let source = &place.source;
    if let Some((size, there)) = fill.partial().await
        && let Some(gap) = there.gap(0, size)
    {
        let end = gap.end.min(gap.start + scale::FIRST_REQUEST);
        let answer = if source.refuses_ranges() {
            source.get(Part::Whole, deadline).await
        } else {
            let part = Part::Bytes(gap.start, Some(end));
            source.get(part, deadline).await
        };
        match answer {
            Ok(body) if body.size == Some(size) => return Ok((body, true)),
            // The blob had another length then: the bytes on disk are no part of it.
            Ok(_) | Err(FetchError::Refused { status: 416, .. }) => {}
            Err(error) => match error.range_refusal() {
                Some(refusal) => {
                    let body = source.get_without_range(Some(refusal), deadline).await?;
                    let resumes = body.size == Some(size);
                    return Ok((body, resumes));
                }
                None => return Err(error),
            },
        }
    }
    let part = first_part(place, fill, announced);
    let mut body = source.get(part, deadline).await?;
    if body.size.is_none() && body.end.is_some() {
        // A piece of a blob of unknown size: only the whole can tell whether that was all.
        drop(body);
        body = source.get(Part::Whole, deadline).await?;
    }
    Ok((body, false))
}

/// The first part to ask for of a blob of the size that a manifest announced, if one did. Whether
/// the upstream answers ranges is learned on the way, but only by a blob that is worth it.
fn first_part(place: &Place, fill: &Fill, announced: Option<u64>) -> Part {
    let is_empty = Digest::of(fill.digest().algorithm(), b"") == fill.digest();
    let is_small = announced.is_some_and(|size| size <= scale::FIRST_REQUEST);
    if is_empty || is_small || place.max_connections() == 1 {
        Part::Whole
    } else {
        Part::Bytes(0, Some(scale::FIRST_REQUEST))
    }
}
