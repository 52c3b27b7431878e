//! What answers the requests of a connection that hyper has seen: the routes; and what may be replayed of it is kept.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body as RouteBody};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use tower_service::Service as _;

use super::replay::{Asker, Busy, Replays, Turn};
use crate::exchange::{AccessRecord, Arrival, Replayable};

/// The registry API on one connection.
#[derive(Clone)]
pub(super) struct ApiService {
    pub(super) router: Router,
    pub(super) arrival: Arrival,
    pub(super) replays: Replays,
    pub(super) turn: Arc<Turn>,
}

impl Service<Request<Incoming>> for ApiService {
    type Response = Response<Answering>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let bytes = self.turn.take().filter(|_| is_replayable(&request));
        let is_head = request.method() == Method::HEAD;
        let busy = Busy(Arc::clone(&self.turn));
        let replays = self.replays.clone();
        let asker = Asker {
            listener: Arc::clone(&self.arrival.listener),
            client: self.arrival.peer,
        };
        request.extensions_mut().insert(self.arrival.clone());
        let answering = self.router.clone().call(request);
        Box::pin(async move {
            let mut response = answering.await?;
            let extensions = response.extensions_mut();
            let replayable = extensions.remove::<Replayable>();
            let record = extensions.remove::<AccessRecord>();
            if let (Some(mut replayable), Some(record), Some(bytes)) = (replayable, record, bytes) {
                if is_head {
                    // Routes answer as to a GET; for hyper, and so here, the headers are all of it.
                    replayable.body = Bytes::new();
                }
                replays.keep(&asker, bytes, &response, replayable, record);
            }
            Ok(response.map(|body| Answering { body, _busy: busy }))
        })
    }
}

/// Whether the same request can be answered without hyper: it asks for nothing of the connection.
fn is_replayable(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.version() == Version::HTTP_11
        && !request.headers().contains_key(header::CONNECTION)
        && !request.headers().contains_key(header::EXPECT)
        && request.body().is_end_stream()
}

/// A body, and the word that its connection is busy with it.
pub(super) struct Answering {
    body: RouteBody,
    _busy: Busy,
}

impl Body for Answering {
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
