//! Manifests and indexes: by tag, by digest, and what a tag points at now.

use http::{HeaderMap, HeaderValue, Method, header};
use manifest_model::{Algorithm, Digest, Manifest, MediaType, Reference, RepoName, Tag};

use super::{
    Upstream,
    endpoint::{Ask, Endpoint, Redirects},
    error::{Absent, FetchError, Trouble},
};
use crate::protocol::headers::DOCKER_CONTENT_DIGEST;

/// The largest manifest taken from an upstream: what the distribution spec asks registries to accept at least.
const LARGEST_MANIFEST: usize = 4 * 1024 * 1024;

impl Upstream {
    /// The manifest, its bytes verified: by digest against the digest asked for; by tag the digest is what the bytes hash to,
    /// whatever a header says.
    pub async fn manifest(
        &self,
        repository: &RepoName,
        reference: &Reference,
    ) -> Result<Manifest, FetchError> {
        self.first_answer(|endpoint| fetch(endpoint, repository, reference))
            .await
    }

    /// The digest `tag` points at now, `None` where the upstream has the tag but does not say. Free of charge at Docker Hub.
    pub async fn tag_digest(
        &self,
        repository: &RepoName,
        tag: &Tag,
    ) -> Result<Option<Digest>, FetchError> {
        self.first_answer(|endpoint| async move {
            let reference = Reference::Tag(tag.clone());
            let response = endpoint
                .ask(ask(Method::HEAD, repository, &reference), Redirects::Follow)
                .await?;
            let digest = response
                .headers()
                .get(DOCKER_CONTENT_DIGEST)
                .and_then(|value| value.to_str().ok());
            Ok(digest.and_then(|digest| digest.parse().ok()))
        })
        .await
    }
}

async fn fetch(
    endpoint: &Endpoint,
    repository: &RepoName,
    reference: &Reference,
) -> Result<Manifest, FetchError> {
    let response = endpoint
        .ask(ask(Method::GET, repository, reference), Redirects::Follow)
        .await?;
    let content_type: Option<MediaType> = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let bytes = endpoint.bytes(response, LARGEST_MANIFEST).await?;
    let algorithm = match reference {
        Reference::Tag(_) => Algorithm::Sha256,
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
        .map_err(|error| endpoint.broken(Trouble::Manifest(error)))
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
