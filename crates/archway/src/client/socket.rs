//! Requests over the Unix socket of a running Archway: those that change something.

use std::path::PathBuf;

use cache::{ListedBundle, inspect::Directory};
use config::Config;
use control::{
    BUNDLES, Purged, REFRESH, RELOAD, REMOVE, REMOVE_BUNDLES, Refreshed, Reloaded, RemoveBundles,
    RemoveNames, RemovedName,
};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;

use super::{answer::Answer, error::ClientError};

/// The socket of a running Archway.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    http: Client,
    path: PathBuf,
}

impl ControlSocket {
    /// That of the Archway this configuration starts.
    pub(crate) fn of(config: &Config) -> Result<Self, ClientError> {
        path_of(config).map(Self::at).ok_or(ClientError::NoSocket)
    }

    /// The one at this path.
    pub(crate) fn at(path: PathBuf) -> Self {
        let http = Client::builder()
            .unix_socket(path.clone())
            .user_agent(concat!("archway/", env!("CARGO_PKG_VERSION")));
        Self {
            http: http.build().expect("no option of the builder can fail"),
            path,
        }
    }

    /// Removes stored content.
    pub(crate) async fn remove(&self, names: &[String]) -> Result<Vec<RemovedName>, ClientError> {
        let names = names.to_vec();
        let body = serde_json::to_vec(&RemoveNames { names });
        self.post(REMOVE, body.expect("texts always serialise"))
            .await
    }

    /// Asks the upstream for a tag.
    pub(crate) async fn refresh(&self, name: &str) -> Result<Refreshed, ClientError> {
        self.post(REFRESH, name.as_bytes().to_vec()).await
    }

    /// The bundles that are here.
    pub(crate) async fn bundles(&self) -> Result<Vec<ListedBundle>, ClientError> {
        self.answer(BUNDLES, self.http.get(url(BUNDLES))).await
    }

    /// Removes bundles.
    pub(crate) async fn remove_bundles(
        &self,
        asked: &RemoveBundles,
    ) -> Result<Purged, ClientError> {
        let body = serde_json::to_vec(asked).expect("digests always serialise");
        self.post(REMOVE_BUNDLES, body).await
    }

    /// Has the configuration read again.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.post(RELOAD, Vec::new()).await
    }

    /// A removal or a reload may take long, and ends with its server.
    async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        self.answer(route, self.http.post(url(route)).body(body))
            .await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        route: &str,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|source| ClientError::NoAnswer {
                path: self.path.clone(),
                source: source.without_url(),
            })?;
        let answer = Answer::read(response, url(route)).await?.successful()?;
        serde_json::from_slice(&answer.body).map_err(|error| answer.invalid(error))
    }
}

/// The host is ours, whatever the socket is called.
fn url(route: &str) -> String {
    format!("http://localhost{route}")
}

pub(super) fn path_of(config: &Config) -> Option<PathBuf> {
    let folder = &config.cache.path;
    // The server may have a folder of its own in there.
    let inner = Directory::at(folder).ok();
    let folder = inner.as_ref().map_or(&**folder, Directory::path);
    config.admin.socket.path(folder)
}
