//! As much of HTTP/1.1 as a benchmark's client speaks.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};

use crate::content::MANIFEST_TYPE;

/// No head is longer.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// The bytes of a GET; `range` is the value of that header.
pub(crate) fn request(address: SocketAddr, path: &str, range: Option<&str>) -> Vec<u8> {
    let range = range.map_or_else(String::new, |range| format!("Range: {range}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {MANIFEST_TYPE}, */*\r\n{range}\r\n")
        .into_bytes()
}

/// What an answer's head says.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Where the body begins.
    pub(crate) end: usize,
    pub(crate) length: u64,
}

/// Reads a head off the front of `bytes`; `None` while it is not complete.
pub(crate) fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(bytes)? else {
        ensure!(
            bytes.len() < MAX_HEAD,
            "a head of more than {MAX_HEAD} bytes"
        );
        return Ok(None);
    };
    let status = response.code.context("a status")?;
    let mut headers = response.headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(length) = length else {
        bail!("{status} without a Content-Length");
    };
    let length = std::str::from_utf8(length.value)?.parse()?;
    Ok(Some(Head {
        status,
        end,
        length,
    }))
}
