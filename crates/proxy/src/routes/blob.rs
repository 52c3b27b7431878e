//! GET and HEAD of blobs, whole or in part. Owns ranges and the way a body reaches the connection.

use std::{convert::Infallible, ops::Range, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use cache::{Blob, HOLD_BACK, ReadBy};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use manifest_model::Digest;
use protocol::{
    headers::{self, header_string, header_text},
    range::Selection,
};
use pull::{BlobAnswer, BlobBody, Missing, Outcome, Repository};
use server::exchange::{Arrival, Replayable};

use super::{
    MAX_REPLAYABLE, Service,
    absent::{self, Noting},
    context::Context,
    digest_headers, elsewhere,
    error::ApiError,
    is_known,
    multipart::Multipart,
    not_modified,
};
use crate::telemetry::access::RequestFacts;

/// The media type of every blob: only manifests know more.
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The item of a stream that has none.
type Nothing = Result<Bytes, Infallible>;

pub(super) async fn answer(
    service: &Service,
    context: &Context,
    repository: &Repository,
    digest: &Digest,
    parts: &Parts,
    facts: &mut RequestFacts,
) -> Result<Response, ApiError> {
    let request = &parts.headers;
    let absent = |error| {
        let missing = Missing::Blob(digest);
        absent::explained(service, repository, missing, None, Noting::Noted, error)
    };
    if parts.method == Method::HEAD {
        let (size, outcome) = match service.pull.blob_size(repository, digest).await {
            Ok(found) => found,
            Err(error) => return Err(absent(error).await),
        };
        facts.outcome = Some(outcome);
        let known = is_known(request, digest);
        return Ok(if known {
            not_modified(digest)
        } else {
            // An empty body would be announced as one of no bytes.
            let body = size.map_or_else(
                || Body::from_stream(stream::empty::<Nothing>()),
                |_| Body::empty(),
            );
            described(StatusCode::OK, digest, size, outcome, body)
        });
    }
    let blob = match service.pull.blob(repository, digest).await {
        Ok(blob) => blob,
        Err(error) => return Err(absent(error).await),
    };
    facts.outcome = Some(blob.outcome);
    service.usage.served_blob(repository, digest);
    if is_known(request, digest) {
        return Ok(not_modified(digest));
    }
    let found = (blob.outcome, blob.size);
    if let Some(answer) = elsewhere::redirect(service, context, found, digest, parts).await {
        return Ok(answer);
    }
    // Without a size no `Content-Range` can be given; the whole body is a right answer to any
    // range.
    if let (Some(range), Some(size)) = (requested(request, digest), blob.size) {
        match (Selection::parse(range, size), blob.bytes.whole()) {
            (Selection::One(range), _) => {
                let by = way_to_read(parts, &blob, Some(range.end));
                return part(digest, blob, range, size, by).await;
            }
            (Selection::Several(ranges), Some(whole)) if blob.outcome == Outcome::Hit => {
                let by = piecewise(parts);
                return Ok(several(digest, blob.outcome, whole, ranges, by));
            }
            (Selection::Unsatisfiable, _) => return Ok(unsatisfiable(digest, size)),
            // Parts far apart of a blob that is still arriving would have to wait for each other.
            (Selection::Whole | Selection::Several(_), _) => {}
        }
    }
    let (size, outcome) = (blob.size, blob.outcome);
    let by = way_to_read(parts, &blob, size);
    let body = blob.bytes.read(0, size, by);
    let is_small = size.is_some_and(|size| size <= MAX_REPLAYABLE);
    if outcome == Outcome::Hit && is_small {
        return small(digest, size, body).await;
    }
    let body = once_verified(outcome, size, body).await?;
    Ok(described(StatusCode::OK, digest, size, outcome, body))
}

/// A stored blob of up to [`MAX_REPLAYABLE`] bytes: read at once, and kept for the next equal
/// request.
async fn small(digest: &Digest, size: Option<u64>, body: BlobBody) -> Result<Response, ApiError> {
    let bytes = body
        .try_fold(BytesMut::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
        .map_err(|error| ApiError::unreadable(&error))?
        .freeze();
    let body = Body::from(bytes.clone());
    let mut response = described(StatusCode::OK, digest, size, Outcome::Hit, body);
    response.extensions_mut().insert(Replayable {
        body: bytes,
        holds_for: Duration::MAX,
        tag_writes: None,
    });
    Ok(response)
}

/// `body` for an answer. A small blob is held back whole until its digest has matched, and with it
/// the head: a web page in place of a config is an error, not an answer that is cut off.
async fn once_verified(
    outcome: Outcome,
    size: Option<u64>,
    body: BlobBody,
) -> Result<Body, ApiError> {
    if outcome == Outcome::Hit || size.is_some_and(|size| size > HOLD_BACK) {
        return Ok(Body::from_stream(body));
    }
    let (first, rest) = body.into_future().await;
    let first = first.transpose()?;
    Ok(Body::from_stream(stream::iter(first.map(Ok)).chain(rest)))
}

/// Only HTTP/1 passes a body's bytes to the connection untouched, and only some connections send
/// from files. HTTP/2 has many bodies under way at once, each with a piece or two in memory.
///
/// `end` is where the answer ends, if that is known.
fn way_to_read(request: &Parts, blob: &BlobAnswer, end: Option<u64>) -> ReadBy {
    let slot = request
        .extensions
        .get::<Arrival>()
        .and_then(|arrival| arrival.sendfile.as_ref());
    match slot {
        Some(slot) => {
            let there = end.map_or(0, |end| end.min(blob.bytes.there()));
            slot.set(blob.bytes.file(), there);
            ReadBy::Map
        }
        None => piecewise(request),
    }
}

/// How to read what is copied: many requests may be open on one connection of HTTP/2.
fn piecewise(request: &Parts) -> ReadBy {
    if request.version > Version::HTTP_11 {
        ReadBy::SmallCopy
    } else {
        ReadBy::Copy
    }
}

/// The range asked for. With an `If-Range` that names other bytes than these, the client wants the
/// whole (RFC 9110, section 13.1.5).
fn requested<'a>(request: &'a HeaderMap, digest: &Digest) -> Option<&'a str> {
    let condition = request
        .get(header::IF_RANGE)
        .map(|value| value.as_bytes() == format!("\"{digest}\"").as_bytes());
    if condition == Some(false) {
        return None;
    }
    let mut lines = request.get_all(header::RANGE).iter();
    let (first, second) = (lines.next(), lines.next());
    first
        .filter(|_| second.is_none())
        .and_then(|value| value.to_str().ok())
}

