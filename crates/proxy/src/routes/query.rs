//! The query of a request: what is for us, and what is for the upstream's lists.

use http::StatusCode;
use url::form_urlencoded;

use super::error::ApiError;

/// What the specification lets a client say to a list.
const LISTING: [&str; 3] = ["n", "last", "artifactType"];

/// Before the upstream's own parameters in the link to its next page. Quay's cursor is `next_page`, and a registry that is a
/// proxy itself may use `ns`: so marked they come back to the upstream, and never mean anything to us.
const UPSTREAMS: &str = "up.";

/// Bounds of what goes on to an upstream; its own links are far below.
const MOST_PARAMETERS: usize = 16;
const LONGEST_LISTING: usize = 4096;

/// A query, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `ns`: the upstream, as containerd and `BuildKit` name it.
    pub(super) namespace: Option<String>,
    /// `platform`, as often as it was given.
    pub(super) platform: Vec<String>,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut parsed = Self::default();
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                "ns" => parsed.namespace = Some(value.into_owned()),
                "platform" => parsed.platform.push(value.into_owned()),
                _ => {}
            }
        }
        parsed
    }

    /// `ns=HOST`, where the client has named its upstream so: it belongs into every address we send it to.
    pub(super) fn namespace_pair(&self) -> Option<String> {
        self.namespace.as_ref().map(|host| pair("ns", host))
    }

    /// The query of the next page of a list, as the client has to ask us for it; [`listing`] makes `next` of it again.
    pub(super) fn for_next_page(&self, next: &str) -> String {
        let theirs = pairs(next).map(|pair| match key(pair) {
            key if LISTING.contains(&key) => pair.to_owned(),
            _ => format!("{UPSTREAMS}{pair}"),
        });
        let platform = self
            .platform
            .iter()
            .map(|platform| pair("platform", platform));
        let ours = self.namespace_pair().into_iter().chain(platform);
        theirs.chain(ours).collect::<Vec<_>>().join("&")
    }
}

/// All of a query that a list's upstream gets to see, byte for byte: what the specification knows, and what the upstream itself
/// has put into the link to this page.
pub(super) fn listing(query: Option<&str>) -> Result<Option<String>, ApiError> {
    let passed: Vec<&str> = pairs(query.unwrap_or_default())
        .filter_map(|pair| match pair.strip_prefix(UPSTREAMS) {
            None => LISTING.contains(&key(pair)).then_some(pair),
            own => own,
        })
        .collect();
    let listing = passed.join("&");
    if passed.len() > MOST_PARAMETERS || listing.len() > LONGEST_LISTING {
        let message = format!(
            "a list takes at most {MOST_PARAMETERS} parameters of together {LONGEST_LISTING} bytes"
        );
        return Err(ApiError::unsupported(
            StatusCode::BAD_REQUEST,
            message,
            None,
        ));
    }
    Ok(Some(listing).filter(|listing| !listing.is_empty()))
}

fn pair(key: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair(key, value)
        .finish()
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(query: &str) -> Option<String> {
        listing(Some(query)).unwrap()
    }

    #[test]
    fn only_paging_and_filters_go_on_to_the_upstream() {
        let text = "ns=docker.io&n=10&last=a%2Fb&x=secret&platform=linux/arm64";
        let query = Query::parse(Some(text));
        assert_eq!(query.namespace.as_deref(), Some("docker.io"));
        assert_eq!(query.platform, ["linux/arm64"]);
        assert_eq!(passed(text).as_deref(), Some("n=10&last=a%2Fb"));
        assert_eq!(Query::parse(None), Query::default());
        assert_eq!(listing(None).unwrap(), None);
        assert_eq!(passed("up.&x=1"), None);
    }

    #[test]
    fn the_next_page_is_asked_for_with_the_same_hints() {
        let query = Query::parse(Some("ns=docker.io&n=10&platform=linux/arm64"));
        assert_eq!(
            query.for_next_page("last=x%3D&n=10"),
            "last=x%3D&n=10&ns=docker.io&platform=linux%2Farm64"
        );
    }

    #[test]
    fn what_the_upstream_wrote_comes_back_to_it_byte_for_byte() {
        let asked = Query::parse(Some("ns=docker.io&platform=linux/arm64"));
        for next in [
            "n=2&next_page=gAAA%3D%3D",
            "last=a+b%2B%FF&n=1",
            "%6E=2&bare&empty=&a=b=c",
            "up.next_page=a&up.up.x=b",
        ] {
            let link = asked.for_next_page(next);
            assert_eq!(passed(&link).as_deref(), Some(next), "{link}");
            assert_eq!(Query::parse(Some(&link)), asked, "{link}");
        }
    }

    #[test]
    fn a_link_of_the_upstream_names_neither_upstream_nor_platform_to_us() {
        let link = Query::default().for_next_page("last=b&ns=other.test&platform=bogus");
        assert_eq!(Query::parse(Some(&link)), Query::default());
        assert_eq!(
            passed(&link).as_deref(),
            Some("last=b&ns=other.test&platform=bogus")
        );
    }

    #[test]
    fn what_goes_on_to_an_upstream_is_bounded() {
        let many = |count| "up.a=1&".repeat(count);
        assert!(listing(Some(&many(MOST_PARAMETERS))).is_ok());
        assert!(listing(Some(&many(MOST_PARAMETERS + 1))).is_err());
        assert!(listing(Some(&format!("last={}", "a".repeat(LONGEST_LISTING)))).is_err());
        assert!(listing(Some(&format!("x={}", "a".repeat(LONGEST_LISTING)))).is_ok());
    }
}
