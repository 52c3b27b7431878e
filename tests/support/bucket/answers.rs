//! The words of S3: what is read of a request, and the answers.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Response, StatusCode, header};
use manifest_model::{Algorithm, Digest};

use crate::server::{Body, full};

pub(super) fn noted(headers: &HeaderMap) -> Vec<(String, String)> {
    let noted = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-amz-meta-"));
    noted
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

pub(super) fn has_right_checksum(headers: &HeaderMap, body: &[u8]) -> bool {
    let Some(told) = headers.get("x-amz-checksum-sha256") else {
        return true;
    };
    let digest = Digest::of(Algorithm::Sha256, body);
    told.as_bytes() == STANDARD.encode(digest.as_bytes()).as_bytes()
}

pub(super) fn xml(text: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}");
    Response::builder()
        .header(header::CONTENT_TYPE, "application/xml")
        .body(full(text))
        .expect("a response")
}

pub(super) fn empty(status: u16) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::ETAG, "\"e\"")
        .body(full(""))
        .expect("a response")
}

pub(super) fn refusal(status: u16, code: &str) -> Response<Body> {
    let mut response = xml(&format!("<Error><Code>{code}</Code></Error>"));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

pub(super) fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), unescaped(value))
    });
    pairs.collect()
}

pub(super) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex: Vec<u8> = rest.by_ref().take(2).collect();
        let hex = std::str::from_utf8(&hex).ok();
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.expect("an escaped byte"));
    }
    String::from_utf8(bytes).expect("text")
}
