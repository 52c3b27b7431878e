//! Reading one HTTP response: its status, the headers that matter here, and its body if it is
//! small.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use protocol::headers::RATELIMIT_REMAINING;
use reqwest::Response;

use crate::error::Cause;

/// The longest `Retry-After`; a longer one is cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The whole body, or an error above `limit` bytes.
pub(crate) async fn read(mut response: Response, limit: usize) -> Result<bytes::Bytes, Cause> {
    let mut body = bytes::BytesMut::new();
    let failed = |error: reqwest::Error| Cause::Http(error.without_url());
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > limit {
            return Err(Cause::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Whether the status is a redirect to follow. 304 is not: it is an answer.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection() && status != StatusCode::NOT_MODIFIED
}

/// Docker Hub's `ratelimit-remaining: 76;w=21600`.
pub(crate) fn remaining_pulls(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get(RATELIMIT_REMAINING)?.to_str().ok()?;
    value.split(';').next()?.trim().parse().ok()
}

/// Whether a store refuses an expired signed URL with this status. 429 is not among them: asking
/// again at once would make it worse.
pub(crate) fn is_signature_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::GONE
    )
}

/// `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(std::time::SystemTime::now())
            .ok()?,
    };
    Some(wait.min(MAX_RETRY_AFTER))
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
        assert_eq!(wait("999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("soon"), None);
        let date = std::time::SystemTime::now() + Duration::from_mins(10);
        let read = wait(&httpdate::fmt_http_date(date)).unwrap();
        assert!((590..=600).contains(&read.as_secs()), "{read:?}");
    }
}
