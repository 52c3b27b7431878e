//! The S3 double: one bucket in memory, with what real servers do not do on demand: refuse, hang,
//! fail half of all requests, flip a bit, cut a body, lose an object.
//!
//! It checks the checksum of what is written, as S3 does, and no signature.

mod answers;
mod parts;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use manifest_model::Digest;

use self::answers::{empty, has_right_checksum, noted, pairs, refusal, unescaped, xml};
use self::parts::Uploads;
use crate::server::{Body, Server, full};

/// The name of the bucket.
pub const BUCKET: &str = "cache";

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Good,
    /// Every request gets this status and this code.
    Refuses(u16, &'static str),
    /// Every write gets it.
    RefusesWrites(u16, &'static str),
    /// Every other request gets a 503 `SlowDown`.
    Half,
    /// Every request is answered only after this time.
    Slow(Duration),
    /// No request is answered.
    Silent,
    /// One bit of each body is another.
    Flips,
    /// Bodies end, and break, in their middle.
    Cuts,
}

/// How long ago all was written once a bucket has grown old.
const LONG: Duration = Duration::from_hours(24 * 400);

/// How often each kind of request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// `GetObject` and `HeadObject`.
    pub get: usize,
    /// `PutObject`, and each step of an upload in parts.
    pub put: usize,
    /// `ListObjects`.
    pub list: usize,
    /// `DeleteObject` and `DeleteObjects`.
    pub delete: usize,
}

/// A bucket; clones are the same one.
#[derive(Clone)]
pub struct Bucket {
    server: Server,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    is_old: bool,
    objects: BTreeMap<String, Object>,
    uploads: Uploads,
    counted: Counted,
    turns: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// The headers of its metadata.
    pub(crate) noted: Vec<(String, String)>,
    pub(crate) written: SystemTime,
}

impl Object {
    pub(crate) fn new(bytes: Bytes, noted: Vec<(String, String)>) -> Self {
        Self {
            bytes,
            noted,
            written: SystemTime::now(),
        }
    }
}

impl Bucket {
    /// An empty one.
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Good,
            is_old: false,
            objects: BTreeMap::new(),
            uploads: Uploads::default(),
            counted: Counted::default(),
            turns: 0,
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request, _| answer(Arc::clone(&shared), request).boxed());
        Self {
            server: server.await,
            state,
        }
    }

    /// The `[tier]` that leads here, with more lines.
    pub fn table(&self, lines: &str) -> String {
        format!(
            "[tier]\nurl = \"s3://{BUCKET}/archway\"\nendpoint = \"{}\"\n{lines}",
            self.server.url()
        )
    }

    /// Changes how it behaves.
    pub fn be(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// From now on all of its objects were written long ago.
    pub fn grow_old(&self) {
        self.state().is_old = true;
    }

    /// Stops listening.
    pub async fn close(&self) {
        self.server.close().await;
    }

    /// Listens again.
    pub async fn reopen(&self) {
        self.server.reopen().await;
    }

    /// How often each kind of request came since the last call.
    pub fn counted(&self) -> Counted {
        std::mem::take(&mut self.state().counted)
    }

    /// The keys below `archway/`.
    pub fn keys(&self) -> Vec<String> {
        let state = self.state();
        let keys = state.objects.keys();
        keys.filter_map(|key| Some(key.strip_prefix("archway/")?.to_owned()))
            .collect()
    }

    /// Whether it has the blob of this digest.
    pub fn has(&self, digest: &Digest) -> bool {
        self.state().objects.contains_key(&key(digest))
    }

    /// The bytes of a blob.
    pub fn bytes(&self, digest: &Digest) -> Option<Bytes> {
        let state = self.state();
        state.objects.get(&key(digest)).map(|one| one.bytes.clone())
    }

    /// Puts other bytes in the place of a blob.
    pub fn replace(&self, digest: &Digest, bytes: impl Into<Bytes>) {
        let mut state = self.state();
        let object = state.objects.get_mut(&key(digest)).expect("it is there");
        object.bytes = bytes.into();
    }

    /// Loses all objects whose key has this in it.
    pub fn lose(&self, part: &str) {
        self.state().objects.retain(|key, _| !key.contains(part));
    }

    /// Uploads in parts that nobody has ended.
    pub fn unfinished(&self) -> usize {
        self.state().uploads.count()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic under it")
    }
}

fn key(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("archway/blobs/sha256/{}/{hex}", &hex[..2])
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refusal(400, "IncompleteBody"),
    };
    let query: BTreeMap<String, String> = head.uri.query().map(pairs).unwrap_or_default();
    let (mood, turn) = {
        let mut state = state.lock().expect("no panic under it");
        state.count(&head.method, &query);
        state.turns += 1;
        (state.mood, state.turns)
    };
    let is_write = head.method != Method::GET && head.method != Method::HEAD;
    match mood {
        Mood::Silent => return std::future::pending().await,
        Mood::Slow(time) => tokio::time::sleep(time).await,
        Mood::Refuses(status, code) => return refusal(status, code),
        Mood::RefusesWrites(status, code) if is_write => return refusal(status, code),
        Mood::Half if turn.is_multiple_of(2) => return refusal(503, "SlowDown"),
        _ => {}
    }
    let prefix = format!("/{BUCKET}");
    let Some(path) = head.uri.path().strip_prefix(&prefix) else {
        return refusal(404, "NoSuchBucket");
    };
    let key = unescaped(path.trim_start_matches('/'));
    let mut state = state.lock().expect("no panic under it");
    state.act(&head.method, &key, &query, &head.headers, &body)
}

