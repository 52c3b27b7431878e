//! Blobs: their bytes, whole or in parts, and whether a repository has them at all.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use manifest_model::{Digest, RepoName};
use reqwest::Response;
use url::Url;

use super::{
    Upstream,
    endpoint::{Ask, Endpoint},
    error::{Absent, FetchError, Trouble},
};

/// A blob's body as the upstream sends it, not verified.
pub struct BlobBody {
    /// The size of the whole blob, where the upstream says it.
    pub size: Option<u64>,
    /// The offset of the first byte that comes: the one asked for, or 0 from a store that ignores ranges.
    pub start: u64,
    /// Where the bytes that come end, if that is before the blob's end or may be.
    pub end: Option<u64>,
    /// Whether the store has shown, or says, that it answers ranges.
    pub ranges: bool,
    /// The bytes.
    pub bytes: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>,
}

/// Which part of a blob is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first offset up to and without the second, or to the end.
    Bytes(u64, Option<u64>),
}

impl Part {
    fn header(self) -> Option<HeaderValue> {
        let text = match self {
            Self::Whole => return None,
            Self::Bytes(start, None) => format!("bytes={start}-"),
            Self::Bytes(start, Some(end)) => format!("bytes={start}-{}", end - 1),
        };
        Some(HeaderValue::try_from(text).expect("digits are header text"))
    }

    fn start(self) -> u64 {
        match self {
            Self::Whole => 0,
            Self::Bytes(start, _) => start,
        }
    }
}

/// One blob of one repository, to be fetched in parts for as long as one download lasts.
///
/// Where the registry redirects, the store's address is kept between the parts, so that a part costs one request. It is never
/// kept longer than this value, and never used again once the store has refused it.
#[derive(Debug)]
pub struct BlobSource {
    upstream: Arc<Upstream>,
    repository: RepoName,
    digest: Digest,
    store: Mutex<Option<Store>>,
}

/// Where a registry has redirected us, and which of the upstream's endpoints that was.
#[derive(Clone, Debug)]
struct Store {
    endpoint: usize,
    url: Url,
}

impl BlobSource {
    /// Nothing is asked before [`Self::get`].
    pub fn new(upstream: Arc<Upstream>, repository: RepoName, digest: Digest) -> Self {
        Self {
            upstream,
            repository,
            digest,
            store: Mutex::default(),
        }
    }

    /// A part of the blob. A store that ignores ranges sends all of it.
    pub async fn get(&self, part: Part) -> Result<BlobBody, FetchError> {
        if let Some(store) = self.known_store() {
            let endpoint = &self.upstream.endpoints[store.endpoint];
            match endpoint.ask_store(&store.url, &self.ask(part)).await {
                Ok(response) => return body(endpoint, response, part),
                Err(error) => {
                    tracing::debug!(error = %error.chain(), "a store is not asked again at the same address");
                    self.remember(None);
                }
            }
        }
        match self.ask_registry(part).await {
            // Nothing can be a part of an empty blob.
            Err(FetchError::Refused { status: 416, .. }) if part.start() == 0 => {
                self.ask_registry(Part::Whole).await
            }
            answer => answer,
        }
    }

    /// Whether every part is a call that a configured rate counts, since no store is known that answers them instead.
    pub fn is_rationed(&self) -> bool {
        let limits = &self.upstream.config().limits;
        let is_limited = limits.rate.is_some() || limits.blob_rate.is_some();
        is_limited && self.known_store().is_none()
    }

    /// The error for an answer of this upstream that cannot be right.
    pub fn broken(&self, source: Trouble) -> FetchError {
        FetchError::Broken {
            upstream: self.upstream.host().clone(),
            source,
        }
    }

    async fn ask_registry(&self, part: Part) -> Result<BlobBody, FetchError> {
        self.upstream
            .first_answer(|endpoint| async move {
                let response = endpoint.ask(self.ask(part)).await?;
                if endpoint.is_elsewhere(&response) {
                    let same = |known: &Endpoint| std::ptr::eq(known, endpoint);
                    let place = self.upstream.endpoints.iter().position(same);
                    self.remember(place.map(|endpoint| Store {
                        endpoint,
                        url: response.url().clone(),
                    }));
                }
                body(endpoint, response, part)
            })
            .await
    }

    fn ask(&self, part: Part) -> Ask<'_> {
        let mut ask = ask(&self.repository, &self.digest);
        if let Some(range) = part.header() {
            ask.headers.insert(header::RANGE, range);
        }
        ask
    }

    fn known_store(&self) -> Option<Store> {
        self.store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, store: Option<Store>) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = store;
    }
}

impl Upstream {
    /// Whether `repository` has the blob, of this size where it is known. Asked by a GET of its first byte: some registries answer
    /// every HEAD of a blob with 401. A redirect is followed, since it proves nothing: `registry.k8s.io` redirects whatever it is
    /// asked for, and so does what sends strangers to a page to log in.
    pub async fn confirm_blob(
        &self,
        repository: &RepoName,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<(), FetchError> {
        self.first_answer(|endpoint| async move {
            let mut ask = ask(repository, digest);
            ask.headers
                .insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
            let said = match endpoint.ask(ask).await {
                Ok(response) => whole_size(&response),
                // An empty blob has no first byte.
                Err(FetchError::Refused { status: 416, .. }) => Some(0),
                Err(error) => return Err(error),
            };
            match (size, said) {
                (Some(here), Some(there)) if here != there => {
                    Err(endpoint.broken(Trouble::OtherSize { here, there }))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// The size of a blob, asked by a GET like [`Self::confirm_blob`].
    pub async fn blob_size(
        &self,
        repository: &RepoName,
        digest: &Digest,
    ) -> Result<Option<u64>, FetchError> {
        self.first_answer(|endpoint| async move {
            let response = endpoint.ask(ask(repository, digest)).await?;
            Ok(response.content_length())
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

/// The size of the blob that an answer brings all or a part of.
fn whole_size(response: &Response) -> Option<u64> {
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let range = response.headers().get(header::CONTENT_RANGE)?;
        content_range(range.to_str().ok()?)?.2
    } else {
        response.content_length()
    }
}

fn body(endpoint: &Endpoint, response: Response, part: Part) -> Result<BlobBody, FetchError> {
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
            .ok_or_else(|| endpoint.broken(Trouble::Range))?;
        (start, Some(end), size, true)
    } else {
        // To a range that was asked for and is not answered with one, the header would be a lie.
        let says = part == Part::Whole && text(header::ACCEPT_RANGES) == Some("bytes");
        (0, None, response.content_length(), says)
    };
    Ok(BlobBody {
        size,
        start,
        end,
        ranges,
        bytes: Box::pin(pieces(endpoint, response)),
    })
}

/// The pieces of a body, each within the idle timeout. There is no total: a large blob may take an hour, a stalled one may not.
fn pieces(
    endpoint: &Endpoint,
    response: Response,
) -> impl Stream<Item = Result<Bytes, FetchError>> + use<> {
    let (upstream, idle) = (endpoint.host().clone(), endpoint.shared.idle_timeout);
    stream::try_unfold(response, move |mut response| {
        let upstream = upstream.clone();
        async move {
            let source = match tokio::time::timeout(idle, response.chunk()).await {
                Ok(Ok(chunk)) => return Ok(chunk.map(|chunk| (chunk, response))),
                Ok(Err(error)) => Trouble::Http(error.without_url()),
                Err(_) => Trouble::Stalled(idle),
            };
            Err(FetchError::Unreachable { upstream, source })
        }
    })
}

/// `bytes first-last/total`: the first byte, the one after the last, and the total unless it is `*`.
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
