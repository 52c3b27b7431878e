//! The media types a client accepts, from its `Accept` headers.

use http::{HeaderMap, header};
use manifest_model::MediaType;

/// Whether the client accepts an image index or a Docker manifest list.
///
/// A client without `Accept`, or with `*/*`, accepts an index. Several header lines count as one
/// list: podman, skopeo and docker send each type on a line of its own.
pub fn takes_index(headers: &HeaderMap) -> bool {
    let mut names_any = false;
    for line in headers.get_all(header::ACCEPT) {
        for item in line
            .to_str()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            names_any = true;
            if is_acceptable(item) && names_index(item) {
                return true;
            }
        }
    }
    !names_any
}

fn names_index(item: &str) -> bool {
    let name = item.split(';').next().unwrap_or_default().trim();
    matches!(name, "*/*" | "application/*")
        || name.parse::<MediaType>().is_ok_and(|kind| kind.is_index())
}

/// `q=0` rules a type out (RFC 9110, section 12.4.2).
fn is_acceptable(item: &str) -> bool {
    let quality = item
        .split(';')
        .skip(1)
        .find_map(|parameter| parameter.trim().strip_prefix("q="));
    quality
        .and_then(|quality| quality.trim().parse::<f32>().ok())
        .is_none_or(|quality| quality > 0.0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

    fn accepting(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        takes_index(&headers)
    }

    #[test]
    fn a_client_that_says_nothing_takes_an_index() {
        assert!(accepting(&[]));
        assert!(accepting(&[""]));
        assert!(accepting(&["*/*"]));
    }

    #[test]
    fn an_index_type_counts_wherever_it_stands() {
        assert!(accepting(&[&format!("{MANIFEST}, {INDEX}")]));
        assert!(accepting(&[MANIFEST, LIST]));
        assert!(accepting(&[&format!("{LIST};q=0.5")]));
    }

    #[test]
    fn a_client_that_names_only_manifests_takes_no_index() {
        assert!(!accepting(&[MANIFEST]));
        assert!(!accepting(&[MANIFEST, "application/json"]));
        assert!(!accepting(&[&format!("{MANIFEST}, {INDEX};q=0")]));
    }
}
