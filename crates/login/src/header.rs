//! `Authorization` headers, marked as sensitive so that no log prints them.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderValue;

/// `Basic` with name and password; `None` if they are no header text.
pub fn basic(username: &str, password: &str) -> Option<HeaderValue> {
    sensitive(&format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{username}:{password}"))
    ))
}

/// Any credential as a header; `None` if it is no header text.
pub fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
