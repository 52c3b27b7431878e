//! A request to a registry, before it has credentials.

use std::sync::Arc;

use http::{HeaderMap, Method, header};
use manifest_model::RepoName;
use protocol::host::Host;
use tally::Asked;
use tokio::sync::Notify;
use url::Url;

use crate::error::Resource;

/// A request to an endpoint. It holds nothing that a client sent except a list's query.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// What a 404 to it means, unless the error code tells more.
    pub(crate) resource: Resource,
    /// The repository that the credentials are for; the registry itself without one.
    pub(crate) repository: Option<&'a RepoName>,
    /// Below `/v2/`.
    pub(crate) path: String,
    pub(crate) query: Option<&'a str>,
    /// Whether a client waits for the first byte of content that is not here.
    pub(crate) is_cold: bool,
    pub(crate) headers: HeaderMap,
    /// Told once the endpoint itself has answered well: what is left is the way of the bytes.
    pub(crate) heard: Option<Arc<Notify>>,
}

impl<'a> Request<'a> {
    /// A request for `path` below a repository, without headers.
    pub(crate) fn new(
        method: Method,
        resource: Resource,
        repository: &'a RepoName,
        path: &str,
    ) -> Self {
        let is_content = matches!(resource, Resource::Manifest | Resource::Blob);
        Self {
            is_cold: method == Method::GET && is_content,
            method,
            resource,
            repository: Some(repository),
            path: format!("{repository}/{path}"),
            query: None,
            headers: HeaderMap::new(),
            heard: None,
        }
    }

    /// A request for `/v2/` with the credentials for `repository`.
    pub(crate) fn ping(repository: Option<&'a RepoName>) -> Self {
        Self {
            method: Method::GET,
            resource: Resource::Manifest,
            is_cold: false,
            repository,
            path: String::new(),
            query: None,
            headers: HeaderMap::new(),
            heard: None,
        }
    }

    /// What it asks for, as its time is counted.
    pub(super) fn asked(&self) -> Asked {
        match self.resource {
            Resource::Blob => Asked::Blob,
            Resource::Repository | Resource::ReferrersApi => Asked::List,
            Resource::Manifest
                if self.method == Method::HEAD
                    || self.path.is_empty()
                    || self.headers.contains_key(header::IF_NONE_MATCH) =>
            {
                Asked::Check
            }
            Resource::Manifest => Asked::Manifest,
        }
    }

    /// Its URL at an endpoint; `upstream` for one that serves many and has to be told which.
    pub(super) fn url(&self, base: &Url, upstream: Option<&Host>) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("/v2/{}", self.path));
        url.set_query(self.query);
        if let Some(upstream) = upstream {
            url.query_pairs_mut().append_pair("ns", upstream.as_str());
        }
        url
    }
}
