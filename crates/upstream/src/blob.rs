//! Blobs at one endpoint: their bytes, whole or in parts, and whether a repository has them.

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, Method, StatusCode, header};
use manifest_model::{Digest, RepoName};
use reqwest::Response;

use crate::{
    endpoint::{Endpoint, Request},
    error::{Cause, FetchError, Resource},
};

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

/// Whether `repository` has the blob; with a `size`, whether it has this size.
///
/// A GET of the first byte asks, since some registries answer every HEAD of a blob with 401. Its
/// redirect is followed, since a redirect proves nothing: `registry.k8s.io` redirects every
/// request, and so does a login page for strangers.
pub(crate) async fn confirm(
    endpoint: &Endpoint,
    repository: &RepoName,
    digest: &Digest,
    size: Option<u64>,
) -> Result<(), FetchError> {
    let mut request = request(repository, digest);
    let first_byte = HeaderValue::from_static("bytes=0-0");
    request.headers.insert(header::RANGE, first_byte);
    let there = match endpoint.ask(request).await {
        Ok(response) => whole_size(&response),
        // An empty blob has no first byte.
        Err(FetchError::Refused { status: 416, .. }) => Some(0),
        Err(error) => return Err(error),
    };
    match (size, there) {
        (Some(here), Some(there)) if here != there => {
            Err(endpoint.broken(Cause::OtherSize { here, there }))
        }
        _ => Ok(()),
    }
}

/// The size of a blob, from a GET as in [`confirm`].
pub(crate) async fn size(
    endpoint: &Endpoint,
    repository: &RepoName,
    digest: &Digest,
) -> Result<Option<u64>, FetchError> {
    let response = endpoint.ask(request(repository, digest)).await?;
    Ok(response.content_length())
}

/// The request for a whole blob.
pub(crate) fn request<'a>(repository: &'a RepoName, digest: &Digest) -> Request<'a> {
    let path = format!("blobs/{digest}");
    Request::new(Method::GET, Resource::Blob, repository, &path)
}

/// The size of the blob of which the body is all or a part.
fn whole_size(response: &Response) -> Option<u64> {
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let range = response.headers().get(header::CONTENT_RANGE)?;
        content_range(range.to_str().ok()?)?.2
    } else {
        response.content_length()
    }
}

/// The body of an answer to a request for `part`.
pub(crate) fn body(
    endpoint: &Endpoint,
    response: Response,
    part: Part,
) -> Result<BlobBody, FetchError> {
    let headers = response.headers();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let (start, end, size, ranges) = if response.status() == StatusCode::PARTIAL_CONTENT {
        let (start, end, size) = text(header::CONTENT_RANGE)
            .and_then(content_range)
            .filter(|(start, ..)| *start == part.start())
            .ok_or_else(|| endpoint.broken(Cause::WrongRange))?;
        (start, Some(end), size, true)
    } else {
        // A store that has just ignored a range does not support ranges, whatever it announces.
        let announced = part == Part::Whole && text(header::ACCEPT_RANGES) == Some("bytes");
        (0, None, response.content_length(), announced)
    };
    Ok(BlobBody {
        size,
        start,
        end,
        ranges,
        bytes: Box::pin(pieces(endpoint, response)),
    })
}

/// The pieces of a body, each within the idle timeout. There is no total timeout: a large blob may
/// take an hour, a stalled one may not.
fn pieces(
    endpoint: &Endpoint,
    response: Response,
) -> impl Stream<Item = Result<Bytes, FetchError>> + use<> {
    let (upstream, idle) = (endpoint.host().clone(), endpoint.idle_timeout());
    stream::try_unfold(response, move |mut response| {
        let upstream = upstream.clone();
        async move {
            let source = match tokio::time::timeout(idle, response.chunk()).await {
                Ok(Ok(chunk)) => return Ok(chunk.map(|chunk| (chunk, response))),
                Ok(Err(error)) => Cause::Http(error.without_url()),
                Err(_) => Cause::Stalled(idle),
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
