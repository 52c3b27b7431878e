//! Lists that are not cached: tags and referrers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use manifest_model::{Digest, RepoName};

use super::{
    Upstream,
    endpoint::{Ask, Endpoint},
    error::{Absent, FetchError},
};
use crate::protocol::headers::OCI_FILTERS_APPLIED;

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
    /// One page of a list, with the client's paging parameters (`n`, `last`, `artifactType`) as they are.
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
        .find_map(|link| next_query(link.to_str().ok()?));
    let filters = response.headers().get(OCI_FILTERS_APPLIED).cloned();
    let body = endpoint.bytes(response, LARGEST_LIST).await?;
    Ok(Listing {
        body,
        content_type,
        next,
        filters,
    })
}

/// The query of `<URL>; rel="next"` (RFC 8288). The URL may be absolute, as ECR's is; its parameters are opaque.
fn next_query(link: &str) -> Option<String> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.split(';').any(|parameter| {
        let parameter = parameter.trim();
        parameter.eq_ignore_ascii_case("rel=next") || parameter.eq_ignore_ascii_case("rel=\"next\"")
    });
    let (_, query) = target.split_once('?')?;
    is_next.then(|| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_the_next_page_is_kept_as_it_is() {
        let relative = r#"</v2/a/tags/list?n=2&last=b%3D%3D>; rel="next""#;
        assert_eq!(next_query(relative).as_deref(), Some("n=2&last=b%3D%3D"));
        let absolute = r#"<https://1.dkr.ecr.us-east-1.amazonaws.com/v2/a/tags/list?last=x&n=100>; rel="next""#;
        assert_eq!(next_query(absolute).as_deref(), Some("last=x&n=100"));
    }

    #[test]
    fn other_links_are_no_next_page() {
        assert_eq!(next_query(r#"</v2/a?n=1>; rel="prev""#), None);
        assert_eq!(next_query("/v2/a?n=1; rel=next"), None);
        assert_eq!(next_query(r#"</v2/a>; rel="next""#), None);
    }
}
