//! Lists that are not cached: tags and referrers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use manifest_model::{Digest, RepoName};
use protocol::{headers::OCI_FILTERS_APPLIED, link};

use super::{
    Upstream,
    endpoint::{Ask, Endpoint},
    error::{Absent, FetchError, Trouble},
};

/// The largest list taken: ECR pages tags by up to 1,000 names of up to 300 characters.
const LARGEST_LIST: usize = 8 * 1024 * 1024;

/// A list as the upstream sent it.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The body, untouched.
    pub body: Bytes,
    /// Its type; JSON where the upstream says something else about it (ECR says `text/plain`).
    pub content_type: HeaderValue,
    /// The query of the next page, if there is one.
    pub next: Option<String>,
    /// The filters the upstream says it applied.
    pub filters: Option<HeaderValue>,
}

/// Which list.
#[derive(Clone, Copy, Debug)]
pub enum ListingKind {
    /// The tags of a repository.
    Tags,
    /// What refers to this digest.
    Referrers(Digest),
}

impl Upstream {
    /// One page of a list. The query is what the client may say to the upstream, as it is.
    pub async fn list(
        &self,
        repository: &RepoName,
        kind: ListingKind,
        query: Option<&str>,
    ) -> Result<Listing, FetchError> {
        self.first_answer(|endpoint| fetch(endpoint, repository, kind, query))
            .await
    }
}

async fn fetch(
    endpoint: &Endpoint,
    repository: &RepoName,
    kind: ListingKind,
    query: Option<&str>,
) -> Result<Listing, FetchError> {
    let (path, absent, content_type) = match kind {
        ListingKind::Tags => (
            "tags/list".to_owned(),
            Absent::Repository,
            "application/json",
        ),
        ListingKind::Referrers(digest) => (
            format!("referrers/{digest}"),
            Absent::Endpoint,
            "application/vnd.oci.image.index.v1+json",
        ),
    };
    let content_type = HeaderValue::from_static(content_type);
    let headers = HeaderMap::from_iter([(header::ACCEPT, content_type.clone())]);
    let ask = Ask {
        method: Method::GET,
        repository,
        path,
        query,
        headers,
        absent,
    };
    let response = endpoint.ask(ask).await?;
    let next = response
        .headers()
        .get_all(header::LINK)
        .iter()
        .find_map(|line| query_of(link::next(line.to_str().ok()?)?));
    if next.is_some() && next.as_deref() == query {
        // Handed on, it would lead clients round and round.
        return Err(endpoint.broken(Trouble::SamePage));
    }
    let filters = response.headers().get(OCI_FILTERS_APPLIED).cloned();
    let body = endpoint.bytes(response, LARGEST_LIST).await?;
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
