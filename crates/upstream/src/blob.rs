//! Blobs at one endpoint: their bytes, whole or in parts, and whether a repository has them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, Method, StatusCode, header};
use manifest_model::{Digest, RepoName};
use reqwest::Response;
use tokio::time::Instant;

use crate::{
    endpoint::{Endpoint, Request, Turn},
    error::{Cause, FetchError, HttpError, RangeRefusal, Resource},
    transport::is_unmarked_end,
};

/// How long the single byte of an answer may take after its head.
const LAST_BYTE_TIMEOUT: Duration = Duration::from_millis(250);

/// A blob's body as the upstream sends it, not verified.
pub struct BlobBody {
    /// The size of the whole blob, if the upstream tells it.
    pub size: Option<u64>,
    /// The offset of the first byte in the body: the one asked for, or 0 from a store that ignores
    /// ranges.
    pub start: u64,
    /// The offset after the last byte in the body, if it may lie before the end of the blob.
    pub end: Option<u64>,
    /// Whether the store has answered a range, or announces that it would.
    pub ranges: bool,
    /// The bytes.
    pub bytes: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>,
}

/// A part of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first offset to before the second, or to the end.
    Bytes(u64, Option<u64>),
}

impl Part {
    /// Its `Range`; none for the whole.
    pub(crate) fn header(self) -> Option<HeaderValue> {
        let text = match self {
            Self::Whole => return None,
            Self::Bytes(start, None) => format!("bytes={start}-"),
            Self::Bytes(start, Some(end)) => format!("bytes={start}-{}", end - 1),
        };
        Some(HeaderValue::try_from(text).expect("digits are header text"))
    }

    pub(crate) fn start(self) -> u64 {
        match self {
            Self::Whole => 0,
            Self::Bytes(start, _) => start,
        }
    }
}

/// What to ask for in place of `part`, which begins with the blob: the whole, while ranges are known to
/// be refused there.
pub(crate) fn first_question(endpoint: &Endpoint, repository: &RepoName, part: Part) -> Part {
    let ranges = endpoint.ranges();
    if ranges.are_refused(repository, Instant::now()) {
        Part::Whole
    } else {
        part
    }
}

/// Whether to ask for the whole after `error` answered the request for `asked`, which begins with
/// the blob. A range is our idea, not the client's, and must not make an answer worse.
pub(crate) fn second_question(asked: Part, error: &FetchError) -> Option<RangeRefusal> {
    let refusal = error.range_refusal().filter(|_| asked != Part::Whole);
    if refusal.is_some() {
        tracing::debug!(error = %error.chain(), "a range was refused; asking for the whole blob");
    }
    refusal
}

/// The size of a blob, if the upstream tells it; an error if `repository` does not have it.
///
/// A GET of the first byte asks, since some registries answer every HEAD of a blob with 401. Its
/// redirect is followed, since a redirect proves nothing: `registry.k8s.io` redirects every
/// request, and so does a login page for strangers.
pub(crate) async fn size(
    endpoint: &Turn<'_>,
    repository: &RepoName,
    digest: &Digest,
) -> Result<Option<u64>, FetchError> {
    let is_empty = Digest::of(digest.algorithm(), b"") == *digest;
    let part = if is_empty {
        Part::Whole
    } else {
        first_question(endpoint, repository, Part::Bytes(0, Some(1)))
    };
    let refusal = match size_in(endpoint, request(repository, digest, part), part).await {
        // The head of the whole may tell what the range does not.
        Ok(None) if part != Part::Whole => None,
        Err(error) => match second_question(part, &error) {
            Some(refusal) => Some(refusal),
            None => return Err(error),
        },
        answer => return answer,
    };
    let mut whole = request(repository, digest, Part::Whole);
    // A second question at once is no cold one: it has had its repeat.
    whole.is_cold = false;
    let answer = size_in(endpoint, whole, Part::Whole).await;
    let Some(refusal) = refusal else {
        // The range has proved that the blob is there.
        return Ok(answer.unwrap_or_default());
    };
    let size = answer?;
    endpoint
        .ranges()
        .refused(refusal, repository, Instant::now());
    Ok(size)
}

/// The size of the blob in the answer to the request for `part`.
async fn size_in(
    endpoint: &Turn<'_>,
    request: Request<'_>,
    part: Part,
) -> Result<Option<u64>, FetchError> {
    let mut response = endpoint.ask(request).await?;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(response.content_length());
    }
    let (_, _, size) = partial(endpoint, &response, part)?;
    endpoint.ranges().answered();
    // The connection is free for the next request once the byte and the end are read.
    let rest = async { response.chunk().await.is_ok() && response.chunk().await.is_ok() };
    let _ = tokio::time::timeout(LAST_BYTE_TIMEOUT, rest).await;
    Ok(size)
}

