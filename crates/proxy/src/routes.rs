//! The registry API for clients: the meaning of a request, then one file per kind of answer.
//!
//! Owns status codes, headers and error bodies. Leaves fetching and storing to `pull`. The server
//! calls the router for each request.

mod blob;
mod context;
mod error;
mod explain;
mod lists;
mod manifest;
mod platform_text;
mod push;
mod query;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware,
    response::{IntoResponse, Response},
};
use config::Config;
use manifest_model::Digest;
use protocol::{headers, target::Target};
use server::exchange::Arrival;
use upstream::ListingKind;

use self::{context::Context, error::ApiError};
use crate::{
    pull::Pull,
    telemetry::access::{self, Endpoint, Observer, RequestFacts},
    usage::Usage,
};

/// What every request needs of the running program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) pull: Pull,
    pub(crate) usage: Usage,
}

/// The largest body kept in memory for the next equal request, in bytes.
const MAX_REPLAYABLE: u64 = 64 * 1024;

/// The registry API as a router. Requests need an [`Arrival`] in their extensions.
pub fn router(service: Service, observer: Observer) -> Router {
    Router::new()
        .fallback(answer)
        .with_state(service)
        .layer(middleware::from_fn_with_state(observer, access::observe))
}

async fn answer(
    State(service): State<Service>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    let (request, _) = request.into_parts();
    let mut facts = RequestFacts::default();
    let outcome = match Context::of(&service, &arrival, &request) {
        Ok(context) => {
            facts.endpoint = Endpoint::of(&request.method, &context.target);
            context.describe(&mut facts);
            let mut outcome = dispatch(&service, &context, &request, &mut facts).await;
            if let (Ok(response), Some(upstream)) = (&mut outcome, &context.upstream_header) {
                response
                    .headers_mut()
                    .insert(headers::OCI_NAMESPACE, upstream.clone());
            }
            outcome
        }
        Err(error) => Err(error),
    };
    let mut response = outcome.unwrap_or_else(|error| {
        facts.error.clone_from(&error.log);
        error.into_response()
    });
    let version = HeaderValue::from_static("registry/2.0");
    response
        .headers_mut()
        .insert(headers::DOCKER_DISTRIBUTION_API_VERSION, version);
    response.extensions_mut().insert(facts);
    response
}

async fn dispatch(
    service: &Service,
    context: &Context,
    request: &Parts,
    facts: &mut RequestFacts,
) -> Result<Response, ApiError> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(push::refusal(context));
    }
    match &context.target {
        Target::Ping => Ok(([(header::CONTENT_TYPE, "application/json")], "{}").into_response()),
        Target::Manifest(name, reference) => {
            let repository = context.repository(service, name)?;
            let headers = &request.headers;
            manifest::answer(service, context, &repository, reference, headers, facts).await
        }
        Target::Blob(name, digest) => {
            let repository = context.repository(service, name)?;
            blob::answer(service, &repository, digest, request, facts).await
        }
        Target::Tags(name) => {
            let repository = context.repository(service, name)?;
            let query = request.uri.query();
            lists::answer(context, &repository, ListingKind::Tags, query).await
        }
        Target::Referrers(name, digest) => {
            let repository = context.repository(service, name)?;
            let (kind, query) = (ListingKind::Referrers(*digest), request.uri.query());
            lists::answer(context, &repository, kind, query).await
        }
        Target::Uploads(_) => Err(push::refusal(context)),
    }
}

/// Whether the client has it already (RFC 9110, section 13.1.2). Our entity tags are quoted
/// digests.
fn is_known(request: &HeaderMap, digest: &Digest) -> bool {
    let tag = format!("\"{digest}\"");
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .any(|line| {
            line.split(',')
                .map(str::trim)
                .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
        })
}

/// The headers every answer for a digest carries.
fn digest_headers(response: &mut Response, digest: &Digest) {
    let out = response.headers_mut();
    out.insert(headers::DOCKER_CONTENT_DIGEST, headers::header_text(digest));
    out.insert(
        header::ETAG,
        headers::header_text(format_args!("\"{digest}\"")),
    );
}

fn not_modified(digest: &Digest) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    digest_headers(&mut response, digest);
    response
}
