//! A pulling client that keeps to the specification and believes nothing: it checks every byte it
//! gets, and can read slowly, leave in the middle and tell a whole body from a broken one.

mod dialect;
mod download;
mod pull;
pub mod raw;

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::images::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::wait::within;

pub use dialect::{Dialect, Http, Tls};
pub use download::{Download, End};
pub use pull::Pulled;

/// What current clients accept: images and indexes.
pub const ALL_TYPES: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
/// What a client accepts that cannot choose a platform itself.
pub const IMAGES_ONLY: [&str; 2] = [OCI_MANIFEST, DOCKER_MANIFEST];

/// A client with connections of its own. Never follows a redirect, never sends credentials by
/// itself.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    query: String,
    headers: HeaderMap,
}

impl Client {
    /// A client of `base`, that is `http://HOST:PORT` and a path where the client is configured so.
    pub fn new(base: &str) -> Self {
        Self::build(base, None)
    }

    /// The same, with its connections coming from this loopback address.
    pub fn from_address(base: &str, ip: IpAddr) -> Self {
        Self::build(base, Some(ip))
    }

    fn build(base: &str, ip: Option<IpAddr>) -> Self {
        Self::with_builder(base, reqwest::Client::builder().local_address(ip))
    }

    fn with_builder(base: &str, builder: reqwest::ClientBuilder) -> Self {
        let http = builder
            .no_proxy()
            // Below Archway's own: a connection that both sides give up at once looks like a failure.
            .pool_idle_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without special wishes");
        let client = Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
        };
        client.accepting(&ALL_TYPES)
    }

    /// The same client with another `Accept`, one line per type as containers/image sends it.
    #[must_use]
    pub fn accepting(mut self, types: &[&str]) -> Self {
        self.headers.remove(header::ACCEPT);
        for one in types {
            let value = HeaderValue::from_str(one).expect("a media type");
            self.headers.append(header::ACCEPT, value);
        }
        self
    }

    /// The same client with one more header on every request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.append(name, value);
        self
    }

    /// The same client with this pair in the query of every request, as containerd sends `ns`.
    #[must_use]
    pub fn with_query(mut self, key: &str, value: &str) -> Self {
        self.query = format!("{key}={value}");
        self
    }

    /// Asks, and returns with the headers; the body is read by the [`Download`].
    pub async fn open(&self, method: Method, path: &str) -> Download {
        let what = format!("{method} {path} is answered");
        let answer = within(&what, self.try_open(method, path)).await;
        answer.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// The same where the connection itself may fail.
    pub async fn try_open(&self, method: Method, path: &str) -> reqwest::Result<Download> {
        let mut url = format!("{}{path}", self.base);
        if !self.query.is_empty() {
            url.push(if path.contains('?') { '&' } else { '?' });
            url.push_str(&self.query);
        }
        let request = self.http.request(method, url);
        let response = request.headers(self.headers.clone()).send().await?;
        Ok(Download::new(response))
    }

    /// GET with the whole body, which must not break.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path).await
    }

    /// HEAD.
    pub async fn head(&self, path: &str) -> Answer {
        self.send(Method::HEAD, path).await
    }

    /// Any method, with the whole body, which must not break.
    pub async fn send(&self, method: Method, path: &str) -> Answer {
        let download = self.open(method, path).await;
        within("the body ends", download.whole()).await
    }

    /// GET of a manifest.
    pub async fn manifest(&self, repository: &str, reference: impl Display + Copy) -> Answer {
        self.get(&format!("/v2/{repository}/manifests/{reference}"))
            .await
    }

    /// What the answer to a GET says about platform and source; empty where the index came.
    pub async fn platform_said(&self, path: &str) -> String {
        let answer = self.get(path).await.expect(200);
        answer.header("archway-platform").to_owned()
    }

    /// GET of a blob.
    pub async fn blob(&self, repository: &str, digest: impl Display + Copy) -> Answer {
        self.get(&blob_path(repository, digest)).await
    }
}

/// `/v2/REPOSITORY/blobs/DIGEST`.
pub fn blob_path(repository: &str, digest: impl Display + Copy) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

/// An answer that has arrived whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}: {}", self.status, self.text()))
    }

    /// The code of its first error.
    pub fn error_code(&self) -> String {
        let body = self.json();
        let code = body["errors"][0]["code"].as_str();
        code.unwrap_or_default().to_owned()
    }

    /// Itself, when it has this status.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "an assertion; what it returns is a convenience"
    )]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{:?}\n{}",
            self.headers,
            self.text()
        );
        self
    }
}
