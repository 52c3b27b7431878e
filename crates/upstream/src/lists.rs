//! Lists at one endpoint, which are never cached: tags and referrers.

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use manifest_model::{Digest, RepoName};
use protocol::{headers::OCI_FILTERS_APPLIED, link};

use crate::{
    endpoint::{Endpoint, Request},
    error::{Cause, FetchError, Resource},
};

/// The largest page accepted: a page of ECR has up to 1,000 tags of up to 300 characters.
const MAX_PAGE: usize = 8 * 1024 * 1024;

/// One page of a list as the upstream sent it.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The body, untouched.
    pub body: Bytes,
    /// The type of the list, whatever the upstream calls it (ECR sends `text/plain`).
    pub content_type: HeaderValue,
    /// The query of the next page, if there is one.
    pub next: Option<String>,
    /// The filters that the upstream has applied (`OCI-Filters-Applied`).
    pub filters: Option<HeaderValue>,
}

/// The kind of a list.
#[derive(Clone, Copy, Debug)]
pub enum ListingKind {
    /// The tags of a repository.
    Tags,
    /// The manifests that refer to this digest.
    Referrers(Digest),
}

/// One page of a list.
pub(crate) async fn fetch(
    endpoint: &Endpoint,
    repository: &RepoName,
    kind: ListingKind,
    query: Option<&str>,
) -> Result<Listing, FetchError> {
    let (path, resource, content_type) = match kind {
        ListingKind::Tags => (
            "tags/list".to_owned(),
            Resource::Repository,
            "application/json",
        ),
        ListingKind::Referrers(digest) => (
            format!("referrers/{digest}"),
            Resource::ReferrersApi,
            "application/vnd.oci.image.index.v1+json",
        ),
    };
    let content_type = HeaderValue::from_static(content_type);
    let mut request = Request::new(Method::GET, resource, repository, &path);
    request.query = query;
    request.headers.insert(header::ACCEPT, content_type.clone());
    let response = endpoint.ask(request).await?;
    let next = response
        .headers()
        .get_all(header::LINK)
        .iter()
        .find_map(|line| query_of(link::next(line.to_str().ok()?)?));
    if next.is_some() && next.as_deref() == query {
        // Clients that follow it would never end.
        return Err(endpoint.broken(Cause::SamePage));
    }
    let filters = response.headers().get(OCI_FILTERS_APPLIED).cloned();
    let body = endpoint.read_body(response, MAX_PAGE).await?;
    Ok(Listing {
        body,
        content_type,
        next,
        filters,
    })
}

/// The query of a link, which is opaque. The link may be absolute, as ECR's is.
fn query_of(target: &str) -> Option<String> {
    let address = target
        .split_once('#')
        .map_or(target, |(address, _)| address);
    address.split_once('?').map(|(_, query)| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_the_next_page_is_kept_as_it_is() {
        for (target, query) in [
            ("/v2/a/tags/list?n=2&last=b%3D%3D", Some("n=2&last=b%3D%3D")),
            (
                "https://1.dkr.ecr.us-east-1.amazonaws.com/v2/a/tags/list?last=x&n=100",
                Some("last=x&n=100"),
            ),
            ("/v2/a?n=1#there", Some("n=1")),
            ("/v2/a", None),
        ] {
            assert_eq!(query_of(target).as_deref(), query, "{target}");
        }
    }
}