async fn part(
    digest: &Digest,
    blob: BlobAnswer,
    range: Range<u64>,
    size: u64,
    by: ReadBy,
) -> Result<Response, ApiError> {
    let length = range.end - range.start;
    let outcome = blob.outcome;
    let body = blob.bytes.read(range.start, Some(range.end), by);
    let body = once_verified(outcome, Some(size), body).await?;
    let mut response = described(
        StatusCode::PARTIAL_CONTENT,
        digest,
        Some(length),
        outcome,
        body,
    );
    let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    response
        .headers_mut()
        .insert(header::CONTENT_RANGE, header_string(content_range));
    Ok(response)
}

/// Several ranges of a stored blob in one body.
fn several(
    digest: &Digest,
    outcome: Outcome,
    blob: Blob,
    ranges: Vec<Range<u64>>,
    by: ReadBy,
) -> Response {
    let size = blob.size();
    let parts = Multipart::new(OCTETS, size);
    let (length, kind) = (parts.length(&ranges), parts.content_type());
    let body = Body::from_stream(parts.body(ranges, move |range| blob.clone().read(range, by)));
    let mut response = described(
        StatusCode::PARTIAL_CONTENT,
        digest,
        Some(length),
        outcome,
        body,
    );
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn unsatisfiable(digest: &Digest, size: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    digest_headers(&mut response, digest);
    response.headers_mut().insert(
        header::CONTENT_RANGE,
        header_text(format_args!("bytes */{size}")),
    );
    response
}

fn described(
    status: StatusCode,
    digest: &Digest,
    length: Option<u64>,
    outcome: Outcome,
    body: Body,
) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    digest_headers(&mut response, digest);
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, OCTETS);
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(
        headers::ARCHWAY_CACHE,
        HeaderValue::from_static(outcome.as_str()),
    );
    if let Some(length) = length {
        out.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
