//! No `Accept` panics, and one that names an index type plainly takes an index.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use protocol::accept::takes_index;

fuzz_target!(|value: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let mut headers = HeaderMap::new();
    headers.append(header::ACCEPT, value);
    takes_index(&headers);
    headers.append(header::ACCEPT, HeaderValue::from_static("application/vnd.oci.image.index.v1+json"));
    assert!(takes_index(&headers));
});
