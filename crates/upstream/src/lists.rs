//! Lists at one endpoint: tags and referrers. A body is read before it is an answer.

mod check;

use std::sync::Arc;

use http::{HeaderValue, Method, header};
use manifest_model::{Digest, RepoName};
use protocol::{headers::OCI_FILTERS_APPLIED, link};

use crate::{
    endpoint::{Request, Turn},
    error::{Cause, FetchError, Resource},
    gather::{Gathered, Room},
};

/// One page of a list as the upstream sent it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The body, without its encoding.
    pub body: Arc<Gathered>,
    /// The query of the next page, if there is one.
    pub next: Option<String>,
    /// The filters that the upstream has applied (`OCI-Filters-Applied`).
    pub filters: Option<String>,
}

/// The kind of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListingKind {
    /// The tags of a repository.
    Tags,
    /// The manifests that refer to this digest.
    Referrers(Digest),
}

impl ListingKind {
    /// The type of the list, whatever the upstream calls it (ECR sends `text/plain`).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Tags => "application/json",
            Self::Referrers(_) => "application/vnd.oci.image.index.v1+json",
        }
    }
}

/// How much of lists may be held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListBounds<'a> {
    /// Bytes of one page.
    pub(crate) page: usize,
    /// The room for all pages together.
    pub(crate) room: &'a Room,
}

/// One page of a list.
pub(crate) async fn fetch(
    endpoint: &Turn<'_>,
    repository: &RepoName,
    kind: ListingKind,
    query: Option<&str>,
    bounds: ListBounds<'_>,
) -> Result<Listing, FetchError> {
    let (path, resource) = match kind {
        ListingKind::Tags => ("tags/list".to_owned(), Resource::Repository),
        ListingKind::Referrers(digest) => (format!("referrers/{digest}"), Resource::ReferrersApi),
    };
    let content_type = HeaderValue::from_static(kind.content_type());
    let mut request = Request::new(Method::GET, resource, repository, &path);
    request.query = query;
    request.headers.insert(header::ACCEPT, content_type);
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
    let filters = response.headers().get(OCI_FILTERS_APPLIED);
    let filters = filters.and_then(|filters| Some(filters.to_str().ok()?.to_owned()));
    let ListBounds { page, room } = bounds;
    let body = endpoint.gather(response, page, Some(room)).await;
    let body = body.map_err(|error| match error {
        FetchError::Broken {
            source: Cause::TooLarge(limit),
            ..
        } => endpoint.broken(Cause::ListTooLarge(limit)),
        error => error,
    })?;
    let body = check::read(body, kind).await;
    let body = body.map_err(|cause| endpoint.broken(cause))?;
    Ok(Listing {
        body: Arc::new(body),
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
