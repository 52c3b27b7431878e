//! Manifests and indexes: by tag, by digest, and what a tag points at now.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use manifest_model::{Algorithm, Digest, Manifest, MediaType, Reference, RepoName, Tag};
use protocol::headers::DOCKER_CONTENT_DIGEST;
use reqwest::Response;

use super::{
    Upstream,
    budget::Urgency,
    endpoint::{Ask, Endpoint},
    error::{Absent, FetchError, Trouble},
};

/// The largest manifest taken from an upstream: what the distribution spec asks registries to accept at least.
const LARGEST_MANIFEST: usize = 4 * 1024 * 1024;

impl Upstream {
    /// The manifest, its bytes verified: by digest against the digest asked for; by tag the digest is what the bytes hash to
    /// in the algorithm that the upstream names it by.
    pub async fn manifest(
        &self,
        repository: &RepoName,
        reference: &Reference,
    ) -> Result<Manifest, FetchError> {
        self.hedged_answer(|endpoint| async move {
            let manifest = fetch(endpoint, repository, reference, None).await?;
            // Nothing was said that could be unchanged.
            manifest.ok_or_else(|| endpoint.broken(Trouble::Status(304)))
        })
        .await
    }

    /// The manifest of `tag`, or `None` where it is `known` still: for registries that do not say a tag's digest.
    pub async fn manifest_unless(
        &self,
        repository: &RepoName,
        tag: &Tag,
        known: &Digest,
    ) -> Result<Option<Manifest>, FetchError> {
        let reference = &Reference::Tag(tag.clone());
        self.hedged_answer(|endpoint| fetch(endpoint, repository, reference, Some(known)))
            .await
    }

    /// The digest `tag` points at now, `None` where the upstream has the tag but does not say. Free of charge at Docker Hub.
    pub async fn tag_digest(
        &self,
        repository: &RepoName,
        tag: &Tag,
        urgency: Urgency,
    ) -> Result<Option<Digest>, FetchError> {
        self.first_answer(|endpoint| async move {
            let reference = Reference::Tag(tag.clone());
            let ask = ask(Method::HEAD, repository, &reference);
            let response = endpoint.ask_as(urgency, ask).await?;
            Ok(told_digest(&response))
        })
        .await
    }
}

async fn fetch(
    endpoint: &Endpoint,
    repository: &RepoName,
    reference: &Reference,
    known: Option<&Digest>,
) -> Result<Option<Manifest>, FetchError> {
    let mut ask = ask(Method::GET, repository, reference);
    if let Some(known) = known {
        let etag = HeaderValue::try_from(format!("\"{known}\"")).expect("digests are header text");
        ask.headers.insert(header::IF_NONE_MATCH, etag);
    }
    let response = endpoint.ask(ask).await?;
    if known.is_some() && response.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let content_type: Option<MediaType> = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let told = told_digest(&response);
    let bytes = endpoint.bytes(response, LARGEST_MANIFEST).await?;
    let algorithm = match reference {
        Reference::Tag(_) => match told {
            Some(told) if Digest::of(told.algorithm(), &bytes) != told => {
                return settle(endpoint, repository, told, bytes, content_type).await;
            }
            // Under the name the upstream has for it: another would be confirmed by no HEAD and known to nobody else.
            told => told.map_or(Algorithm::Sha256, |told| told.algorithm()),
        },
        Reference::Digest(expected) => {
            let actual = Digest::of(expected.algorithm(), &bytes);
            if actual != *expected {
                return Err(endpoint.broken(Trouble::WrongDigest {
                    expected: *expected,
                    actual,
                }));
            }
            expected.algorithm()
        }
    };
    Manifest::parse(bytes, content_type.as_ref(), algorithm)
        .map(Some)
        .map_err(|error| endpoint.broken(Trouble::Manifest(error)))
}

/// A tag's bytes are not what their header says: either they are damaged or the header lies. What the upstream has under the
/// digest it named decides; where it has nothing there, the header lied.
async fn settle(
    endpoint: &Endpoint,
    repository: &RepoName,
    told: Digest,
    bytes: Bytes,
    content_type: Option<MediaType>,
) -> Result<Option<Manifest>, FetchError> {
    let reference = Reference::Digest(told);
    match Box::pin(fetch(endpoint, repository, &reference, None)).await {
        Err(FetchError::Absent { .. }) => {
            Manifest::parse(bytes, content_type.as_ref(), Algorithm::Sha256)
                .map(Some)
                .map_err(|error| endpoint.broken(Trouble::Manifest(error)))
        }
        answer => answer,
    }
}

fn told_digest(response: &Response) -> Option<Digest> {
    let value = response.headers().get(DOCKER_CONTENT_DIGEST)?;
    value.to_str().ok()?.parse().ok()
}

fn ask<'a>(method: Method, repository: &'a RepoName, reference: &Reference) -> Ask<'a> {
    let path = format!("manifests/{reference}");
    Ask {
        method,
        repository,
        path,
        query: None,
        headers: accept_everything(),
        absent: Absent::Manifest,
    }
}

/// All six types, always: asked for fewer, ECR converts what it has into something else.
pub(super) fn accept_everything() -> HeaderMap {
    let types: Vec<_> = MediaType::MANIFESTS
        .iter()
        .map(|kind| kind.as_str().to_owned())
        .collect();
    // Artifacts are OCI manifests of any type, and some registries serve them as such.
    let accept = types.join(", ") + ", */*;q=0.1";
    let value = HeaderValue::try_from(accept).expect("media types are header text");
    HeaderMap::from_iter([(header::ACCEPT, value)])
}