/// Whether `repository` has the blob in this size, as far as the upstream tells one.
pub(crate) async fn confirm(
    endpoint: &Turn<'_>,
    repository: &RepoName,
    digest: &Digest,
    here: Option<u64>,
) -> Result<(), FetchError> {
    let there = size(endpoint, repository, digest).await?;
    match (here, there) {
        (Some(here), Some(there)) if here != there => {
            Err(endpoint.broken(Cause::OtherSize { here, there }))
        }
        _ => Ok(()),
    }
}

/// The request for a part of a blob.
pub(crate) fn request<'a>(repository: &'a RepoName, digest: &Digest, part: Part) -> Request<'a> {
    let path = format!("blobs/{digest}");
    let mut request = Request::new(Method::GET, Resource::Blob, repository, &path);
    if let Some(range) = part.header() {
        request.headers.insert(header::RANGE, range);
    }
    request
}

/// The start, the end and the size of the whole, of a 206 that answers the request for `part`.
fn partial(
    endpoint: &Endpoint,
    response: &Response,
    part: Part,
) -> Result<(u64, u64, Option<u64>), FetchError> {
    let range = response.headers().get(header::CONTENT_RANGE);
    range
        .and_then(|range| content_range(range.to_str().ok()?))
        .filter(|(start, ..)| *start == part.start())
        .ok_or_else(|| endpoint.broken(Cause::WrongRange))
}

/// The body of an answer to a request for `part`.
pub(crate) fn body(
    turn: &Turn<'_>,
    response: Response,
    part: Part,
) -> Result<BlobBody, FetchError> {
    let (start, end, size, ranges) = if response.status() == StatusCode::PARTIAL_CONTENT {
        let (start, end, size) = partial(turn, &response, part)?;
        turn.ranges().answered();
        (start, Some(end), size, true)
    } else {
        let announced = response.headers().get(header::ACCEPT_RANGES);
        // A store that has just ignored a range does not support ranges, whatever it announces.
        let announced = part == Part::Whole && announced.is_some_and(|unit| unit == "bytes");
        (0, None, response.content_length(), announced)
    };
    Ok(BlobBody {
        size,
        start,
        end,
        ranges,
        bytes: Box::pin(pieces(turn, response)),
    })
}

/// The pieces of a body, each before the body counts as stalled. There is no total timeout: a large
/// blob may take an hour, a stalled one may not.
fn pieces(
    turn: &Turn<'_>,
    response: Response,
) -> impl Stream<Item = Result<Bytes, FetchError>> + use<> {
    let upstream = turn.host().clone();
    let has_length = response.content_length().is_some();
    let pulse = turn.pulse(&response, turn.deadline());
    let received = turn.received_blobs();
    stream::try_unfold((response, pulse), move |(mut response, mut pulse)| {
        let (upstream, received) = (upstream.clone(), received.clone());
        async move {
            let source = match pulse.wait(response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    pulse.flows();
                    received.inc_by(chunk.len() as u64);
                    return Ok(Some((chunk, (response, pulse))));
                }
                Ok(Ok(None)) => return Ok(None),
                // An end as good as any other: the digest decides whether all of it came.
                Ok(Err(error)) if !has_length && is_unmarked_end(&error) => return Ok(None),
                Ok(Err(error)) => Cause::Http(HttpError::new(error)),
                Err(pause) => Cause::Stalled(pause),
            };
            Err(FetchError::Unreachable { upstream, source })
        }
    })
}

/// `bytes first-last/total`: the first byte, the one after the last, and the total unless it is
/// `*`.
fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1).filter(|end| first < *end)?;
    let total = if total == "*" {
        None
    } else {
        Some(total.parse().ok()?)
    };
    Some((first, end, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_gives_its_start_and_the_total() {
        assert_eq!(
            content_range("bytes 100-199/200"),
            Some((100, 200, Some(200)))
        );
        assert_eq!(content_range("bytes 100-199/*"), Some((100, 200, None)));
        assert_eq!(content_range("bytes */200"), None);
        assert_eq!(content_range("bytes 5-4/200"), None);
        assert_eq!(
            content_range("bytes 0-18446744073709551615/200"),
            None,
            "no such byte"
        );
        assert_eq!(content_range("lines 1-2/3"), None);
    }
}
