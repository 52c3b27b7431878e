//! The registry API towards clients: what a request means, then one file per kind of answer.

mod blob;
mod context;
mod error;
mod explain;
mod lists;
mod manifest;
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
use manifest_model::{Digest, Reference, RepoName};
use protocol::{headers, target::Target};
use server::exchange::Arrival;
use upstream::ListingKind;

use self::{context::Context, error::ApiError};
use crate::{
    pull::Pull,
    telemetry::access::{self, Account, Observer},
    usage::Usage,
};

/// What all requests share.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) pull: Pull,
    pub(crate) usage: Usage,
}

/// The largest body worth keeping in memory for the next equal request.
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
    let mut account = Account::default();
    let outcome = match Context::of(&service, &arrival, &request) {
        Ok(context) => {
            context.describe(&mut account);
            let mut outcome = dispatch(&service, &context, &request, &mut account).await;
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
        account.error.clone_from(&error.log);
        error.into_response()
    });
    let version = HeaderValue::from_static("registry/2.0");
    response
        .headers_mut()
        .insert(headers::DOCKER_DISTRIBUTION_API_VERSION, version);
    response.extensions_mut().insert(account);
    response
}

async fn dispatch(
    service: &Service,
    context: &Context,
    request: &Parts,
    account: &mut Account,
) -> Result<Response, ApiError> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        account.endpoint = "push";
        return Err(push::refusal(context));
    }
    match &context.target {
        Target::Ping => {
            account.endpoint = "ping";
            Ok(([(header::CONTENT_TYPE, "application/json")], "{}").into_response())
        }
        Target::Manifest(name, reference) => {
            account.endpoint = "manifest";
            manifest_answer(service, context, request, (name, reference), account).await
        }
        Target::Blob(name, digest) => {
            account.endpoint = "blob";
            blob_answer(service, context, request, (name, digest), account).await
        }
        Target::Tags(name) => {
            account.endpoint = "tags";
            list_answer(service, context, request, name, ListingKind::Tags).await
        }
        Target::Referrers(name, digest) => {
            account.endpoint = "referrers";
            let kind = ListingKind::Referrers(*digest);
            list_answer(service, context, request, name, kind).await
        }
        Target::Uploads(_) => Err(push::refusal(context)),
    }
}

async fn manifest_answer(
    service: &Service,
    context: &Context,
    request: &Parts,
    (name, reference): (&RepoName, &Reference),
    account: &mut Account,
) -> Result<Response, ApiError> {
    let repository = context.repository(service, name)?;
    manifest::answer(
        service,
        context,
        &repository,
        reference,
        &request.headers,
        account,
    )
    .await
}

async fn blob_answer(
    service: &Service,
    context: &Context,
    request: &Parts,
    (name, digest): (&RepoName, &Digest),
    account: &mut Account,
) -> Result<Response, ApiError> {
    let repository = context.repository(service, name)?;
    blob::answer(service, &repository, digest, request, account).await
}

async fn list_answer(
    service: &Service,
    context: &Context,
    request: &Parts,
    name: &RepoName,
    kind: ListingKind,
) -> Result<Response, ApiError> {
    let repository = context.repository(service, name)?;
    lists::answer(context, &repository, kind, request.uri.query()).await
}

/// Whether the client has it already (RFC 9110, section 13.1.2): entity tags here are the quoted digest.
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
    let text = |value: String| HeaderValue::try_from(value).expect("digests are header text");
    response
        .headers_mut()
        .insert(headers::DOCKER_CONTENT_DIGEST, text(digest.to_string()));
    response
        .headers_mut()
        .insert(header::ETAG, text(format!("\"{digest}\"")));
}

fn not_modified(digest: &Digest) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    digest_headers(&mut response, digest);
    response
}
