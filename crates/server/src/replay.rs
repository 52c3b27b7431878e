//! Requests that came before, byte for byte, answered as they were, byte for byte.
//!
//! A cluster asks for the same few manifests and configs thousands of times, in the same words. The first such request goes
//! through hyper and the routes, and the answer is kept with the request's bytes. Below hyper, [`Replaying`] looks at what
//! comes in while nothing else is going on: bytes that equal a kept request are answered here and never seen above. Nothing of
//! a request is left out of the comparison, so nothing that a route looks at can be missed.
//!
//! What is kept is small, stored, and holds: a digest always, a tag for as long as it need not be confirmed and no tag has been
//! written. [`LONGEST`] bounds it further, so that uses are noted and files taken out from under us are missed soon enough.
//!
//! A connection leaves this path for good with its first byte that is not part of one whole request at a time: pipelining,
//! request bodies and HTTP/2 are hyper's alone.

mod connection;
mod output;
mod shelf;
mod turn;

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
use tokio_util::sync::CancellationToken;

use self::shelf::Shelf;
pub(super) use self::{
    connection::Replaying,
    turn::{Busy, Turn},
};
use crate::{
    exchange::{AccessRecord, REQUEST_ID, Replayable, RequestId},
    time_text,
};

/// The longest time an answer is kept.
const LONGEST: Duration = Duration::from_secs(5);

/// What all answers may take together. A body that several answers share is counted for each.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A body up to here is copied behind its headers: one buffer takes the shorter way into the socket.
const COPIED: usize = 8 * 1024;

/// What an answer costs beside its body: the request, the headers, the log line, the map.
const OVERHEAD: usize = 2048;

/// The answers kept, of all listeners. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Replays {
    answers: Arc<Shelf<Answer>>,
    hasher: RandomState,
    cache: Cache,
    /// From here on every request is hyper's, which ends connections in an orderly way.
    stop: CancellationToken,
}

/// Who asks, and where: part of what an answer may depend on.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) listener: Arc<Listener>,
    pub(super) client: IpAddr,
}

#[derive(Debug)]
struct Answer {
    asker: Asker,
    request: Bytes,
    until: Instant,
    tag_writes: Option<u64>,
    /// The status line and the headers that are always the same.
    head: Bytes,
    body: Bytes,
    record: AccessRecord,
}

impl Replays {
    /// An empty store of answers. From the cancellation of `stop` on it answers nothing.
    pub fn new(cache: Cache, stop: CancellationToken) -> Self {
        Self {
            answers: Arc::new(Shelf::new(MAX_BYTES)),
            hasher: RandomState::default(),
            cache,
            stop,
        }
    }

    /// The answer to a request that came at `started`, if it is kept and holds.
    fn find(&self, asker: &Asker, request: &[u8], started: Instant) -> Option<Arc<Answer>> {
        let answer = self.answers.get(self.hash(asker, request))?;
        let holds = answer.until > started
            && answer.request == request
            && answer.asker.is(asker)
            && answer
                .tag_writes
                .is_none_or(|then| then == self.cache.tag_writes())
            && !self.stop.is_cancelled();
        holds.then_some(answer)
    }

    /// Keeps the answer to `request`, of which a route has said that it may be kept.
    pub(super) fn keep<B>(
        &self,
        asker: &Asker,
        request: Bytes,
        response: &Response<B>,
        replayable: Replayable,
        record: AccessRecord,
    ) {
        let answer = Answer {
            asker: asker.clone(),
            until: Instant::now() + replayable.holds_for.min(LONGEST),
            tag_writes: replayable.tag_writes,
            head: head(response.status(), response.headers()),
            body: replayable.body,
            record,
            request,
        };
        let hash = self.hash(asker, &answer.request);
        let (weight, until) = (answer.body.len() + OVERHEAD, answer.until);
        self.answers.put(hash, answer, weight, until);
    }

    fn hash(&self, asker: &Asker, request: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        Arc::as_ptr(&asker.listener).hash(&mut hasher);
        asker.client.hash(&mut hasher);
        hasher.write(request);
        hasher.finish()
    }
}

impl Asker {
    fn is(&self, other: &Self) -> bool {
        // Listeners live as long as the process.
        Arc::ptr_eq(&self.listener, &other.listener) && self.client == other.client
    }
}

impl Answer {
    /// Appends what is sent first, and returns what follows it: one more such answer, logged and counted.
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
        if self.body.len() > COPIED {
            return self.body.clone();
        }
        out.extend_from_slice(&self.body);
        Bytes::new()
    }
}

/// The status line and those headers that are the same each time.
fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head = BytesMut::new();
    head.put_slice(b"HTTP/1.1 ");
    head.put_slice(status.as_str().as_bytes());
    head.put_slice(b" ");
    head.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.put_slice(b"\r\n");
    // The length of a 304 would be that of the body it spares, and it is none: hyper leaves it out as well.
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
