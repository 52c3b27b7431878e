//! [`FakeRegistry`]: a real server with the pull side of the distribution API, its object store on
//! a second listener, and every request counted.
//!
//! It serves what was [`FakeRegistry::push`]ed, with the quirks it is told to have ([`Quirks`]),
//! asks for the credentials it is told to ask for ([`Auth`]) and misbehaves as told ([`Faults`]).

mod body;
mod content;
mod limit;
pub mod log;
mod referrers;
mod serve;
mod store;
mod tags;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use http::{Response, StatusCode, header};
use manifest_model::{Algorithm, Digest};
use serde_json::json;

use crate::auth::Auth;
use crate::faults::Faults;
use crate::images::{self, Blob, Content, Stored};
use crate::server::{Body, Server, full};

use content::Repositories;
use limit::Limit;
use log::RequestLog;
use store::Store;

/// Where a registry differs from a plain one.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// How a blob is handed out.
    pub blobs: Blobs,
    /// When a manifest's digest is in the headers.
    pub digest_header: DigestHeader,
    /// What a HEAD of a blob gets.
    pub blob_head: BlobHead,
    /// Whether there is a referrers API.
    pub referrers: Referrers,
    /// How many tags a page has at most.
    pub tags_page: Option<usize>,
    /// How the next page of tags is named.
    pub tags_last: TagsLast,
}

/// How a blob is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blobs {
    /// By the registry itself.
    #[default]
    Direct,
    /// By a 307 to a signed URL of the store, as ECR does.
    Redirected,
}

/// When a manifest's digest is in the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestHeader {
    /// Always.
    #[default]
    Always,
    /// On HEAD only, as at ECR.
    OnHead,
    /// Never.
    Never,
    /// Always, and it is some other digest.
    False,
}

/// What a HEAD of a blob gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlobHead {
    /// An answer.
    #[default]
    Works,
    /// 401, as at ECR Public.
    Unauthorized,
}

/// Whether there is a referrers API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Referrers {
    /// There is.
    #[default]
    Supported,
    /// 404, as older registries answer.
    Missing,
}

/// How the next page of tags is named in `Link`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagsLast {
    /// By the last tag of this page.
    #[default]
    Tag,
    /// By an opaque token, as at ECR.
    Opaque,
    /// By a cursor of its own, as at Quay.
    Cursor,
}

/// A registry on a loopback port; clones are handles to the same one.
#[derive(Clone)]
pub struct FakeRegistry {
    server: Server,
    store: Server,
    shared: Arc<Shared>,
}

/// What the handlers of the registry and of its store know.
struct Shared {
    content: Mutex<Repositories>,
    auth: Mutex<Auth>,
    quirks: Mutex<Quirks>,
    faults: Faults,
    limit: Limit,
    log: RequestLog,
    store: Store,
}

