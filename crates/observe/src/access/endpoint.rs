//! The kind of endpoint a request asks for, as metrics label it.

use http::Method;
use protocol::target::Target;

/// The kind of endpoint a request asks for: a closed set, since it labels metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Not known: the path, the query or a hint is invalid, or the client left before an answer.
    #[default]
    None,
    /// `/v2/`
    Ping,
    /// A manifest, by tag or digest.
    Manifest,
    /// A blob.
    Blob,
    /// A list of tags.
    Tags,
    /// A list of referrers.
    Referrers,
    /// Anything that is part of pushing: other methods than GET and HEAD, and uploads.
    Push,
}

impl Endpoint {
    /// Every endpoint, in the order of their numbers.
    pub(super) const ALL: [Self; 7] = [
        Self::None,
        Self::Ping,
        Self::Manifest,
        Self::Blob,
        Self::Tags,
        Self::Referrers,
        Self::Push,
    ];

    /// The endpoint of a request with this method for this target.
    pub fn of(method: &Method, target: &Target) -> Self {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Self::Push;
        }
        match target {
            Target::Ping => Self::Ping,
            Target::Manifest(..) => Self::Manifest,
            Target::Blob(..) => Self::Blob,
            Target::Tags(_) => Self::Tags,
            Target::Referrers(..) => Self::Referrers,
            Target::Uploads(_) => Self::Push,
        }
    }

    /// The value of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ping => "ping",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::Push => "push",
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::target::PlatformPaths;

    use super::*;

    fn target(path: &str) -> Target {
        protocol::target::parse(path, None, PlatformPaths::Hints)
            .unwrap()
            .target
    }

    #[test]
    fn every_request_has_an_endpoint_and_no_label_is_empty() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (method, path, label) in [
            (Method::GET, "/v2/".to_owned(), "ping"),
            (Method::HEAD, "/v2/app/manifests/v1".to_owned(), "manifest"),
            (Method::GET, format!("/v2/app/blobs/{digest}"), "blob"),
            (Method::GET, "/v2/app/tags/list".to_owned(), "tags"),
            (
                Method::GET,
                format!("/v2/app/referrers/{digest}"),
                "referrers",
            ),
            (Method::PUT, "/v2/app/manifests/v1".to_owned(), "push"),
            (Method::GET, "/v2/app/blobs/uploads/".to_owned(), "push"),
        ] {
            let endpoint = Endpoint::of(&method, &target(&path));
            assert_eq!(endpoint.as_str(), label, "{method} {path}");
        }
        assert_eq!(Endpoint::default().as_str(), "none");
    }
}
