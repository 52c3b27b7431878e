//! The query of a request: the parameters for us, and those for the upstream's lists.

use http::StatusCode;
use percent_encoding::percent_decode_str;
use pull::PageQuery;
use url::form_urlencoded;

use super::error::ApiError;

/// The parameters the specification has for lists.
const LIST_PARAMETERS: [&str; 3] = ["n", "last", "artifactType"];

/// Marks the upstream's own parameters in the link to its next page. Quay's cursor is `next_page`,
/// and a registry that is itself a proxy may use `ns`: with this mark they go back to the upstream
/// and never mean anything to us.
const UPSTREAM_PREFIX: &str = "up.";

/// The most parameters passed on to an upstream; its own links have far fewer.
const MAX_PARAMETERS: usize = 16;

/// The most bytes of all parameters that are passed on to an upstream.
const MAX_PASSED_BYTES: usize = 4096;

/// The parameters for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `ns`: the upstream, as containerd and `BuildKit` send it.
    pub(super) namespace: Option<String>,
    /// `platform`, every time it was given.
    pub(super) platform: Vec<String>,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut parsed = Self::default();
        for pair in pairs(query.unwrap_or_default()) {
            let Some((key, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
                continue;
            };
            match &*key {
                "ns" => parsed.namespace = Some(value.into_owned()),
                "platform" => parsed.platform.push(decoded_platform(pair)),
                _ => {}
            }
        }
        parsed
    }

    /// `ns=HOST`, if the client named its upstream that way: every address we send it to needs it.
    pub(super) fn namespace_pair(&self) -> Option<String> {
        self.namespace.as_ref().map(|host| pair("ns", host))
    }

    /// The query with which the client asks us for the next page; [`listing`] turns it into the
    /// upstream's `next` again.
    pub(super) fn for_next_page(&self, next: &str) -> String {
        let theirs = pairs(next).map(|pair| match key(pair) {
            key if LIST_PARAMETERS.contains(&key) => pair.to_owned(),
            _ => format!("{UPSTREAM_PREFIX}{pair}"),
        });
        let platform = self
            .platform
            .iter()
            .map(|platform| pair("platform", platform));
        let ours = self.namespace_pair().into_iter().chain(platform);
        theirs.chain(ours).collect::<Vec<_>>().join("&")
    }
}

/// The part of a query that is passed on to a list's upstream, byte for byte: the specification's
/// parameters, and those the upstream itself put into the link to this page.
pub(super) fn listing(query: Option<&str>) -> Result<Option<String>, ApiError> {
    let passed: Vec<&str> = pairs(query.unwrap_or_default())
        .filter_map(|pair| match pair.strip_prefix(UPSTREAM_PREFIX) {
            None => LIST_PARAMETERS.contains(&key(pair)).then_some(pair),
            own => own,
        })
        .collect();
    let listing = passed.join("&");
    if passed.len() > MAX_PARAMETERS || listing.len() > MAX_PASSED_BYTES {
        let message = format!(
            "too many query parameters: a list takes {MAX_PARAMETERS}, of {MAX_PASSED_BYTES} bytes in total"
        );
        return Err(ApiError::unsupported(
            StatusCode::BAD_REQUEST,
            message,
            None,
        ));
    }
    Ok(Some(listing).filter(|listing| !listing.is_empty()))
}

/// The value of `platform=VALUE`. A `+` is no space in it: `linux(+erofs)/amd64` has a feature.
fn decoded_platform(pair: &str) -> String {
    let (_, value) = pair.split_once('=').unwrap_or_default();
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// The same, with what it means to us where the upstream cannot be asked.
pub(super) fn page(query: Option<&str>) -> Result<PageQuery, ApiError> {
    let mut page = PageQuery {
        passed: listing(query)?,
        ..PageQuery::default()
    };
    let passed = page.passed.clone().unwrap_or_default();
    for (key, value) in form_urlencoded::parse(passed.as_bytes()) {
        match &*key {
            "n" => page.most = value.parse().ok(),
            "last" => page.last = Some(value.into_owned()),
            // No type has a space; some clients leave the `+` of one as it is.
            "artifactType" => page.artifact_type = Some(value.replace(' ', "+")),
            _ => page.is_upstreams = true,
        }
    }
    Ok(page)
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
    fn a_plus_in_a_platform_means_itself_however_it_is_written() {
        for written in [
            "platform=linux(+erofs)/amd64",
            "platform=linux(%2Berofs)/amd64",
            "platform=linux%28%2berofs%29%2Famd64",
            "plat%66orm=linux(+erofs)/amd64",
        ] {
            let query = Query::parse(Some(written));
            assert_eq!(query.platform, ["linux(+erofs)/amd64"], "{written}");
            let next = Query::parse(Some(&query.for_next_page("last=x")));
            assert_eq!(next.platform, query.platform, "{written}");
        }
        let encoded = Query::parse(Some("platform=linux(+a%252Bb)/amd64&platform"));
        assert_eq!(encoded.platform, ["linux(+a%2Bb)/amd64", ""]);
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
        assert!(listing(Some(&many(MAX_PARAMETERS))).is_ok());
        assert!(listing(Some(&many(MAX_PARAMETERS + 1))).is_err());
        assert!(listing(Some(&format!("last={}", "a".repeat(MAX_PASSED_BYTES)))).is_err());
        assert!(listing(Some(&format!("x={}", "a".repeat(MAX_PASSED_BYTES)))).is_ok());
    }
}
