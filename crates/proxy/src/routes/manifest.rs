//! GET and HEAD of manifests. Both are built alike; the server leaves the body of a HEAD out.

use std::time::Duration;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use config::Resolve;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use manifest_model::{Digest, Manifest, Platform, Reference};
use protocol::{accept, headers};
use server::exchange::Replayable;

use super::{
    MAX_REPLAYABLE, Service, context::Context, digest_headers, error::ApiError, explain, is_known,
    not_modified,
};
use crate::{
    pull::{
        ManifestAnswer, Outcome, PullError, Repository, ServedManifest, Substitution,
        resolve_mode_substitutes,
    },
    telemetry::access::RequestFacts,
};

/// What goes out: the manifest asked for, or a child in place of its index.
struct Served {
    manifest: Manifest,
    substituted: Option<(Substitution, Digest)>,
}

pub(super) async fn answer(
    service: &Service,
    context: &Context,
    repository: &Repository,
    reference: &Reference,
    request: &HeaderMap,
    account: &mut RequestFacts,
) -> Result<Response, ApiError> {
    let tag_writes = service.pull.cache().tag_writes();
    let answer = service.pull.manifest(repository, reference).await?;
    account.outcome = Some(answer.outcome);
    let mode = repository.upstream().config().resolve_of(repository.name());
    let takes_index = accept::takes_index(request);
    let substitution = match reference {
        // A digest is a digest: only a tag may be answered by a child. What refers to a manifest is for no machine.
        Reference::Tag(tag) if answer.manifest.is_index() && !tag.is_of_referrers() => {
            let default = default_platform(service, repository);
            resolve_mode_substitutes(mode, context.hint(), takes_index, default)
        }
        _ => None,
    };
    let chosen = substitution.as_ref();
    let served = serve(service, repository, &answer.manifest, chosen, takes_index).await;
    let case = explain::Decision {
        context,
        repository,
        reference,
        manifest: &answer.manifest,
        mode,
        takes_index,
        substitution: chosen,
        is_child: !matches!(&served, Ok(served) if served.substituted.is_none()),
    };
    // What an error says as well.
    let mut about = vary(reference, &answer.manifest, mode);
    let is_explained = explain::is_wanted(request);
    if is_explained {
        about.insert(headers::ARCHWAY_EXPLAIN, case.explain());
    }
    let served = served.map_err(|error| ApiError::from(error).with(about.clone()))?;
    if let Some((chosen, _)) = &served.substituted {
        account.platform = Some(chosen.platform.to_string());
        account.platform_source = Some(chosen.source);
    }
    note(service, context, repository, reference, &answer, &served);
    let digest = served.manifest.digest();
    let mut response = if is_known(request, &digest) {
        not_modified(&digest)
    } else {
        whole(&served.manifest)
    };
    describe(&mut response, &answer, &served, context);
    response.headers_mut().extend(about);
    if !is_explained && answer.outcome == Outcome::Hit {
        let holds_for = service.pull.holds_for(repository, reference);
        let tag_writes = matches!(reference, Reference::Tag(_)).then_some(tag_writes);
        allow_replay(&mut response, &served.manifest, holds_for, tag_writes);
    }
    Ok(response)
}

/// Lets the next same request have this answer, if it is small and holds for a while.
fn allow_replay(
    response: &mut Response,
    manifest: &Manifest,
    holds_for: Duration,
    tag_writes: Option<u64>,
) {
    let size = manifest.bytes().len() as u64;
    if holds_for.is_zero() || size > MAX_REPLAYABLE {
        return;
    }
    let body = match response.status() {
        StatusCode::OK => manifest.bytes().clone(),
        _ => Bytes::new(),
    };
    response.extensions_mut().insert(Replayable {
        body,
        holds_for,
        tag_writes,
    });
}

