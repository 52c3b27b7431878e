//! The service of a connection, watched: each request is noted in the connection's [`Activity`].
//!
//! On HTTP/2 it also cuts pieces: what hyper takes from a body stays in memory until the client's
//! window lets it out, so one large piece would lie there for a client that takes nothing.

mod stream;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

pub(crate) use self::stream::WatchedStream;
use crate::activity::{Activity, End};

/// The largest piece that HTTP/2 gets at once: two frames.
const MAX_PIECE: usize = 32 * 1024;

/// A service that notes its requests.
#[derive(Clone, Debug)]
pub(crate) struct Watched<A> {
    api: A,
    activity: Arc<Activity>,
}

impl<A> Watched<A> {
    pub(crate) fn new(api: A, activity: Arc<Activity>) -> Self {
        Self { api, activity }
    }
}

impl<A, B> Service<Request<Incoming>> for Watched<A>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    A::Future: Unpin,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = Response<WatchedBody<B>>;
    type Error = Infallible;
    type Future = Answering<A::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Answering {
            open: Some(OpenRequest::begin(&self.activity)),
            has_body: request.method() != Method::HEAD,
            answer: self.api.call(request),
        }
    }
}

/// A request that has no answer yet.
pub(crate) struct Answering<F> {
    open: Option<OpenRequest>,
    has_body: bool,
    answer: F,
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
    B: Body,
{
    type Output = Result<Response<WatchedBody<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.answer).poll(context))?;
        let mut open = self.open.take().expect("polled once after the answer");
        if !self.has_body || response.body().is_end_stream() {
            open.is_whole = true;
        }
        Poll::Ready(Ok(response.map(|body| WatchedBody {
            body,
            rest: Bytes::new(),
            open,
        })))
    }
}

/// A body that notes whether it waits for its client.
pub(crate) struct WatchedBody<B> {
    body: B,
    /// What is left of a piece that was too large.
    rest: Bytes,
    open: OpenRequest,
}

impl<B: Body<Data = Bytes> + Unpin> WatchedBody<B> {
    fn cut(&mut self, mut piece: Bytes) -> Bytes {
        if self.open.activity.is_multiplexed() && piece.len() > MAX_PIECE {
            self.rest = piece.split_off(MAX_PIECE);
        }
        piece
    }

    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.cut(rest)))));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => Some(Ok(match frame.into_data() {
                Ok(piece) => Frame::data(self.cut(piece)),
                Err(trailers) => trailers,
            })),
            end => end,
        })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // The client has taken the last piece, or nearly so.
        self.open.unstall();
        let polled = ready!(self.poll_piece(context));
        match &polled {
            Some(Ok(_)) => self.open.stall(),
            // A body that broke was ended by us, and so was one that is whole.
            Some(Err(_)) | None => self.open.is_whole = true,
        }
        if self.is_end_stream() {
            self.open.is_whole = true;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut both = SizeHint::new();
        both.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            both.set_upper(upper + rest);
        }
        both
    }
}

/// A request in the connection's notes, until it is dropped.
struct OpenRequest {
    activity: Arc<Activity>,
    is_stalled: bool,
    is_whole: bool,
}

impl OpenRequest {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.begin();
        Self {
            activity: Arc::clone(activity),
            is_stalled: false,
            is_whole: false,
        }
    }

    fn stall(&mut self) {
        self.is_stalled = true;
        self.activity.stall();
    }

    fn unstall(&mut self) {
        if std::mem::take(&mut self.is_stalled) {
            self.activity.unstall();
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.unstall();
        let end = if self.is_whole {
            End::Whole
        } else {
            End::Reset
        };
        self.activity.end(end);
    }
}
