//! Header names of the distribution spec, and our own.

use std::fmt::Display;

use http::{HeaderName, HeaderValue};

/// The digest of the body (distribution-spec, pulling manifests).
pub const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The version header that old Docker clients require on `/v2/`.
pub const DOCKER_DISTRIBUTION_API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");
/// The upstream an answer came from (distribution-spec, registry proxying).
pub const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
/// The filters applied to an answer of the referrers API.
pub const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// In a request, the platform wanted. In an answer, the platform served and the source of the hint.
pub const ARCHWAY_PLATFORM: HeaderName = HeaderName::from_static("archway-platform");
/// In an answer that substitutes an image for an index, the digest of that index.
pub const ARCHWAY_INDEX: HeaderName = HeaderName::from_static("archway-index");
/// In a request, `1` asks for an explanation. In an answer, the explanation as JSON.
pub const ARCHWAY_EXPLAIN: HeaderName = HeaderName::from_static("archway-explain");
/// The source of an answer: `hit`, `follow`, `fill`, `stale` or `miss`.
pub const ARCHWAY_CACHE: HeaderName = HeaderName::from_static("archway-cache");
/// In the answer to a ping, the id of this start of Archway.
pub const ARCHWAY_INSTANCE: HeaderName = HeaderName::from_static("archway-instance");
/// How the `User-Agent` of our own commands begins. Another Archway is a client, and has another.
pub const COMMAND_AGENT: &str = "archway-command/";
/// The pulls that Docker Hub still allows, and the window they count in.
pub const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// The pulls that Docker Hub allows in that window.
pub const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");

/// The header value of a text of ours: a digest, a name, a platform, a number. Their grammars allow
/// header text only, so anything else, above all a text a client or an upstream chose, is a bug.
pub fn header_text(text: impl Display) -> HeaderValue {
    header_string(text.to_string())
}

/// As [`header_text`], of a text that is there already: it is not copied.
pub fn header_string(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("our own grammars allow header text only")
}
