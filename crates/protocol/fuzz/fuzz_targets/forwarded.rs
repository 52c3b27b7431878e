//! No `X-Forwarded-For` panics; a stranger's changes nothing, and a trusted proxy's names an address
//! that stands in it.
#![no_main]

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocol::forwarded::client;

fuzz_target!(|lines: Vec<Vec<u8>>| {
    let mut headers = HeaderMap::new();
    for line in lines.iter().take(8) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("x-forwarded-for", value);
        }
    }
    let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let stranger: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(client(stranger, &headers, &trusted), stranger);
    let proxy: IpAddr = "10.0.0.1".parse().unwrap();
    let named = client(proxy, &headers, &trusted);
    assert!(named == proxy || !headers.is_empty());
});
