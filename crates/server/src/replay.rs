//! Answers again, without the routes, a request that equals an earlier one byte for byte.
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
//! at a time: pipelining and request bodies are hyper's alone. HTTP/2, which nodes speak over TLS,
//! has no such bytes: hyper takes its frames apart, and [`recall`] compares what came out, again with
//! nothing left out.
//!
//! The only doors are [`Replays::wrap`] and [`Replays::recall`]; `server.replay = false` never opens
//! them. They save about half of the processor time of a small answer: `docs/benchmarks.md`.

mod answer;
mod in_flight;
mod output;
mod recall;
mod stream;

use std::{
    convert::Infallible,
    hash::{BuildHasher, Hash, Hasher},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::body::Body as RouteBody;
use bytes::Bytes;
use cache::Cache;
use config::Listener;
use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use quick_cache::{Weighter, sync::Cache as SharedCache};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

#[cfg(fuzzing)]
pub(crate) use self::stream::is_one_head;
use self::{
    answer::{Form, StoredAnswer},
    in_flight::{Busy, InFlight},
    recall::RecallService,
    stream::ReplayStream,
};
use crate::{
    activity::Activity,
    exchange::{AccessRecord, Interface, Load, Replayable},
    tls::Protocol,
};

/// The longest time an answer is stored.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The size of all answers together. A body that several answers share counts for each.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// About how many answers that are: most are of a few KiB.
const EXPECTED_ANSWERS: usize = 4096;

/// The stored answers of all listeners. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Replays {
    answers: Arc<SharedCache<u64, Arc<StoredAnswer>, AnswerWeight>>,
    /// Which answers hold: those to requests that began since the last [`Self::forget`].
    generation: Arc<AtomicU64>,
    hasher: RandomState,
    cache: Cache,
}

/// The part of a request that is not in its bytes, and on which an answer may depend.
#[derive(Clone, Debug)]
pub(crate) struct RequestScope {
    pub(crate) protocol: Protocol,
    pub(crate) listener: Arc<ArcSwap<Listener>>,
    pub(crate) client: IpAddr,
    pub(crate) interface: Interface,
}

/// The memory that an answer takes.
#[derive(Clone, Debug)]
struct AnswerWeight;

impl Weighter<u64, Arc<StoredAnswer>> for AnswerWeight {
    fn weight(&self, _hash: &u64, answer: &Arc<StoredAnswer>) -> u64 {
        answer.weight() as u64
    }
}

/// The half above hyper: a service whose answers are stored where their routes permit it, and which
/// marks the connection busy for the half below.
#[derive(Clone)]
pub(crate) struct ReplayService<A> {
    api: A,
    replays: Replays,
    scope: RequestScope,
    in_flight: Arc<InFlight>,
}

impl Replays {
    /// An empty store of answers.
    pub fn new(cache: Cache) -> Self {
        Self {
            answers: Arc::new(SharedCache::with_weighter(
                EXPECTED_ANSWERS,
                MAX_BYTES,
                AnswerWeight,
            )),
            generation: Arc::default(),
            hasher: RandomState::default(),
            cache,
        }
    }

    /// Puts the replay below and above hyper: around the connection's stream, and around the
    /// service that answers all other requests. `patience` is how long hyper waits for a request.
    /// Once `end` is cancelled every request is hyper's, which ends the connection in order.
    pub(crate) fn wrap<S: AsyncRead + AsyncWrite + Unpin, A>(
        self,
        stream: S,
        api: A,
        scope: RequestScope,
        activity: Arc<Activity>,
        patience: Duration,
        end: CancellationToken,
    ) -> (ReplayStream<S>, ReplayService<A>) {
        let in_flight = Arc::new(InFlight::default());
        let service = ReplayService::new(api, self.clone(), scope.clone(), Arc::clone(&in_flight));
        let stream = ReplayStream::new(stream, self, scope, (in_flight, activity), patience, end);
        (stream, service)
    }

    /// The same for HTTP/2, where hyper takes the requests apart first. Nothing is answered from what
    /// is stored while `load` says that memory is short: the routes refuse such a request.
    pub(crate) fn recall<A>(
        self,
        api: A,
        scope: RequestScope,
        load: Option<Arc<Load>>,
    ) -> RecallService<A> {
        RecallService::new(api, self, scope, load)
    }

