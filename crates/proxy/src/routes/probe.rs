//! Images of the probe: the reserved names that this start of Archway made, for any upstream it
//! serves. Nothing of them is stored, counted as a use or asked of an upstream.

use std::{str::FromStr, time::SystemTime};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use manifest_model::{Algorithm, Choice, Manifest, Matcher, MediaType, Platform, Reference};
use probe::{Part, ProbeImage, TAG};
use protocol::{accept, target::Target};
use pull::choose_substitution;

use super::{Service, context::Context, digest_headers, error::ApiError};

/// The nonce of a request for a reserved name.
pub(super) fn nonce(target: &Target) -> Option<&str> {
    probe::nonce_of(target.repository()?)
}

pub(super) fn answer(
    service: &Service,
    context: &Context,
    nonce: &str,
    request: &HeaderMap,
) -> Result<Response, ApiError> {
    let Some(upstream) = context.config.upstreams.find(&context.upstream) else {
        // A pull of this registry goes past us, which is what a probe is to find out.
        return Err(ApiError::not_configured(&context.upstream));
    };
    if !service.instance.knows(nonce, SystemTime::now()) {
        return Err(ApiError::no_probe());
    }
    let image = ProbeImage::of(nonce);
    let part = match &context.target {
        Target::Manifest(name, Reference::Tag(tag)) if tag.as_str() == TAG => {
            let default = upstream.platform_of(name);
            let chosen = choose_substitution(
                upstream.resolve_of(name),
                context.hint(),
                accept::takes_index(request),
                default.unwrap_or(&context.config.platform.default),
            );
            return tagged(&image, chosen.map(|chosen| chosen.platform));
        }
        Target::Manifest(_, Reference::Digest(digest)) => image.manifest(digest),
        Target::Blob(_, digest) => image.blob(digest),
        _ => None,
    };
    part.map(whole).ok_or_else(ApiError::no_probe)
}

/// The index, or the child for a platform, chosen by the rules of any other image: a wrong hint
/// shows in a program that does not run.
fn tagged(image: &ProbeImage, platform: Option<Platform>) -> Result<Response, ApiError> {
    let index = image.index();
    let Some(platform) = platform else {
        return Ok(whole(index));
    };
    let media_type = MediaType::from_str(index.media_type).ok();
    let bytes = Bytes::from(index.bytes.clone());
    let child = Manifest::parse(bytes, media_type.as_ref(), Algorithm::Sha256)
        .ok()
        .and_then(|index| match index.choice(&Matcher::new(&platform)) {
            Ok(Choice::Manifest(entry)) => image.manifest(&entry.digest),
            _ => None,
        });
    child
        .map(whole)
        .ok_or_else(|| ApiError::no_program(&platform))
}

fn whole(part: &Part) -> Response {
    let mut response = Response::new(Body::from(part.bytes.clone()));
    digest_headers(&mut response, &part.digest);
    let out = response.headers_mut();
    out.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(part.media_type),
    );
    out.insert(header::CONTENT_LENGTH, part.bytes.len().into());
    response
}
