//! The registry API for clients: the meaning of a request, then one file per kind of answer.
//!
//! Owns status codes, headers and error bodies. Leaves fetching and storing to `pull`. The server
//! calls the router for each request.

mod absent;
mod blob;
mod caught;
mod context;
mod elsewhere;
mod error;
mod explain;
mod foretold;
mod lists;
mod manifest;
mod multipart;
mod platform_text;
mod probe;
mod push;
mod query;
mod replica;
mod told;

use std::{sync::Arc, time::Duration};

use ::probe::Instance;
use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware,
    response::{IntoResponse, Response},
};
use cluster::NodeList;
use control::LiveConfig;
use manifest_model::{Digest, Reference};
use peers::FromReplica;
use protocol::{headers, target::Target};
use pull::{Outcome, Pull, Repository};
use server::exchange::{Arrival, RequestId, Shed};
use tier::Tier;
use upstream::ListingKind;

pub(crate) use self::foretold::{Supposed, foretell};
use self::{context::Context, error::ApiError};
use crate::{
    guard,
    telemetry::access::{self, Endpoint, Observer, RequestFacts},
    usage::Usage,
    wanted::Wanted,
};

/// What every request needs of the running program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) config: LiveConfig,
    pub(crate) pull: Pull,
    pub(crate) usage: Usage,
    pub(crate) wanted: Wanted,
    pub(crate) instance: Arc<Instance>,
    pub(crate) nodes: NodeList,
    pub(crate) tier: Option<Tier>,
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
    let answering = answered(&service, &arrival, &request, &mut facts);
    let outcome = caught::caught(answering).await;
    let mut response = outcome.unwrap_or_else(|error| {
        facts.error.clone_from(&error.log);
        error.into_response()
    });
    let version = HeaderValue::from_static("registry/2.0");
    response
        .headers_mut()
        .insert(headers::DOCKER_DISTRIBUTION_API_VERSION, version);
    guard::refuse_rendering(response.headers_mut());
    response.extensions_mut().insert(facts);
    response
}

/// The answer, or an error that says all that there is to say.
async fn answered(
    service: &Service,
    arrival: &Arrival,
    request: &Parts,
    facts: &mut RequestFacts,
) -> Result<Response, ApiError> {
    let id = request.extensions.get::<RequestId>();
    let context = if request.extensions.get::<Shed>().is_some() {
        Err(ApiError::short_of_memory())
    } else {
        let read = || Context::of(service, arrival, request);
        let with_repository = || read().map(|context| context.with_repository(service));
        service.config.consistent(with_repository)
    };
    let (context, repository) = context.map_err(|error| told::told(error, service, None, id))?;
    facts.endpoint = Endpoint::of(&request.method, &context.target);
    context.describe(facts);
    let outcome = dispatch(service, &context, repository, request, facts).await;
    let mut response = outcome.map_err(|error| told::told(error, service, Some(&context), id))?;
    if let Some(upstream) = &context.upstream_header {
        response
            .headers_mut()
            .insert(headers::OCI_NAMESPACE, upstream.clone());
    }
    Ok(response)
}

async fn dispatch(
    service: &Service,
    context: &Context,
    repository: Option<Result<Repository, ApiError>>,
    request: &Parts,
    facts: &mut RequestFacts,
) -> Result<Response, ApiError> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(push::refusal(context));
    }
    if let Some(nonce) = probe::nonce(&context.target) {
        return probe::answer(service, context, nonce, &request.headers);
    }
    let Some(repository) = repository.transpose()? else {
        return match &context.target {
            Target::Ping => Ok(ping(&service.instance)),
            _ => Err(push::refusal(context)),
        };
    };
    if context.replica == Some(FromReplica::Held) && !is_held(service, &repository, context) {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    match &context.target {
        Target::Manifest(_, reference) => {
            let headers = &request.headers;
            manifest::answer(service, context, &repository, reference, headers, facts).await
        }
        Target::Blob(_, digest) => {
            blob::answer(service, context, &repository, digest, request, facts).await
        }
        Target::Tags(_) => {
            let query = request.uri.query();
            lists::answer(
                service,
                context,
                &repository,
                ListingKind::Tags,
                query,
                facts,
            )
            .await
        }
        Target::Referrers(_, digest) => {
            let (kind, query) = (ListingKind::Referrers(*digest), request.uri.query());
            lists::answer(service, context, &repository, kind, query, facts).await
        }
        Target::Ping | Target::Uploads(_) => Err(push::refusal(context)),
    }
}

/// Whether what a replica asks for is stored, or on its way: nobody is asked for it.
fn is_held(service: &Service, repository: &Repository, context: &Context) -> bool {
    match &context.target {
        Target::Manifest(_, Reference::Digest(digest)) | Target::Blob(_, digest) => {
            service.pull.holds(repository, digest)
        }
        _ => false,
    }
}

/// The API is here, and it is this start of Archway that serves it.
fn ping(instance: &Instance) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (
            headers::ARCHWAY_INSTANCE,
            headers::header_text(instance.id()),
        ),
    ];
    (headers, "{}").into_response()
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

/// The headers of an answer that the upstream could not confirm, which it gave so long ago.
fn stale_marks(age: Option<Duration>, warning: &'static str) -> HeaderMap {
    let outcome = HeaderValue::from_static(Outcome::Stale.as_str());
    let mut marks = HeaderMap::from_iter([
        (headers::ARCHWAY_CACHE, outcome),
        (header::WARNING, HeaderValue::from_static(warning)),
    ]);
    if let Some(age) = age {
        marks.insert(header::AGE, HeaderValue::from(age.as_secs()));
    }
    marks
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
