//! The referrers API: an index of the manifests whose subject is the digest asked for.

use http::{HeaderName, Response, StatusCode, header};
use serde_json::{Value, json};

use super::error_response;
use super::log::query_of;
use super::serve::insert;
use crate::images::{OCI_INDEX, Stored};
use crate::server::{Body, full};

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

pub(super) fn list(manifests: &[Stored], subject: &str, query: &str) -> Response<Body> {
    if subject.parse::<manifest_model::Digest>().is_err() {
        return error_response(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a digest");
    }
    let query = query_of(query);
    let kind = query.iter().find(|(key, _)| key == "artifactType");
    let mut entries = Vec::new();
    for stored in manifests {
        let body: Value = serde_json::from_slice(&stored.bytes).expect("manifests are JSON");
        if body["subject"]["digest"] != subject {
            continue;
        }
        if kind.is_some_and(|(_, kind)| body["artifactType"] != kind.as_str()) {
            continue;
        }
        let mut entry = stored.descriptor();
        entry["artifactType"] = body["artifactType"].clone();
        entry["annotations"] = body["annotations"].clone();
        entries.push(entry);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    let mut response = Response::new(full(index.to_string()));
    insert(&mut response, header::CONTENT_TYPE, OCI_INDEX);
    if kind.is_some() {
        insert(&mut response, FILTERS, "artifactType");
    }
    response
}