impl FakeRegistry {
    /// An empty, open registry.
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    /// The same at another address of this machine; its store stays at 127.0.0.1.
    pub async fn start_at(address: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            content: Mutex::default(),
            auth: Mutex::default(),
            quirks: Mutex::default(),
            faults: Faults::default(),
            limit: Limit::default(),
            log: RequestLog::default(),
            store: Store::default(),
        });
        let for_store = Arc::clone(&shared);
        let store = Server::start(move |request, connection| {
            store::handle(Arc::clone(&for_store), request, connection).boxed()
        })
        .await;
        let (for_requests, store_url) = (Arc::clone(&shared), store.url());
        let server = Server::start_at(address, move |request, connection| {
            let shared = Arc::clone(&for_requests);
            serve::handle(shared, store_url.clone(), request, connection).boxed()
        })
        .await;
        Self {
            server,
            store,
            shared,
        }
    }

    /// A registry that already has `content` under `repository:tag`.
    pub async fn with(repository: &str, tag: &str, content: &Content) -> Self {
        let registry = Self::start().await;
        registry.push(repository, tag, content);
        registry
    }

    /// A registry that has an index for [`images::PLATFORMS`] under `team/app:v1`, and that index.
    pub async fn with_app() -> (Self, Content) {
        let content = images::multi_platform("app");
        let registry = Self::with("team/app", "v1", &content).await;
        (registry, content)
    }

    /// The same behind a login.
    pub async fn with_app_for(auth: Auth) -> (Self, Content) {
        let (registry, content) = Self::with_app().await;
        registry.require(auth);
        (registry, content)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// A URL of its store whose time is over.
    pub fn expired_url(&self) -> String {
        format!(
            "{}{}old?X-Amz-Signature=signed-before",
            self.store.url(),
            store::PREFIX
        )
    }

    /// Stores `content` in `repository` and points `tag` to its root.
    pub fn push(&self, repository: &str, tag: &str, content: &Content) {
        self.push_as(Algorithm::Sha256, repository, tag, content);
    }

    /// As [`FakeRegistry::push`], with the root known by a digest of this algorithm.
    pub fn push_as(&self, algorithm: Algorithm, repository: &str, tag: &str, content: &Content) {
        self.contents(|all| all.push(algorithm, repository, tag, content));
    }

    /// Stores a blob that no manifest names, under its digest by `algorithm`.
    pub fn push_blob(&self, repository: &str, algorithm: Algorithm, blob: &Blob) -> Digest {
        self.contents(|all| all.push_blob(repository, algorithm, blob))
    }

    /// Takes a tag away; its manifest stays.
    pub fn remove_tag(&self, repository: &str, tag: &str) {
        self.contents(|all| all.remove_tag(repository, tag));
    }

    fn contents<T>(&self, change: impl FnOnce(&mut Repositories) -> T) -> T {
        change(&mut self.shared.content.lock().expect("no panic under it"))
    }

    /// From here on it asks for these credentials.
    pub fn require(&self, auth: Auth) {
        *self.shared.auth.lock().expect("no panic under it") = auth;
    }

    /// Changes its quirks.
    pub fn quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.shared.quirks.lock().expect("no panic under it"));
    }

    /// What it does wrong at the moment, the store included.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// From here on every call beyond so many in a second gets a 429.
    pub fn limit(&self, calls: usize) {
        self.shared.limit.set(calls);
    }

    /// What it and its store were asked.
    pub fn log(&self) -> &RequestLog {
        &self.shared.log
    }

    /// How many GETs of this blob or manifest reached the registry itself, in any repository.
    pub fn gets_of(&self, digest: &Digest) -> usize {
        self.log().gets(format_args!("/{digest}")) - self.store_gets_of(digest)
    }

    /// How many GETs of this blob reached the store.
    pub fn store_gets_of(&self, digest: &Digest) -> usize {
        self.log().gets(format_args!("{}{digest}", store::PREFIX))
    }

    /// How many bytes of this blob were sent, by the registry and its store.
    pub fn bytes_of(&self, digest: &Digest) -> u64 {
        self.log().bytes(format_args!("/{digest}"))
    }

    /// Lets all URLs of the store that were handed out so far expire.
    pub fn expire_urls(&self) {
        self.shared.store.expire();
    }

    /// Stops listening, registry and store, and cuts all connections.
    pub async fn close(&self) {
        self.server.close().await;
        self.store.close().await;
    }

    /// Listens again on the same ports.
    pub async fn reopen(&self) {
        self.server.reopen().await;
        self.store.reopen().await;
    }
}

impl Shared {
    fn quirks_now(&self) -> Quirks {
        self.quirks.lock().expect("no panic under it").clone()
    }

    fn manifest(&self, repository: &str, reference: &str) -> Result<Stored, &'static str> {
        let content = self.content.lock().expect("no panic under it");
        content.manifest(repository, reference).cloned()
    }

    fn blob(&self, repository: &str, digest: &str) -> Option<Blob> {
        let content = self.content.lock().expect("no panic under it");
        content.blob(repository, digest).cloned()
    }
}

/// An error as the distribution specification words it.
pub(crate) fn error_response(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
