//! What all routes of the API share: their JSON, their errors, and the reading of their query.

use std::fmt::Display;

use axum::response::{IntoResponse, Response};
use cache::CacheError;
use http::{StatusCode, header};
use protocol::error_chain::ErrorChain;
use serde::Serialize;
use tracing::error;
use url::form_urlencoded;

/// An answer in JSON. It is of this moment, and no cache is to keep it.
pub(super) fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("plain data always serialises");
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

/// What `read` makes of the cache, on a thread that may block.
pub(super) async fn blocking<T: Serialize + Send + 'static>(
    read: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(value)) => json(&value),
        Ok(Err(error)) => unreadable(&error),
        Err(_) => stopping(),
    }
}

/// The cache did not answer.
pub(super) fn unreadable(error: &CacheError) -> Response {
    error!(error = %ErrorChain(error), "an answer of the admin listener could not be read from the cache");
    let message = "the cache could not be read; the log has the cause\n";
    (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
}

/// The process ends.
pub(super) fn stopping() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response()
}

/// A mistake in the query.
pub(super) fn mistake(message: impl Display) -> Response {
    (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response()
}

/// The parameters of a query, each of which is one of `known`.
pub(super) fn parameters(
    query: Option<&str>,
    known: &[&str],
) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if !known.contains(&&*key) {
            let known = known.join(", ");
            return Err(format!("{key}: unknown parameter; use {known}"));
        }
        found.push((key.into_owned(), value.into_owned()));
    }
    Ok(found)
}

/// The value of the last parameter of that name.
pub(super) fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut named = parameters.iter().rev();
    named
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}