/// Tells who keeps count what went out: the index with the hint, and the image itself.
fn note(
    service: &Service,
    context: &Context,
    repository: &Repository,
    reference: &Reference,
    answer: &ManifestAnswer,
    served: &Served,
) {
    let hint = context.hint().and_then(|hint| hint.wish.platform());
    let noted = ServedManifest {
        reference,
        manifest: &answer.manifest,
        hint,
        is_read: context.is_read,
        client: context.client,
    };
    service.pull.served_manifest(repository, noted);
    if served.substituted.is_some() {
        let child = Reference::Digest(served.manifest.digest());
        let child = ServedManifest {
            reference: &child,
            manifest: &served.manifest,
            ..noted
        };
        service.pull.served_manifest(repository, child);
    }
}

/// What a client of this repository is when nothing in its request says so.
fn default_platform<'a>(service: &'a Service, repository: &'a Repository) -> &'a Platform {
    let config = repository.upstream().config();
    config
        .platform_of(repository.name())
        .unwrap_or(&service.config.platform.default)
}

/// What of a request decides how a tag that is an index is answered, whether by a child or not: a cache between us and the client
/// would hand one client's answer to another.
fn vary(reference: &Reference, manifest: &Manifest, mode: Resolve) -> HeaderMap {
    if !matches!(reference, Reference::Tag(_)) || !manifest.is_index() {
        return HeaderMap::new();
    }
    let value = HeaderValue::from_static(match mode {
        Resolve::Always => "Accept, Archway-Platform, User-Agent",
        Resolve::Needed | Resolve::Explicit => "Accept, Archway-Platform",
    });
    HeaderMap::from_iter([(header::VARY, value)])
}

/// The child that answers for an index, else the manifest itself. An index that is for no platform, as one of artifacts, goes
/// untouched to whoever takes it.
async fn serve(
    service: &Service,
    repository: &Repository,
    manifest: &Manifest,
    substitution: Option<&Substitution>,
    takes_index: bool,
) -> Result<Served, PullError> {
    let itself = Served {
        manifest: manifest.clone(),
        substituted: None,
    };
    let Some(chosen) = substitution else {
        return Ok(itself);
    };
    let wanted = &chosen.platform;
    match service.pull.child(repository, manifest, wanted).await? {
        Some(child) => Ok(Served {
            manifest: child,
            substituted: Some((chosen.clone(), manifest.digest())),
        }),
        None if takes_index => Ok(itself),
        None => Err(PullError::NothingFits {
            wanted: wanted.clone(),
            offered: Vec::new(),
        }),
    }
}

fn whole(manifest: &Manifest) -> Response {
    let mut response = Response::new(Body::from(manifest.bytes().clone()));
    digest_headers(&mut response, &manifest.digest());
    if let Ok(media_type) = HeaderValue::from_str(manifest.media_type().as_str()) {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
    }
    response.headers_mut().insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(manifest.bytes().len()),
    );
    response
}

fn describe(response: &mut Response, answer: &ManifestAnswer, served: &Served, context: &Context) {
    let out = response.headers_mut();
    let text = |value: String| {
        HeaderValue::try_from(value).expect("digests, names and platforms are header text")
    };
    out.insert(
        headers::ARCHWAY_CACHE,
        HeaderValue::from_static(answer.outcome.as_str()),
    );
    if let (Outcome::Stale, Some(age)) = (answer.outcome, answer.age) {
        out.insert(header::AGE, HeaderValue::from(age.as_secs()));
        let warning = "299 - \"the upstream could not confirm this tag; served as last seen\"";
        out.insert(header::WARNING, HeaderValue::from_static(warning));
    }
    if let Some((chosen, index)) = &served.substituted {
        let platform = format!("{}; source={}", chosen.platform, chosen.source);
        out.insert(headers::ARCHWAY_PLATFORM, text(platform));
        out.insert(headers::ARCHWAY_INDEX, text(index.to_string()));
        let (parent, _) = context.path.rsplit_once('/').unwrap_or_default();
        let namespace = context.query.namespace_pair();
        let query = namespace.map_or_else(String::new, |pair| format!("?{pair}"));
        out.insert(
            header::CONTENT_LOCATION,
            text(format!("{parent}/{}{query}", served.manifest.digest())),
        );
    }
}
