//! The half above hyper: stores answers that may be replayed, and marks the connection busy for the
//! half below.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body as RouteBody;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

use super::{
    Replays, RequestScope,
    in_flight::{Busy, InFlight},
};
use crate::exchange::{AccessRecord, Replayable};

/// A service whose answers are stored where their routes permit it.
#[derive(Clone)]
pub(crate) struct ReplayService<A> {
    api: A,
    replays: Replays,
    scope: RequestScope,
    in_flight: Arc<InFlight>,
}

impl<A> ReplayService<A> {
    pub(super) fn new(
        api: A,
        replays: Replays,
        scope: RequestScope,
        in_flight: Arc<InFlight>,
    ) -> Self {
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
            .filter(|_| is_replayable(&request));
        let is_head = request.method() == Method::HEAD;
        let busy = Busy(Arc::clone(&self.in_flight));
        let (replays, scope) = (self.replays.clone(), self.scope.clone());
        let answering = self.api.call(request);
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
                replays.store(&scope, bytes, &response, replayable, record);
            }
            Ok(response.map(|body| BusyBody { body, _busy: busy }))
        })
    }
}

/// Whether an equal request can be answered without hyper: it asks for nothing of the connection.
fn is_replayable(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.version() == Version::HTTP_11
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
