//! Manifests and indexes at one endpoint: by tag, by digest, and the digest of a tag.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use manifest_model::{Algorithm, Digest, Manifest, MediaType, Reference, RepoName, Tag};
use protocol::headers::DOCKER_CONTENT_DIGEST;
use reqwest::Response;
use tracing::debug;

use crate::{
    endpoint::{Request, Turn},
    error::{Cause, FetchError, Resource},
    policy::Urgency,
};

/// The largest manifest accepted: the size that registries must support by the distribution spec.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;

/// A manifest, its bytes verified.
pub(crate) async fn fetch(
    endpoint: &Turn<'_>,
    repository: &RepoName,
    reference: &Reference,
) -> Result<Manifest, FetchError> {
    let manifest = fetch_unless(endpoint, repository, reference, None).await?;
    // A 304 without a condition is a fault.
    manifest.ok_or_else(|| endpoint.broken(Cause::Status(304)))
}

/// The digest of `tag`; `None` if the upstream does not tell it.
pub(crate) async fn tag_digest(
    endpoint: &Turn<'_>,
    repository: &RepoName,
    tag: &Tag,
    urgency: Urgency,
) -> Result<Option<Digest>, FetchError> {
    let reference = Reference::Tag(tag.clone());
    let request = request(Method::HEAD, repository, &reference);
    let response = endpoint.ask_as(urgency, request).await?;
    Ok(digest_header(&response))
}

/// A manifest, its bytes verified; `None` if its digest is still `known`.
pub(crate) async fn fetch_unless(
    endpoint: &Turn<'_>,
    repository: &RepoName,
    reference: &Reference,
    known: Option<&Digest>,
) -> Result<Option<Manifest>, FetchError> {
    let mut request = request(Method::GET, repository, reference);
    if let Some(known) = known {
        let etag = HeaderValue::try_from(format!("\"{known}\"")).expect("digests are header text");
        request.headers.insert(header::IF_NONE_MATCH, etag);
        request.is_cold = false;
    }
    let response = endpoint.ask(request).await?;
    if known.is_some() && response.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let content_type: Option<MediaType> = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let announced = digest_header(&response);
    let bytes = endpoint.read_body(response, MAX_MANIFEST).await?;
    let algorithm = match reference {
        Reference::Tag(_) => match announced {
            Some(digest) if Digest::of(digest.algorithm(), &bytes) != digest => {
                return settle(endpoint, repository, digest, bytes, content_type).await;
            }
            // The digest that the upstream uses too: a HEAD would not confirm another one.
            digest => digest.map_or(Algorithm::Sha256, |digest| digest.algorithm()),
        },
        Reference::Digest(expected) => {
            let actual = Digest::of(expected.algorithm(), &bytes);
            if actual != *expected {
                return Err(endpoint.broken(Cause::WrongDigest {
                    expected: *expected,
                    actual,
                }));
            }
            expected.algorithm()
        }
    };
    let parsed = match reference {
        Reference::Tag(_) => Manifest::parse(bytes, content_type.as_ref(), algorithm),
        // Its digest has matched: it is what was asked for, whatever it is.
        Reference::Digest(_) => Manifest::of_digest(bytes, content_type.as_ref(), algorithm),
    };
    let manifest = parsed.map_err(|error| endpoint.broken(Cause::Manifest(error)))?;
    if manifest.unreadable() > 0 {
        debug!(upstream = %endpoint.host(), digest = %manifest.digest(), unreadable = manifest.unreadable(),
            "a manifest has links that cannot be read; it is passed on as it is");
    }
    Ok(Some(manifest))
}

/// The manifest of a tag whose bytes do not match their digest header: either the bytes are damaged
/// or the header is wrong. The manifest that the upstream has under that digest decides; if there
/// is none, the header is wrong.
async fn settle(
    endpoint: &Turn<'_>,
    repository: &RepoName,
    announced: Digest,
    bytes: Bytes,
    content_type: Option<MediaType>,
) -> Result<Option<Manifest>, FetchError> {
    let reference = Reference::Digest(announced);
    match Box::pin(fetch_unless(endpoint, repository, &reference, None)).await {
        Err(FetchError::NotFound { .. }) => {
            Manifest::parse(bytes, content_type.as_ref(), Algorithm::Sha256)
                .map(Some)
                .map_err(|error| endpoint.broken(Cause::Manifest(error)))
        }
        answer => answer,
    }
}

fn digest_header(response: &Response) -> Option<Digest> {
    let value = response.headers().get(DOCKER_CONTENT_DIGEST)?;
    value.to_str().ok()?.parse().ok()
}

fn request<'a>(method: Method, repository: &'a RepoName, reference: &Reference) -> Request<'a> {
    let path = format!("manifests/{reference}");
    let mut request = Request::new(method, Resource::Manifest, repository, &path);
    request.headers = accept_all();
    request
}

/// The `Accept` of every manifest request: all six types, since ECR converts a manifest whose type
/// is not listed.
pub(crate) fn accept_all() -> HeaderMap {
    let types: Vec<_> = MediaType::MANIFESTS
        .iter()
        .map(|kind| kind.as_str().to_owned())
        .collect();
    // Artifacts are OCI manifests of any type, and some registries serve them as such.
    let accept = types.join(", ") + ", */*;q=0.1";
    let value = HeaderValue::try_from(accept).expect("media types are header text");
    HeaderMap::from_iter([(header::ACCEPT, value)])
}
