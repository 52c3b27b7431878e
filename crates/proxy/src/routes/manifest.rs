//! GET and HEAD of manifests. Both are built alike; the server leaves the body of a HEAD out.
//!
//! [`Pull::answer`](pull::Pull::answer) chooses the manifest that goes out; this file only
//! writes it down: status, headers, the explanation.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use config::Resolve;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use manifest_model::{Manifest, Reference};
use protocol::{
    accept,
    headers::{self, header_string, header_text},
};
use pull::{Client, Missing, Outcome, PullError, Repository, Served};
use server::exchange::Replayable;

use super::{
    MAX_REPLAYABLE, Service,
    absent::{self, Noting},
    context::Context,
    digest_headers,
    error::ApiError,
    explain, is_known, not_modified, replica, stale_marks,
};
use crate::telemetry::access::{PlatformFate, RequestFacts};

pub(super) async fn answer(
    service: &Service,
    context: &Context,
    repository: &Repository,
    reference: &Reference,
    request: &HeaderMap,
    facts: &mut RequestFacts,
) -> Result<Response, ApiError> {
    let client = Client {
        hint: context.hint(),
        takes_index: accept::takes_index(request),
        default_platform: &context.config.platform.default,
        is_read: context.is_read,
        address: context.client,
    };
    let missing = Missing::Manifest(reference);
    let is_explained = explain::is_wanted(request);
    let noting = Noting::unless_explained(is_explained);
    let served = match service.pull.answer(repository, reference, &client).await {
        Ok(served) => served,
        Err(error) => {
            let wanted = context.hint().and_then(|hint| hint.wish.platform());
            let told = replica::about_absent(context, repository, &error);
            let absent = absent::explained(service, repository, missing, wanted, noting, error);
            return Err(absent.await.with(told));
        }
    };
    facts.outcome = Some(served.outcome());
    note_platform(&served, facts);
    let decision = explain::Decision {
        context,
        repository,
        reference,
        served: &served,
        cache: service.pull.cache(),
        takes_index: client.takes_index,
    };
    // An error has these headers, too.
    let about = about(&decision, is_explained);
    let manifest = match served.manifest() {
        Ok(manifest) => manifest,
        Err(error) => {
            let wanted = served.substitution().map(|chosen| &chosen.platform);
            let absent = absent::explained(service, repository, missing, wanted, noting, error);
            return Err(absent.await.with(about));
        }
    };
    let is_counted = !is_of_a_command(request) && context.replica.is_none();
    if is_counted {
        let usage = &service.usage;
        usage.served_manifest(repository, reference, &served, &client);
    }
    let digest = manifest.digest();
    let mut response = if is_known(request, &digest) {
        not_modified(&digest)
    } else {
        whole(manifest)
    };
    describe(&mut response, &served, context);
    response.headers_mut().extend(about);
    if !is_explained && is_counted {
        allow_replay(&mut response, manifest, &served);
    }
    Ok(response)
}

/// Notes the platform whose manifest goes out in place of the index, or is missing there.
fn note_platform(served: &Served, facts: &mut RequestFacts) {
    let Some(chosen) = served.substitution() else {
        return;
    };
    facts.platform_fate = if served.child().is_some() {
        PlatformFate::Substituted
    } else if matches!(served.manifest(), Err(PullError::NothingFits { .. })) {
        PlatformFate::Missing
    } else {
        return;
    };
    facts.platform = Some(chosen.platform.to_string());
    facts.platform_source = Some(chosen.source);
}

/// The headers that say how the answer came about.
fn about(decision: &explain::Decision<'_>, is_explained: bool) -> HeaderMap {
    let mut about = vary(decision.reference, decision.served);
    let (cache, answer) = (decision.cache, (decision.reference, decision.served));
    let for_replica = replica::about(cache, decision.context, decision.repository, answer);
    about.extend(for_replica);
    if is_explained {
        about.insert(headers::ARCHWAY_EXPLAIN, decision.explain());
    }
    about
}

/// Whether one of our own commands asks: it is no client, and does not keep an image from eviction.
fn is_of_a_command(request: &HeaderMap) -> bool {
    let agent = request.get(header::USER_AGENT);
    agent.is_some_and(|agent| {
        agent
            .as_bytes()
            .starts_with(headers::COMMAND_AGENT.as_bytes())
    })
}

/// Lets the next equal request have this answer, if it is small and holds for a while.
fn allow_replay(response: &mut Response, manifest: &Manifest, served: &Served) {
    let size = manifest.bytes().len() as u64;
    if served.holds_for.is_zero() || size > MAX_REPLAYABLE {
        return;
    }
    let body = match response.status() {
        StatusCode::OK => manifest.bytes().clone(),
        _ => Bytes::new(),
    };
    response.extensions_mut().insert(Replayable {
        body,
        holds_for: served.holds_for,
        tag_writes: served.tag_writes,
    });
}

/// The request headers that decide how a tag that is an index is answered, whether by a child or
/// not: a cache between us and the client would hand one client's answer to another.
fn vary(reference: &Reference, served: &Served) -> HeaderMap {
    if !matches!(reference, Reference::Tag(_)) || !served.found().is_index() {
        return HeaderMap::new();
    }
    let value = HeaderValue::from_static(match served.mode() {
        Resolve::Always => "Accept, Archway-Platform, User-Agent",
        Resolve::Needed | Resolve::Explicit => "Accept, Archway-Platform",
    });
    HeaderMap::from_iter([(header::VARY, value)])
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

fn describe(response: &mut Response, served: &Served, context: &Context) {
    let out = response.headers_mut();
    let outcome = served.outcome();
    out.insert(
        headers::ARCHWAY_CACHE,
        HeaderValue::from_static(outcome.as_str()),
    );
    if let (Outcome::Stale, Some(age)) = (outcome, served.age()) {
        let warning = "299 - \"the upstream could not confirm this tag; served as last seen\"";
        out.extend(stale_marks(Some(age), warning));
    }
    if let Some((child, chosen)) = served.child() {
        let platform = format!("{}; source={}", chosen.platform, chosen.source);
        out.insert(headers::ARCHWAY_PLATFORM, header_string(platform));
        let index = served.found().digest();
        out.insert(headers::ARCHWAY_INDEX, header_text(index));
        let (parent, _) = context.path.rsplit_once('/').unwrap_or_default();
        let namespace = context.query.namespace_pair();
        let query = namespace.map_or_else(String::new, |pair| format!("?{pair}"));
        out.insert(
            header::CONTENT_LOCATION,
            header_text(format_args!("{parent}/{}{query}", child.digest())),
        );
    }
}
