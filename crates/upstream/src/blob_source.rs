//! One blob as the source of one download, fetched in parts.

use std::sync::Arc;

use http::header;
use manifest_model::{Digest, RepoName};
use parking_lot::Mutex;
use url::Url;

use crate::{
    blob::{self, BlobBody, Part},
    endpoint::Request,
    error::{Cause, FetchError},
    upstream::Upstream,
};

/// One blob of one repository, to be fetched in parts during one download.
///
/// If the registry redirects, the store's address is kept between the parts, so that a part costs
/// one request. The address is dropped with this value, and as soon as the store refuses it.
#[derive(Debug)]
pub struct BlobSource {
    upstream: Arc<Upstream>,
    repository: RepoName,
    digest: Digest,
    store: Mutex<Option<Store>>,
}

/// The target of a redirect, and the position of the endpoint that sent it.
#[derive(Clone, Debug)]
struct Store {
    endpoint: usize,
    url: Url,
}

impl BlobSource {
    /// Sends no request; [`Self::get`] does.
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
        let store = self.store.lock().clone();
        if let Some(store) = store {
            let endpoint = self.upstream.endpoints().get(store.endpoint);
            match endpoint.ask_store(&store.url, &self.request(part)).await {
                Ok(response) => return blob::body(endpoint, response, part),
                Err(error) => {
                    let error = error.chain();
                    tracing::debug!(%error, "a store failed; asking the registry again");
                    self.remember(None);
                }
            }
        }
        match self.ask_registry(part).await {
            // An empty blob has no range at all.
            Err(FetchError::Refused { status: 416, .. }) if part.start() == 0 => {
                self.ask_registry(Part::Whole).await
            }
            answer => answer,
        }
    }

    /// Whether every part counts for a configured rate, since no store is known that would send it.
    pub fn is_rate_limited(&self) -> bool {
        let limits = &self.upstream.config().limits;
        let is_limited = limits.rate.is_some() || limits.blob_rate.is_some();
        is_limited && self.store.lock().is_none()
    }

    /// The error for an answer of this upstream that cannot be right.
    pub fn broken(&self, source: Cause) -> FetchError {
        FetchError::Broken {
            upstream: self.upstream.host().clone(),
            source,
        }
    }

    async fn ask_registry(&self, part: Part) -> Result<BlobBody, FetchError> {
        let endpoints = self.upstream.endpoints();
        endpoints
            .first_answer(|endpoint| async move {
                let response = endpoint.ask(self.request(part)).await?;
                if endpoint.is_redirected(&response) {
                    let position = endpoints.position(endpoint);
                    self.remember(position.map(|endpoint| Store {
                        endpoint,
                        url: response.url().clone(),
                    }));
                }
                blob::body(endpoint, response, part)
            })
            .await
    }

    fn request(&self, part: Part) -> Request<'_> {
        let mut request = blob::request(&self.repository, &self.digest);
        if let Some(range) = part.header() {
            request.headers.insert(header::RANGE, range);
        }
        request
    }

    fn remember(&self, store: Option<Store>) {
        *self.store.lock() = store;
    }
}
