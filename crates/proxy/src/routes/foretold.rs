//! What a client would get for a manifest request, without asking an upstream, storing or counting.
//!
//! Reads the request as all others are read, so that hints, upstream and refusals are those of a real
//! one; only the manifest comes from what is stored.

use std::net::IpAddr;
use std::sync::Arc;

use admin_api::{ExplainedAnswer, ExplainedName};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use manifest_model::Reference;
use protocol::{accept, image_name::ImageName, target::Target};
use pull::{Client, PullError, Repository, Served};
use server::exchange::{Arrival, Interface};

use super::{Service, context::Context, error::ApiError, explain::Decision};

/// What a client that names no types is taken to read: all that today's clients do.
const ALL_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// A request to be explained.
#[derive(Debug)]
pub(crate) struct Supposed {
    /// What is asked for.
    pub(crate) image: ImageName,
    /// The headers that the client would send, the last of a name holds.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Where it would ask from.
    pub(crate) address: IpAddr,
}

/// Why there is nothing to explain with.
#[derive(Debug, thiserror::Error)]
#[error("this Archway has no listener for clients")]
pub(crate) struct NoListener;

/// What a client would get. Blocks.
pub(crate) fn foretell(service: &Service, supposed: Supposed) -> Result<ExplainedName, NoListener> {
    let config = service.config.current();
    let (host, image) = config.meant(&supposed.image);
    let at = match &image.reference {
        Reference::Tag(tag) => format!(":{tag}"),
        Reference::Digest(digest) => format!("@{digest}"),
    };
    let path = format!("/v2/{}/manifests/{}", image.repository, image.reference);
    let mut told = ExplainedName {
        name: format!("{host}/{}{at}", image.repository),
        path: format!("{path}?ns={host}"),
        status: None,
        answer: None,
        explanation: None,
        problem: None,
    };
    let listener = config.listeners.first().ok_or(NoListener)?;
    let arrival = Arrival {
        listener: Arc::new(listener.clone()),
        peer: supposed.address,
        interface: Interface::of(supposed.address),
        sendfile: None,
        is_replaying: false,
    };
    let request = request(&told.path, supposed.headers);
    let read = || Context::of(service, &arrival, &request);
    let read = || read().map(|context| context.with_repository(service));
    let outcome = service
        .config
        .consistent(read)
        .and_then(|(context, repository)| {
            let repository = repository.transpose()?;
            Ok((context, repository))
        });
    match outcome {
        Ok((context, Some(repository))) => {
            tell(service, &context, &repository, &request.headers, &mut told);
        }
        Ok((_, None)) => {}
        Err(error) => refuse(&error, &mut told),
    }
    Ok(told)
}

fn request(path: &str, headers: Vec<(HeaderName, HeaderValue)>) -> http::request::Parts {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let (mut parts, ()) = request.into_parts();
    let types = HeaderValue::from_static(ALL_TYPES);
    parts.headers.insert(header::ACCEPT, types);
    // A name that every listener answers to, and that is no hint.
    let host = HeaderValue::from_static("localhost");
    parts.headers.insert(header::HOST, host);
    for (name, value) in headers {
        parts.headers.insert(name, value);
    }
    parts
}

fn refuse(error: &ApiError, told: &mut ExplainedName) {
    told.status = Some(error.status().as_u16());
    told.problem = Some(error.message.clone());
}

fn tell(
    service: &Service,
    context: &Context,
    repository: &Repository,
    headers: &HeaderMap,
    told: &mut ExplainedName,
) {
    let Target::Manifest(_, reference) = &context.target else {
        return;
    };
    let client = Client {
        hint: context.hint(),
        takes_index: accept::takes_index(headers),
        default_platform: &context.config.platform.default,
        is_read: true,
        address: context.client,
    };
    let is_offline = repository.upstream().is_offline();
    match service.pull.foretell(repository, reference, &client) {
        Ok(Some(served)) => {
            let decision = Decision {
                context,
                repository,
                reference,
                served: &served,
                cache: service.pull.cache(),
                takes_index: client.takes_index,
            };
            told.explanation = Some(decision.explanation());
            answer(&served, is_offline, told);
        }
        Ok(None) if is_offline => {
            told.status = Some(StatusCode::NOT_FOUND.as_u16());
            told.problem = Some("it is not stored, and its upstream is never asked".to_owned());
        }
        Ok(None) => {
            told.problem = Some("it is not stored: the upstream would be asked for it".to_owned());
        }
        Err(error) => told.problem = Some(error.to_string()),
    }
}

fn answer(served: &Served, is_offline: bool, told: &mut ExplainedName) {
    match served.manifest() {
        Ok(manifest) => {
            told.status = Some(StatusCode::OK.as_u16());
            told.answer = Some(ExplainedAnswer {
                digest: manifest.digest(),
                media_type: manifest.media_type().as_str().to_owned(),
                size: manifest.bytes().len() as u64,
            });
        }
        Err(PullError::NotHere { .. }) if !is_offline => {
            let problem = "the index is stored and the image for this platform is not: the upstream would be asked for it";
            told.problem = Some(problem.to_owned());
        }
        Err(error) => {
            told.status = Some(StatusCode::NOT_FOUND.as_u16());
            told.problem = Some(error.to_string());
        }
    }
}