    /// Answers nothing from what is stored, nor with the answer to a request that has begun.
    pub(crate) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// To be asked when a request begins whose answer may be stored.
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The answer to a request that came at `started`, if one is stored and holds.
    fn find(
        &self,
        scope: &RequestScope,
        request: &[u8],
        started: Instant,
    ) -> Option<Arc<StoredAnswer>> {
        let answer = self.answers.get(&self.hash(scope, request))?;
        let holds = answer.until > started
            && answer.request == request
            && answer.scope.is(scope)
            && answer.generation == self.generation()
            && answer
                .tag_writes
                .is_none_or(|then| then == self.cache.tag_writes());
        holds.then_some(answer)
    }

    /// Stores the answer to `request`, of this method, which began in a generation, if its route gives
    /// permission. Takes the permission out of it.
    fn store<B>(
        &self,
        scope: &RequestScope,
        generation: u64,
        (method, request): (&Method, Bytes),
        response: &mut Response<B>,
    ) {
        let extensions = response.extensions_mut();
        let replayable = extensions.remove::<Replayable>();
        let record = extensions.remove::<AccessRecord>();
        let (Some(replayable), Some(record)) = (replayable, record) else {
            return;
        };
        let form = match scope.protocol {
            Protocol::Http1 => Form::text(response.status(), response.headers()),
            Protocol::Http2 => Form::fields(response.status(), response.headers()),
        };
        let answer = StoredAnswer {
            scope: scope.clone(),
            until: Instant::now() + replayable.holds_for.min(MAX_AGE),
            tag_writes: replayable.tag_writes,
            generation,
            form,
            // Routes answer a HEAD as a GET; for hyper, and so here, the headers are all of it.
            body: if method == Method::HEAD {
                Bytes::new()
            } else {
                replayable.body
            },
            record,
            request,
        };
        let hash = self.hash(scope, &answer.request);
        self.answers.insert(hash, Arc::new(answer));
    }

    fn hash(&self, scope: &RequestScope, request: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        scope.protocol.hash(&mut hasher);
        Arc::as_ptr(&scope.listener).hash(&mut hasher);
        scope.client.hash(&mut hasher);
        scope.interface.hash(&mut hasher);
        hasher.write(request);
        hasher.finish()
    }
}

impl RequestScope {
    fn is(&self, other: &Self) -> bool {
        // A stored answer keeps its listener's settings, so no other ones are at their address.
        Arc::ptr_eq(&self.listener, &other.listener)
            && self.protocol == other.protocol
            && self.client == other.client
            && self.interface == other.interface
    }
}

impl<A> ReplayService<A> {
    fn new(api: A, replays: Replays, scope: RequestScope, in_flight: Arc<InFlight>) -> Self {
        Self {
            api,
            replays,
            scope,
            in_flight,
        }
    }
}

impl<A> Service<Request<Incoming>> for ReplayService<A>
where
    A: Service<Request<Incoming>, Response = Response<RouteBody>, Error = Infallible>,
    A::Future: Send + 'static,
{
    type Response = Response<BusyBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let bytes = self
            .in_flight
            .take_request()
            .filter(|_| is_replayable(&request, Version::HTTP_11));
        let method = request.method().clone();
        let busy = Busy(Arc::clone(&self.in_flight));
        let (replays, scope) = (self.replays.clone(), self.scope.clone());
        let generation = replays.generation();
        let answering = self.api.call(request);
        Box::pin(async move {
            let mut response = answering.await?;
            if let Some(bytes) = bytes {
                replays.store(&scope, generation, (&method, bytes), &mut response);
            }
            Ok(response.map(|body| BusyBody { body, _busy: busy }))
        })
    }
}

/// Whether an equal request can be answered without the routes: it asks for nothing of the
/// connection, and is of the connection's `version`.
fn is_replayable(request: &Request<Incoming>, version: Version) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.version() == version
        && !request.headers().contains_key(header::CONNECTION)
        && !request.headers().contains_key(header::EXPECT)
        && request.body().is_end_stream()
}

/// A body that keeps its connection busy until it is dropped.
pub(crate) struct BusyBody {
    body: RouteBody,
    _busy: Busy,
}

impl Body for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
