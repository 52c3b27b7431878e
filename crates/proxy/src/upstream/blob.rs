//! Blobs: their bytes from an offset, and whether a repository has them at all.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use manifest_model::{Digest, RepoName};

use super::{
    Upstream,
    endpoint::{Ask, Endpoint, Redirects},
    error::{Absent, FetchError, Trouble},
};

/// A blob's body as the upstream sends it, not verified.
pub struct BlobBody {
    /// The size of the whole blob, where the upstream says it.
    pub size: Option<u64>,
    /// The offset of the first byte that comes: the one asked for, or 0 from a store that ignores ranges.
    pub start: u64,
    /// The bytes.
    pub bytes: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>,
}

impl Upstream {
    /// The blob from `offset` on. Redirects are followed anew at each call, so a pre-signed URL is never used twice.
    pub async fn blob(
        &self,
        repository: &RepoName,
        digest: &Digest,
        offset: u64,
    ) -> Result<BlobBody, FetchError> {
        self.first_answer(|endpoint| fetch(endpoint, repository, digest, offset))
            .await
    }

    /// Whether `repository` has the blob, asked by a GET whose body is not read: some registries answer every HEAD of a blob
    /// with 401. The size, where the upstream tells it before it redirects.
    pub async fn confirm_blob(
        &self,
        repository: &RepoName,
        digest: &Digest,
    ) -> Result<Option<u64>, FetchError> {
        self.first_answer(|endpoint| async move {
            let response = endpoint
                .ask(ask(repository, digest), Redirects::Stop)
                .await?;
            Ok(if response.status() == StatusCode::OK {
                response.content_length()
            } else {
                None
            })
        })
        .await
    }

    /// The size of a blob, asked like [`Self::confirm_blob`] but through its redirects.
    pub async fn blob_size(
        &self,
        repository: &RepoName,
        digest: &Digest,
    ) -> Result<Option<u64>, FetchError> {
        self.first_answer(|endpoint| async move {
            Ok(endpoint
                .ask(ask(repository, digest), Redirects::Follow)
                .await?
                .content_length())
        })
        .await
    }
}

fn ask<'a>(repository: &'a RepoName, digest: &Digest) -> Ask<'a> {
    let path = format!("blobs/{digest}");
    Ask {
        method: Method::GET,
        repository,
        path,
        query: None,
        headers: HeaderMap::new(),
        absent: Absent::Blob,
    }
}

async fn fetch(
    endpoint: &Endpoint,
    repository: &RepoName,
    digest: &Digest,
    offset: u64,
) -> Result<BlobBody, FetchError> {
    let mut ask = ask(repository, digest);
    if offset > 0 {
        let range =
            HeaderValue::try_from(format!("bytes={offset}-")).expect("digits are header text");
        ask.headers.insert(header::RANGE, range);
    }
    let response = endpoint.ask(ask, Redirects::Follow).await?;
    let (start, size) = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let range = response
                .headers()
                .get(header::CONTENT_RANGE)
                .and_then(|value| value.to_str().ok());
            let (start, size) = range
                .and_then(content_range)
                .ok_or_else(|| endpoint.broken(Trouble::Range))?;
            if start != offset {
                return Err(endpoint.broken(Trouble::Range));
            }
            (start, size)
        }
        _ => (0, response.content_length()),
    };
    let upstream = endpoint.host().clone();
    let bytes = response.bytes_stream().map(move |chunk| {
        chunk.map_err(|error| FetchError::Unreachable {
            upstream: upstream.clone(),
            source: Trouble::Http(error.without_url()),
        })
    });
    Ok(BlobBody {
        size,
        start,
        bytes: Box::pin(bytes),
    })
}

/// `bytes first-last/total`: the first byte, and the total unless it is `*`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    let total = if total == "*" {
        None
    } else {
        Some(total.parse().ok()?)
    };
    Some((first.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_gives_its_start_and_the_total() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 100-199/*"), Some((100, None)));
        assert_eq!(content_range("bytes */200"), None);
        assert_eq!(content_range("lines 1-2/3"), None);
    }
}
