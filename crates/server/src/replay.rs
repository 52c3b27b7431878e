//! Answers again, below hyper, a request that equals an earlier one byte for byte.
//!
//! A cluster asks for the same few manifests and configs thousands of times, in the same words. The
//! first such request goes through hyper and the routes, and its answer is stored with the
//! request's bytes. Below hyper, [`stream`] compares incoming bytes while the connection is idle: a
//! request that equals a stored one is answered there and never seen above. No byte of a request is
//! left out of the comparison, so nothing that a route looks at can be missed.
//!
//! Stored answers are small and of stored content. One for a digest always holds, one for a tag
//! while the tag is fresh and no tag has been written. [`MAX_AGE`] bounds both, so that uses are
//! counted and a file removed behind our back is noticed soon.
//!
//! A connection leaves this path for good with its first byte that is not part of one whole request
//! at a time: pipelining, request bodies and HTTP/2 are hyper's alone.
//!
//! The only door is [`Replays::wrap`]; `server.replay = false` never opens it. It saves more than
//! half of the processor time of a small answer: `docs/benchmarks.md`.

mod in_flight;
mod output;
mod service;
mod store;
mod stream;

use std::{
    hash::{BuildHasher, Hash, Hasher},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::{BufMut, Bytes, BytesMut};
use cache::Cache;
use config::Listener;
use foldhash::fast::RandomState;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use self::{in_flight::InFlight, service::ReplayService, store::ExpiringMap, stream::ReplayStream};
use crate::{
    exchange::{AccessRecord, REQUEST_ID, Replayable, RequestId},
    time_text,
};

/// The longest time an answer is stored.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The size of all answers together. A body that several answers share counts for each.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A body up to this size is copied behind its headers: one buffer takes the shorter way into the
/// socket.
const MAX_COPIED_BODY: usize = 8 * 1024;

/// The size of an answer beside its body: the request, the headers, the log line, the map.
const OVERHEAD: usize = 2048;

/// The stored answers of all listeners. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Replays {
    answers: Arc<ExpiringMap<StoredAnswer>>,
    hasher: RandomState,
    cache: Cache,
    /// Once it is cancelled every request is hyper's, which ends connections gracefully.
    stop: CancellationToken,
}

/// The part of a request that is not in its bytes, and on which an answer may depend.
#[derive(Clone, Debug)]
pub(crate) struct RequestScope {
    pub(crate) listener: Arc<Listener>,
    pub(crate) client: IpAddr,
}

#[derive(Debug)]
struct StoredAnswer {
    scope: RequestScope,
    request: Bytes,
    until: Instant,
    tag_writes: Option<u64>,
    /// The status line and the headers that are the same each time.
    head: Bytes,
    body: Bytes,
    record: AccessRecord,
}

impl Replays {
    /// An empty store of answers. Once `stop` is cancelled it answers nothing.
    pub fn new(cache: Cache, stop: CancellationToken) -> Self {
        Self {
            answers: Arc::new(ExpiringMap::new(MAX_BYTES)),
            hasher: RandomState::default(),
            cache,
            stop,
        }
    }

    /// Puts the replay below and above hyper: around the connection's stream, and around the
    /// service that answers all other requests. `header_timeout` is how long hyper waits for a
    /// request.
    pub(crate) fn wrap<S: AsyncRead + AsyncWrite + Unpin, A>(
        self,
        stream: S,
        api: A,
        scope: RequestScope,
        header_timeout: Duration,
    ) -> (ReplayStream<S>, ReplayService<A>) {
        let in_flight = Arc::new(InFlight::default());
        let service = ReplayService::new(api, self.clone(), scope.clone(), Arc::clone(&in_flight));
        let stream = ReplayStream::new(stream, self, scope, in_flight, header_timeout);
        (stream, service)
    }

    /// The answer to a request that came at `started`, if one is stored and holds.
    fn find(
        &self,
        scope: &RequestScope,
        request: &[u8],
        started: Instant,
    ) -> Option<Arc<StoredAnswer>> {
        let answer = self.answers.get(self.hash(scope, request))?;
        let holds = answer.until > started
            && answer.request == request
            && answer.scope.is(scope)
            && answer
                .tag_writes
                .is_none_or(|then| then == self.cache.tag_writes())
            && !self.stop.is_cancelled();
        holds.then_some(answer)
    }

    /// Stores the answer to `request`, with the permission of its route.
    fn store<B>(
        &self,
        scope: &RequestScope,
        request: Bytes,
        response: &Response<B>,
        replayable: Replayable,
        record: AccessRecord,
    ) {
        let answer = StoredAnswer {
            scope: scope.clone(),
            until: Instant::now() + replayable.holds_for.min(MAX_AGE),
            tag_writes: replayable.tag_writes,
            head: head(response.status(), response.headers()),
            body: replayable.body,
            record,
            request,
        };
        let hash = self.hash(scope, &answer.request);
        let (weight, until) = (answer.body.len() + OVERHEAD, answer.until);
        self.answers.put(hash, answer, weight, until);
    }

    fn hash(&self, scope: &RequestScope, request: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        Arc::as_ptr(&scope.listener).hash(&mut hasher);
        scope.client.hash(&mut hasher);
        hasher.write(request);
        hasher.finish()
    }
}

impl RequestScope {
    fn is(&self, other: &Self) -> bool {
        // Listeners live as long as the process.
        Arc::ptr_eq(&self.listener, &other.listener) && self.client == other.client
    }
}

impl StoredAnswer {
    /// Logs and counts one more such answer. Appends its head to `out`, and its body if that is
    /// small; returns the rest of the body.
    fn write(&self, out: &mut Vec<u8>, started: Instant) -> Bytes {
        let (id, at) = (RequestId::next(), SystemTime::now());
        out.extend_from_slice(&self.head);
        out.extend_from_slice(REQUEST_ID.as_str().as_bytes());
        out.extend_from_slice(b": ");
        id.write(out);
        out.extend_from_slice(b"\r\ndate: ");
        time_text::write_http(out, at);
        out.extend_from_slice(b"\r\n\r\n");
        self.record.write(id, at, started.elapsed());
        if self.body.len() > MAX_COPIED_BODY {
            return self.body.clone();
        }
        out.extend_from_slice(&self.body);
        Bytes::new()
    }
}

/// The status line and the headers that are the same each time.
fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head = BytesMut::new();
    head.put_slice(b"HTTP/1.1 ");
    head.put_slice(status.as_str().as_bytes());
    head.put_slice(b" ");
    head.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.put_slice(b"\r\n");
    // The length of a 304 would be that of the body it spares; hyper leaves it out as well.
    let is_left_out = |name: &HeaderName| {
        *name == REQUEST_ID
            || *name == header::DATE
            || (*name == header::CONTENT_LENGTH && status == StatusCode::NOT_MODIFIED)
    };
    for (name, value) in headers {
        if !is_left_out(name) {
            head.put_slice(name.as_str().as_bytes());
            head.put_slice(b": ");
            head.put_slice(value.as_bytes());
            head.put_slice(b"\r\n");
        }
    }
    head.freeze()
}
