//! Lists of tags and referrers, page by page.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use protocol::headers::{self, header_string};
use pull::{ListSource, Outcome, Repository};
use upstream::ListingKind;

use super::{Service, context::Context, error::ApiError, query, stale_marks};
use crate::telemetry::access::RequestFacts;

/// The warning of a list that the upstream could not give.
const AS_KNOWN: &str = "299 - \"the upstream could not be asked; listed as known here\"";

/// The largest piece of a list that is handed to a connection, which may copy it.
const PIECE: usize = 64 * 1024;

pub(super) async fn answer(
    service: &Service,
    context: &Context,
    repository: &Repository,
    kind: ListingKind,
    asked: Option<&str>,
    facts: &mut RequestFacts,
) -> Result<Response, ApiError> {
    let asked = query::page(asked)?;
    let list = service.pull.list(repository, kind, &asked).await?;
    let mut response = in_pieces(list.body);
    let out = response.headers_mut();
    let content_type = HeaderValue::from_static(kind.content_type());
    out.insert(header::CONTENT_TYPE, content_type);
    match list.source {
        ListSource::Upstream => {}
        ListSource::Known(age) => {
            facts.outcome = Some(Outcome::Stale);
            out.extend(stale_marks(age, AS_KNOWN));
        }
        ListSource::Stored => {
            facts.outcome = Some(Outcome::Hit);
            let hit = HeaderValue::from_static(Outcome::Hit.as_str());
            out.insert(headers::ARCHWAY_CACHE, hit);
        }
    }
    if let Some(filters) = list.filters {
        out.insert(headers::OCI_FILTERS_APPLIED, header_string(filters));
    }
    if let Some(next) = &list.next {
        // In the form the client used: its next request comes to us and names the same upstream.
        let link = format!(
            "<{}?{}>; rel=\"next\"",
            context.path,
            context.query.for_next_page(next)
        );
        if let Ok(link) = HeaderValue::try_from(link) {
            out.insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// A body that all who ask share. Handed over whole, it would be copied for each slow client.
fn in_pieces(body: Bytes) -> Response {
    let length = body.len();
    let pieces = stream::unfold(body, |mut rest| async move {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), rest))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let length = HeaderValue::from(length);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    response
}
