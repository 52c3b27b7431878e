//! What the status and the headers of an answer say, and its body where that is small.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use protocol::headers::RATELIMIT_REMAINING;
use reqwest::Response;

use super::error::Trouble;

/// The longest wait an upstream may ask for and still be quoted.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The whole body, if it is no larger than `limit`.
pub(super) async fn read(mut response: Response, limit: usize) -> Result<bytes::Bytes, Trouble> {
    let mut body = bytes::BytesMut::new();
    let broken = |error: reqwest::Error| Trouble::Http(error.without_url());
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > limit {
            return Err(Trouble::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Whether it leads elsewhere; a 304 is an answer.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection() && status != StatusCode::NOT_MODIFIED
}

/// Docker Hub's `ratelimit-remaining: 76;w=21600`.
pub(super) fn remaining_pulls(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get(RATELIMIT_REMAINING)?.to_str().ok()?;
    value.split(';').next()?.trim().parse().ok()
}

/// How stores refuse a signed URL whose time is over. A 429 is not among them: asking again at once would make it worse.
pub(super) fn is_signature_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::GONE
    )
}

/// `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(std::time::SystemTime::now())
            .ok()?,
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn docker_hubs_remaining_pulls_are_read_without_their_window() {
        for (value, expected) in [("76;w=21600", Some(76)), ("0", Some(0)), ("many", None)] {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(RATELIMIT_REMAINING, value)]);
            assert_eq!(remaining_pulls(&headers), expected);
        }
    }

    #[test]
    fn a_wait_is_read_in_both_forms_and_has_a_bound() {
        let wait = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]))
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("999999"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wait("soon"), None);
        let date = std::time::SystemTime::now() + Duration::from_mins(10);
        let read = wait(&httpdate::fmt_http_date(date)).unwrap();
        assert!((590..=600).contains(&read.as_secs()), "{read:?}");
    }
}
