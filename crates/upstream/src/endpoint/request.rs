//! A request to a registry, before it has credentials.

use http::{HeaderMap, Method};
use manifest_model::RepoName;
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
    pub(crate) headers: HeaderMap,
}

impl<'a> Request<'a> {
    /// A request for `path` below a repository, without headers.
    pub(crate) fn new(
        method: Method,
        resource: Resource,
        repository: &'a RepoName,
        path: &str,
    ) -> Self {
        Self {
            method,
            resource,
            repository: Some(repository),
            path: format!("{repository}/{path}"),
            query: None,
            headers: HeaderMap::new(),
        }
    }

    /// A request for `/v2/` with the credentials for `repository`.
    pub(crate) fn ping(repository: Option<&'a RepoName>) -> Self {
        Self {
            method: Method::GET,
            resource: Resource::Manifest,
            repository,
            path: String::new(),
            query: None,
            headers: HeaderMap::new(),
        }
    }

    /// Its URL at an endpoint.
    pub(super) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("/v2/{}", self.path));
        url.set_query(self.query);
        url
    }
}