impl State {
    fn count(&mut self, method: &Method, query: &BTreeMap<String, String>) {
        let counted = &mut self.counted;
        match *method {
            Method::GET if query.contains_key("list-type") => counted.list += 1,
            Method::GET | Method::HEAD => counted.get += 1,
            Method::DELETE => counted.delete += 1,
            _ if query.contains_key("delete") => counted.delete += 1,
            _ => counted.put += 1,
        }
    }

    fn act(
        &mut self,
        method: &Method,
        key: &str,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response<Body> {
        let upload = query.get("uploadId");
        match (method.as_str(), upload) {
            ("GET", _) if query.contains_key("list-type") => self.list(query),
            ("GET" | "HEAD", _) => self.read(key, headers),
            ("POST", _) if query.contains_key("uploads") => self.uploads.begin(key, noted(headers)),
            ("PUT", Some(id)) => {
                if !has_right_checksum(headers, body) {
                    return refusal(400, "BadDigest");
                }
                self.uploads.add(id, query, body)
            }
            ("POST", Some(id)) => match self.uploads.complete(id, body) {
                Some((key, object)) => {
                    self.objects.insert(key, object);
                    xml(
                        "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>",
                    )
                }
                None => refusal(404, "NoSuchUpload"),
            },
            ("DELETE", Some(id)) => {
                self.uploads.abort(id);
                empty(204)
            }
            ("PUT", None) => {
                if !has_right_checksum(headers, body) {
                    return refusal(400, "BadDigest");
                }
                let (bytes, noted) = (body.clone(), noted(headers));
                self.objects
                    .insert(key.to_owned(), Object::new(bytes, noted));
                empty(200)
            }
            ("POST", None) if query.contains_key("delete") => self.delete(body),
            ("DELETE", None) => {
                self.objects.remove(key);
                empty(204)
            }
            _ => refusal(501, "NotImplemented"),
        }
    }

    fn read(&self, key: &str, headers: &HeaderMap) -> Response<Body> {
        let Some(object) = self.objects.get(key) else {
            return refusal(404, "NoSuchKey");
        };
        let size = object.bytes.len();
        let range = headers.get(header::RANGE).and_then(|range| {
            let (start, end) = range
                .to_str()
                .ok()?
                .strip_prefix("bytes=")?
                .split_once('-')?;
            let start: usize = start.parse().ok()?;
            let end: usize = end.parse().unwrap_or(usize::MAX);
            Some((start, end.saturating_add(1).min(size)))
        });
        let mut response = Response::builder().header(header::ETAG, "\"e\"").header(
            header::LAST_MODIFIED,
            httpdate::fmt_http_date(self.written(object)),
        );
        for (name, value) in &object.noted {
            response = response.header(name, value);
        }
        let mut bytes = object.bytes.clone();
        if let Some((start, end)) = range {
            if start >= size {
                return refusal(416, "InvalidRange");
            }
            bytes = bytes.slice(start..end);
            let range = format!("bytes {start}-{}/{size}", end - 1);
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, range);
        }
        let response = response.header(header::CONTENT_LENGTH, bytes.len());
        response.body(self.spoilt(bytes)).expect("a response")
    }

    fn spoilt(&self, bytes: Bytes) -> Body {
        match self.mood {
            Mood::Flips if !bytes.is_empty() => {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                full(bytes)
            }
            Mood::Cuts => {
                let half = Ok(Frame::data(bytes.slice(..bytes.len() / 2)));
                let cut = Err(std::io::Error::other("cut"));
                StreamBody::new(stream::iter([half, cut])).boxed_unsync()
            }
            _ => full(bytes),
        }
    }

    fn written(&self, object: &Object) -> SystemTime {
        let age = if self.is_old { LONG } else { Duration::ZERO };
        object.written - age
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response<Body> {
        let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let after = value("continuation-token").max(value("start-after"));
        let found = self.objects.iter().filter(|(key, _)| {
            key.starts_with(value("prefix")) && (after.is_empty() || key.as_str() > after)
        });
        let found: Vec<_> = found.take(1001).collect();
        let mut text = "<ListBucketResult>".to_owned();
        for (key, object) in found.iter().take(1000) {
            let _ = write!(
                text,
                "<Contents><Key>{key}</Key><Size>{}</Size>\
                 <LastModified>{}</LastModified><ETag>\"e\"</ETag></Contents>",
                object.bytes.len(),
                humantime::format_rfc3339_millis(self.written(object))
            );
        }
        if let (true, Some((last, _))) = (found.len() > 1000, found.get(999)) {
            let _ = write!(
                text,
                "<NextContinuationToken>{last}</NextContinuationToken>"
            );
        }
        xml(&(text + "</ListBucketResult>"))
    }

    fn delete(&mut self, body: &[u8]) -> Response<Body> {
        let text = String::from_utf8_lossy(body).into_owned();
        let mut gone = String::new();
        for part in text.split("<Key>").skip(1) {
            let key = part.split("</Key>").next().unwrap_or_default();
            self.objects.remove(key);
            let _ = write!(gone, "<Deleted><Key>{key}</Key></Deleted>");
        }
        xml(&format!("<DeleteResult>{gone}</DeleteResult>"))
    }
}
