//! The registry's own answers: which content a path means, who may have it, and in which headers.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use manifest_model::{Algorithm, Digest};

use super::body::Exchange;
use super::{
    BlobHead, Blobs, DigestHeader, Referrers, Shared, error_response, referrers, store, tags,
};
use crate::faults::Fault;
use crate::images::Blob;
use crate::server::{Body, Connection, full};

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Answers one request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    store_url: String,
    request: Request<Incoming>,
    connection: Connection,
) -> Response<Body> {
    let exchange = Exchange {
        entry: shared.log.record("registry", &request),
        faults: shared.faults.of(request.method(), request.uri().path()),
        connection,
    };
    exchange.hold().await;
    let host = request.headers().get(header::HOST).cloned();
    let response = Answer {
        shared: &shared,
        store_url: &store_url,
        host: host
            .as_ref()
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
        exchange: &exchange,
    }
    .response();
    exchange.finish(response)
}

struct Answer<'a> {
    shared: &'a Shared,
    store_url: &'a str,
    host: &'a str,
    exchange: &'a Exchange,
}

impl Answer<'_> {
    fn response(&self) -> Response<Body> {
        for fault in &self.exchange.faults {
            if let Fault::Status(status) = fault {
                return error_response(*status, code_of(*status), "told to");
            }
        }
        if !self.shared.limit.take() {
            return error_response(
                StatusCode::TOO_MANY_REQUESTS,
                "TOOMANYREQUESTS",
                "slow down",
            );
        }
        if let Some(replaced) = self.exchange.replaced() {
            return replaced;
        }
        let entry = &self.exchange.entry;
        if entry.method != Method::GET && entry.method != Method::HEAD {
            return error_response(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "pull side only",
            );
        }
        let target = Target::of(&entry.path);
        let auth = self.shared.auth.lock().expect("no panic under it").clone();
        if let Some(refusal) = auth.refuse(&entry.headers, target.repository()) {
            return refusal;
        }
        match target {
            Target::Ping => Response::new(full("{}")),
            Target::Manifest(repository, reference) => self.manifest(repository, reference),
            Target::Blob(repository, digest) => self.blob(repository, digest),
            Target::Tags(repository) => tags::list(self.shared, entry, self.host, repository),
            Target::Referrers(repository, subject) => self.referrers(repository, subject),
            Target::Unknown => error_response(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such path"),
        }
    }

    fn manifest(&self, repository: &str, reference: &str) -> Response<Body> {
        let stored = match self.shared.manifest(repository, reference) {
            Ok(stored) => stored,
            Err(code) => return error_response(StatusCode::NOT_FOUND, code, "not here"),
        };
        let entry = &self.exchange.entry;
        let accepted = entry.headers.get_all(header::ACCEPT).iter();
        let accepted = accepted.filter_map(|value| value.to_str().ok());
        // A registry that is asked without the stored type says 404 or converts: both would be
        // wrong. A type that nobody would ask for is served by those that store anything.
        let is_asked_for = accepted
            .flat_map(|line| line.split(','))
            .any(|one| one.trim() == stored.media_type);
        if !is_asked_for && stored.media_type.starts_with("application/") {
            let message = format!("Accept lacks {}", stored.media_type);
            return error_response(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &message);
        }
        let mut response = self.exchange.send(Blob::Held(stored.bytes.clone()));
        insert(&mut response, header::CONTENT_TYPE, &stored.media_type);
        let digest = match self.shared.quirks_now().digest_header {
            DigestHeader::Always => Some(stored.digest),
            DigestHeader::OnHead if entry.method == Method::HEAD => Some(stored.digest),
            DigestHeader::False => Some(Digest::of(Algorithm::Sha256, b"something else")),
            DigestHeader::OnHead | DigestHeader::Never => None,
        };
        if let Some(digest) = digest {
            insert(&mut response, DIGEST, &digest.to_string());
        }
        response
    }

    fn blob(&self, repository: &str, digest: &str) -> Response<Body> {
        let quirks = self.shared.quirks_now();
        let is_head = self.exchange.entry.method == Method::HEAD;
        if is_head && quirks.blob_head == BlobHead::Unauthorized {
            return error_response(StatusCode::UNAUTHORIZED, "DENIED", "no HEAD of blobs here");
        }
        let Some(blob) = self.shared.blob(repository, digest) else {
            return error_response(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "not here");
        };
        if quirks.blobs == Blobs::Redirected {
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            let url = store::sign(
                self.shared,
                self.store_url,
                &self.exchange.entry.method,
                repository,
                digest,
            );
            insert(&mut response, header::LOCATION, &url);
            return response;
        }
        let mut response = self.exchange.send(blob);
        insert(
            &mut response,
            header::CONTENT_TYPE,
            "application/octet-stream",
        );
        insert(&mut response, DIGEST, digest);
        response
    }

    fn referrers(&self, repository: &str, subject: &str) -> Response<Body> {
        if self.shared.quirks_now().referrers == Referrers::Missing {
            return error_response(StatusCode::NOT_FOUND, "UNSUPPORTED", "no referrers API");
        }
        let content = self.shared.content.lock().expect("no panic under it");
        referrers::list(
            &content.manifests(repository),
            subject,
            self.exchange.entry.query(),
        )
    }
}

pub(super) fn insert(response: &mut Response<Body>, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("a value of visible characters");
    response.headers_mut().insert(name, value);
}

fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHORIZED",
        403 => "DENIED",
        404 => "MANIFEST_UNKNOWN",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    }
}

/// What a path means. Read apart from the product's own code on purpose.
enum Target<'a> {
    Ping,
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Tags(&'a str),
    Referrers(&'a str, &'a str),
    Unknown,
}

impl<'a> Target<'a> {
    fn of(path: &'a str) -> Self {
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Self::Unknown;
        };
        if rest.is_empty() {
            Self::Ping
        } else if let Some(name) = rest.strip_suffix("/tags/list") {
            Self::Tags(name)
        } else if let Some((name, reference)) = rest.rsplit_once("/manifests/") {
            Self::Manifest(name, reference)
        } else if let Some((name, digest)) = rest.rsplit_once("/blobs/") {
            Self::Blob(name, digest)
        } else if let Some((name, digest)) = rest.rsplit_once("/referrers/") {
            Self::Referrers(name, digest)
        } else {
            Self::Unknown
        }
    }

    fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
            Self::Ping | Self::Unknown => None,
        }
    }
}
