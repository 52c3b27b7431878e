//! The query of a request: what is for us, and what is for the upstream's lists.

use url::form_urlencoded;

/// A query, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `ns`: the upstream, as containerd and `BuildKit` name it.
    pub(super) namespace: Option<String>,
    /// `platform`, as often as it was given.
    pub(super) platform: Vec<String>,
    /// `n`, `last` and `artifactType`, encoded again: all that an upstream gets to see.
    pub(super) listing: Option<String>,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut parsed = Self::default();
        let mut listing = form_urlencoded::Serializer::new(String::new());
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                "ns" => parsed.namespace = Some(value.into_owned()),
                "platform" => parsed.platform.push(value.into_owned()),
                "n" | "last" | "artifactType" => {
                    listing.append_pair(&key, &value);
                }
                _ => {}
            }
        }
        parsed.listing = Some(listing.finish()).filter(|listing| !listing.is_empty());
        parsed
    }

    /// The query of the next page of a list, as the client has to ask us for it. `next` is the upstream's, opaque.
    pub(super) fn for_next_page(&self, next: &str) -> String {
        let mut query = next.to_owned();
        for (key, value) in self
            .namespace
            .iter()
            .map(|ns| ("ns", ns))
            .chain(self.platform.iter().map(|p| ("platform", p)))
        {
            let pair = form_urlencoded::Serializer::new(String::new())
                .append_pair(key, value)
                .finish();
            query = format!("{query}&{pair}");
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paging_and_filters_go_on_to_the_upstream() {
        let query = Query::parse(Some(
            "ns=docker.io&n=10&last=a%2Fb&x=secret&platform=linux/arm64",
        ));
        assert_eq!(query.namespace.as_deref(), Some("docker.io"));
        assert_eq!(query.platform, ["linux/arm64"]);
        assert_eq!(query.listing.as_deref(), Some("n=10&last=a%2Fb"));
        assert_eq!(Query::parse(None), Query::default());
    }

    #[test]
    fn the_next_page_is_asked_for_with_the_same_hints() {
        let query = Query::parse(Some("ns=docker.io&n=10"));
        assert_eq!(
            query.for_next_page("last=x%3D&n=10"),
            "last=x%3D&n=10&ns=docker.io"
        );
    }
}
