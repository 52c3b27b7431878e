//! Reading one HTTP response: its status, the headers that matter here, and its body if it is
//! small.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use protocol::headers::{RATELIMIT_LIMIT, RATELIMIT_REMAINING};
use reqwest::Response;

use crate::{
    error::{Cause, HttpError},
    gather::{Gather, Gathered, Room, Ungathered},
    policy::Deadline,
};

/// The longest `Retry-After`; a longer one is cut to this. It only says how long an upstream would
/// like to be left alone: a throttle asks again earlier.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A `Retry-After` from here on is no number of seconds but a time, as Docker Hub has sent: in Unix
/// seconds it is a day in 2001.
const FIRST_UNIX_TIME: u64 = 1_000_000_000;

/// A Unix time from here on is finer than seconds: read as seconds it would be in the year 5138.
const FIRST_FINER_TIME: u64 = 100_000_000_000;

/// A body at this rate, in bytes a second, or a higher one takes none of the client's wait: its
/// line is slow, and nothing is wrong with the upstream.
const SLOW_LINE: u32 = 512 * 1024;

/// Why a body was not read.
pub(crate) enum Unread {
    /// It did not arrive.
    Failed(Cause),
    /// It arrived, and is not one to be taken.
    Ungathered(Ungathered),
}

impl From<Ungathered> for Unread {
    fn from(fault: Ungathered) -> Self {
        Self::Ungathered(fault)
    }
}

/// The whole body, as it was before its encoding, or an error above `limit` bytes, after a pause of
/// `idle`, or at the end of the client's wait. A body that trickles does not get past that.
pub(crate) async fn read(
    mut response: Response,
    limit: usize,
    room: Option<&Room>,
    idle: Duration,
    deadline: &Deadline,
    received: &Counter,
) -> Result<Gathered, Unread> {
    let mut body = Gather::new(response.headers(), limit, room);
    loop {
        let time = idle.min(deadline.left());
        let chunk = tokio::time::timeout(time, response.chunk()).await;
        let chunk = chunk.map_err(|_| Unread::Failed(Cause::Stalled(time)))?;
        let chunk = chunk.map_err(|error| Unread::Failed(Cause::Http(HttpError::new(error))))?;
        let Some(chunk) = chunk else { break };
        received.inc_by(chunk.len() as u64);
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        deadline.credit(Duration::from_secs(1) * length / SLOW_LINE);
        body = body.put(&chunk)?;
    }
    Ok(body.finish()?)
}

/// Whether the status is a redirect to follow. 304 is not: it is an answer.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection() && status != StatusCode::NOT_MODIFIED
}

/// Docker Hub's `ratelimit-remaining: 76;w=21600`.
pub(crate) fn remaining_pulls(headers: &HeaderMap) -> Option<u32> {
    pulls(headers, RATELIMIT_REMAINING)
}

/// Docker Hub's `ratelimit-limit: 100;w=21600`.
pub(crate) fn allowed_pulls(headers: &HeaderMap) -> Option<u32> {
    pulls(headers, RATELIMIT_LIMIT)
}

fn pulls(headers: &HeaderMap, name: HeaderName) -> Option<u32> {
    let value = headers.get(name)?.to_str().ok()?;
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

/// `Retry-After` in either of its forms (RFC 9110, section 10.2.3), and as the Unix time that some
/// send. A time counts from the answer's own `Date`, since its clock need not be ours; one that is
/// over says nothing.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let until = match value.parse::<u64>() {
        Ok(seconds) if seconds < FIRST_UNIX_TIME => {
            return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
        }
        Ok(time) => UNIX_EPOCH.checked_add(since_epoch(time))?,
        Err(_) => httpdate::parse_http_date(value).ok()?,
    };
    let wait = until.duration_since(date(headers)).ok()?;
    Some(wait.min(MAX_RETRY_AFTER))
}

/// A Unix time in seconds or anything finer.
fn since_epoch(time: u64) -> Duration {
    match time {
        FIRST_FINER_TIME.. => since_epoch(time / 1000),
        seconds => Duration::from_secs(seconds),
    }
}

/// The time of the answer by the clock that wrote it; by ours if it does not tell.
fn date(headers: &HeaderMap) -> SystemTime {
    let date = headers
        .get(header::DATE)
        .and_then(|date| date.to_str().ok());
    date.and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(SystemTime::now)
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

    /// The wait that an answer with this `Date` asks for.
    fn wait(value: &str, date: Option<SystemTime>) -> Option<Duration> {
        let value = HeaderValue::from_str(value).unwrap();
        let mut headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
        if let Some(date) = date {
            let date = httpdate::fmt_http_date(date).parse().unwrap();
            headers.insert(header::DATE, date);
        }
        retry_after(&headers)
    }

    #[test]
    fn a_wait_in_seconds_has_a_bound() {
        assert_eq!(wait("7", None), Some(Duration::from_secs(7)));
        assert_eq!(wait("0", None), Some(Duration::ZERO));
        assert_eq!(wait("999999", None), Some(MAX_RETRY_AFTER));
        for nothing in ["soon", "", "-1", "99999999999999999999"] {
            assert_eq!(wait(nothing, None), None, "{nothing}");
        }
    }

    #[test]
    fn a_time_in_any_form_counts_from_the_answers_own_date() {
        // A clock that is a year behind ours.
        let date = UNIX_EPOCH + Duration::from_secs(1_746_136_935);
        let http = |time| httpdate::fmt_http_date(time);
        for (value, seconds) in [
            ("1746136938".to_owned(), Some(3)),
            ("1746136938000".to_owned(), Some(3)),
            ("1746136938000000".to_owned(), Some(3)),
            ("1746136930".to_owned(), None),
            (http(date + Duration::from_mins(10)), Some(600)),
            (http(date - Duration::from_secs(5)), None),
            (http(date + Duration::from_hours(48)), Some(3600)),
        ] {
            let read = wait(&value, Some(date));
            assert_eq!(read, seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn a_time_without_a_date_counts_from_now() {
        let time = SystemTime::now() + Duration::from_mins(10);
        let unix = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        for value in [httpdate::fmt_http_date(time), unix.to_string()] {
            let read = wait(&value, None).unwrap();
            assert!((590..=600).contains(&read.as_secs()), "{read:?}");
        }
    }
}
