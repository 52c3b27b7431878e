//! Sends a client to the bucket of the tier for a large blob, where the configuration says so.
//!
//! Only for what is stored here and proved: what the client may have is decided before. Another replica
//! is sent nowhere: it has asked for what is here, and knows the bucket itself.

use axum::body::Body;
use http::{HeaderValue, StatusCode, header, request::Parts};
use manifest_model::Digest;
use protocol::headers::header_string;
use pull::Outcome;

use super::{Service, context::Context, digest_headers};
use crate::guard::Called;

/// The answer that names another place; `None` where the blob is sent from here.
pub(super) async fn redirect(
    service: &Service,
    context: &Context,
    (outcome, size): (Outcome, Option<u64>),
    digest: &Digest,
    request: &Parts,
) -> Option<axum::response::Response> {
    let (tier, size) = (service.tier.as_ref()?, size?);
    if outcome != Outcome::Hit || context.replica.is_some() {
        return None;
    }
    let url = tier.redirect(digest, size, context.client).await?;
    let called = Called::of(&request.uri, &request.headers);
    let here = called.host().map(ToString::to_string).unwrap_or_default();
    if is_below(url.host_str()?, &here) {
        // Clients would send our credentials along, which the store refuses.
        return None;
    }
    let mut response = axum::response::Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    digest_headers(&mut response, digest);
    let out = response.headers_mut();
    out.insert(header::LOCATION, header_string(url.to_string()));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// Whether a host has a name below that of another, whatever their ports.
fn is_below(host: &str, name: &str) -> bool {
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    let above = host.strip_suffix(name);
    !name.is_empty() && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_below_itself_and_what_it_ends_with() {
        assert!(is_below("s3.registry.example", "registry.example:5000"));
        assert!(is_below("registry.example", "registry.example"));
        assert!(!is_below("s3.example", "registry.example"));
        assert!(!is_below("otherregistry.example", "registry.example"));
    }
}
