//! Requests over the Unix socket of a running Archway: those that change something.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cache::{
    ListedBundle,
    inspect::{Directory, IndexCopy},
};
use config::{AdminSocket, Config};
use control::{
    BUNDLES, CONTENTS, NextInSeries, Purged, REFRESH, RELOAD, REMOVE, REMOVE_BUNDLES, Refreshed,
    Reloaded, RemoveBundles, RemoveNames, RemovedName, SERIES,
};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;

use super::{answer::Answer, error::ClientError};

/// How long a reload or a question to an upstream may take: longer than the server lets either.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a removal may take: it looks at all that is stored.
const REMOVAL_TIMEOUT: Duration = Duration::from_mins(30);

/// The socket of a running Archway.
#[derive(Debug)]
pub struct ControlSocket {
    http: Client,
    path: PathBuf,
}

impl ControlSocket {
    /// That of the Archway this configuration starts.
    pub fn of(config: &Config) -> Result<Self, ClientError> {
        Self::among(&config.cache.path, &config.admin.socket)
    }

    /// That of the Archway with this cache.
    pub fn among(cache: &Path, socket: &AdminSocket) -> Result<Self, ClientError> {
        path_of(cache, socket)
            .map(Self::at)
            .ok_or(ClientError::NoSocket)
    }

    /// Whether there is one to ask.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The one at this path.
    pub fn at(path: PathBuf) -> Self {
        let http = Client::builder()
            .unix_socket(path.clone())
            .user_agent(concat!("archway-command/", env!("CARGO_PKG_VERSION")));
        Self {
            http: http.build().expect("no option of the builder can fail"),
            path,
        }
    }

    /// Removes stored content.
    pub async fn remove(&self, names: &[String]) -> Result<Vec<RemovedName>, ClientError> {
        let names = names.to_vec();
        let body = serde_json::to_vec(&RemoveNames { names });
        let body = body.expect("texts always serialise");
        self.post(REMOVE, body, REMOVAL_TIMEOUT).await
    }

    /// Asks the upstream for a tag.
    pub async fn refresh(&self, name: &str) -> Result<Refreshed, ClientError> {
        let body = name.as_bytes().to_vec();
        self.post(REFRESH, body, ANSWER_TIMEOUT).await
    }

    /// The bundles that are here.
    pub async fn bundles(&self) -> Result<Vec<ListedBundle>, ClientError> {
        let request = self.http.get(url(BUNDLES)).timeout(ANSWER_TIMEOUT);
        self.answer(BUNDLES, request).await
    }

    /// Removes bundles.
    pub async fn remove_bundles(&self, asked: &RemoveBundles) -> Result<Purged, ClientError> {
        let body = serde_json::to_vec(asked).expect("digests always serialise");
        self.post(REMOVE_BUNDLES, body, REMOVAL_TIMEOUT).await
    }

    /// What the index of the server says.
    pub async fn contents(&self) -> Result<IndexCopy, ClientError> {
        let request = self.http.get(url(CONTENTS)).timeout(REMOVAL_TIMEOUT);
        self.answer(CONTENTS, request).await
    }

    /// The number of the next bundle of a series, at least `least`.
    pub async fn next_in_series(&self, series: &str, least: u64) -> Result<u64, ClientError> {
        let series = series.to_owned();
        let body = serde_json::to_vec(&NextInSeries { series, least });
        let body = body.expect("texts always serialise");
        self.post(SERIES, body, ANSWER_TIMEOUT).await
    }

    /// Has the configuration read again.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.post(RELOAD, Vec::new(), ANSWER_TIMEOUT).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let request = self.http.post(url(route)).body(body).timeout(timeout);
        self.answer(route, request).await
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

pub(crate) fn path_of(folder: &Path, socket: &AdminSocket) -> Option<PathBuf> {
    // The server may have a folder of its own in there.
    let inner = Directory::at(folder).ok();
    let folder = inner.as_ref().map_or(folder, Directory::path);
    socket.path(folder)
}
