//! What a double was asked: every request with its headers, its answer's status and how many bytes
//! of body were sent, so that tests can count downloads and look for leaked credentials.

use std::fmt::Display;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::{HeaderMap, Method, Request, StatusCode, Version};

/// All requests of one or more doubles, in order; clones are the same log.
#[derive(Clone, Default)]
pub struct RequestLog {
    entries: Arc<Mutex<Vec<Arc<Entry>>>>,
}

/// One request.
#[derive(Debug)]
pub struct Entry {
    /// Which double was asked: `registry`, `store`, `token` or `ecr`.
    pub server: &'static str,
    /// How.
    pub method: Method,
    /// What for, without the query.
    pub path: String,
    /// When.
    pub at: Instant,
    /// In which version of HTTP.
    pub version: Version,
    /// With all headers.
    pub headers: HeaderMap,
    query: String,
    status: AtomicU16,
    sent: AtomicU64,
}

impl Entry {
    /// What stood behind the question mark.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The status of the answer; 0 as long as there is none.
    pub fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed)
    }

    /// How many bytes of body were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// Whether `needle` stands in the path, the query or a header value.
    pub fn mentions(&self, needle: &str) -> bool {
        let has = |value: &[u8]| {
            value
                .windows(needle.len())
                .any(|part| part == needle.as_bytes())
        };
        self.path.contains(needle)
            || self.query.contains(needle)
            || self.headers.values().any(|value| has(value.as_bytes()))
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl RequestLog {
    /// Every request so far.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.lock().expect("no panic under it").clone()
    }

    /// The requests with this method whose path contains `part`.
    pub fn of(&self, method: &Method, part: impl Display + Copy) -> Vec<Arc<Entry>> {
        let part = part.to_string();
        let mut all = self.all();
        all.retain(|entry| entry.method == method && entry.path.contains(&part));
        all
    }

    /// How many GETs there were whose path contains `part`.
    pub fn gets(&self, part: impl Display + Copy) -> usize {
        self.of(&Method::GET, part).len()
    }

    /// How many HEADs there were whose path contains `part`.
    pub fn heads(&self, part: impl Display + Copy) -> usize {
        self.of(&Method::HEAD, part).len()
    }

    /// How many bytes of body went out for paths that contain `part`.
    pub fn bytes(&self, part: impl Display + Copy) -> u64 {
        let entries = self.of(&Method::GET, part);
        entries.iter().map(|entry| entry.sent()).sum()
    }

    /// Whether `needle` stands in any path, query or header value.
    pub fn mentions(&self, needle: &str) -> bool {
        self.all().iter().any(|entry| entry.mentions(needle))
    }

    pub(crate) fn record<B>(&self, server: &'static str, request: &Request<B>) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            server,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            at: Instant::now(),
            version: request.version(),
            headers: request.headers().clone(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
        });
        let mut entries = self.entries.lock().expect("no panic under it");
        entries.push(Arc::clone(&entry));
        entry
    }
}

/// The pairs of a query, percent-decoded.
pub(crate) fn query_of(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.get(..2)).flatten();
        let escaped = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
