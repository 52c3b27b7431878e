//! Header names of the distribution spec, and our own.

use std::fmt::Display;

use http::{HeaderName, HeaderValue};

/// The digest of the body (distribution-spec, pulling manifests).
pub const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// What old Docker clients look for on `/v2/`.
pub const DOCKER_DISTRIBUTION_API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");
/// The upstream an answer came from (distribution-spec, registry proxying).
pub const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
/// Which filters a referrers answer has been through.
pub const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// In a request, the platform wanted; in an answer, the platform served and the source that asked for it.
pub const ARCHWAY_PLATFORM: HeaderName = HeaderName::from_static("archway-platform");
/// In a substituted answer, the digest of the index it was chosen from.
pub const ARCHWAY_INDEX: HeaderName = HeaderName::from_static("archway-index");
/// In a request, `1` asks how the answer came about; in an answer, the explanation as JSON.
pub const ARCHWAY_EXPLAIN: HeaderName = HeaderName::from_static("archway-explain");
/// Where an answer came from: `hit`, `follow`, `fill`, `stale` or `miss`.
pub const ARCHWAY_CACHE: HeaderName = HeaderName::from_static("archway-cache");
/// How many pulls Docker Hub still allows, and in which window.
pub const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

/// The header value of a text of ours: a digest, a name, a platform, a number. Their grammars allow
/// header text only, so anything else, above all a text a client or an upstream chose, is a bug.
pub fn header_text(text: impl Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).expect("our own grammars allow header text only")
}
