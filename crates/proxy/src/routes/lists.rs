//! Lists of tags and referrers, passed through page by page: lists are never cached.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use protocol::headers;
use upstream::ListingKind;

use super::{context::Context, error::ApiError, query};
use crate::pull::Repository;

pub(super) async fn answer(
    context: &Context,
    repository: &Repository,
    kind: ListingKind,
    asked: Option<&str>,
) -> Result<Response, ApiError> {
    let asked = query::listing(asked)?;
    let listing = repository.list(kind, asked.as_deref()).await?;
    let mut response = listing.body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, listing.content_type);
    if let Some(filters) = listing.filters {
        response
            .headers_mut()
            .insert(headers::OCI_FILTERS_APPLIED, filters);
    }
    if let Some(next) = &listing.next {
        // In the form the client used: its next request comes to us and names the same upstream.
        let link = format!(
            "<{}?{}>; rel=\"next\"",
            context.path,
            context.query.for_next_page(next)
        );
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}
