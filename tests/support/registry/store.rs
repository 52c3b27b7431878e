//! The object store behind the registry's redirects: signed URLs that expire, and no patience with
//! an
//! `Authorization` header beside them, as S3 has none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::Shared;
use super::body::Exchange;
use super::log::query_of;
use super::serve::insert;
use crate::faults::Fault;
use crate::server::{Body, Connection, full};

/// What every path of the store begins with.
pub(super) const PREFIX: &str = "/layers/";

/// Which URLs are still good.
#[derive(Default)]
pub(super) struct Store {
    generation: AtomicU64,
}

impl Store {
    pub(super) fn expire(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> String {
        self.generation.load(Ordering::Relaxed).to_string()
    }
}

/// A URL for one method and one blob, good until [`Store::expire`].
pub(super) fn sign(
    shared: &Shared,
    url: &str,
    method: &Method,
    repository: &str,
    digest: &str,
) -> String {
    let repository = repository.replace('/', "%2F");
    format!(
        "{url}{PREFIX}{digest}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1200\
         &repository={repository}&method={method}&X-Amz-Signature=signed-{}",
        shared.store.now()
    )
}

/// Answers one request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    connection: Connection,
) -> Response<Body> {
    let exchange = Exchange {
        entry: shared.log.record("store", &request),
        faults: shared.faults.of(request.method(), request.uri().path()),
        connection,
    };
    exchange.hold().await;
    let response = response(&shared, &exchange);
    exchange.finish(response)
}

fn response(shared: &Shared, exchange: &Exchange) -> Response<Body> {
    let entry = &exchange.entry;
    for fault in &exchange.faults {
        if let Fault::Status(status) = fault {
            return refusal(*status, "ToldTo", "told to");
        }
    }
    if let Some(replaced) = exchange.replaced() {
        return replaced;
    }
    if entry.headers.contains_key(header::AUTHORIZATION) {
        let message = "Only one auth mechanism allowed";
        return refusal(StatusCode::BAD_REQUEST, "InvalidArgument", message);
    }
    let query = query_of(entry.query());
    let one = |key: &str| {
        let found = query.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    if one("X-Amz-Signature") != format!("signed-{}", shared.store.now()) {
        return refusal(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired");
    }
    if one("method") != entry.method.as_str() {
        return refusal(
            StatusCode::FORBIDDEN,
            "SignatureDoesNotMatch",
            "another method",
        );
    }
    let digest = entry.path.strip_prefix(PREFIX).unwrap_or_default();
    match shared.blob(one("repository"), digest) {
        Some(blob) => {
            let mut response = exchange.send(blob);
            insert(&mut response, header::CONTENT_TYPE, "binary/octet-stream");
            response
        }
        None => refusal(StatusCode::NOT_FOUND, "NoSuchKey", "not here"),
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    insert(&mut response, header::CONTENT_TYPE, "application/xml");
    response
}
