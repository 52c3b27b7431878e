//! The same on HTTP/2: a service that compares each request as hyper made it of its frames.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Ready, ready},
    mem::take,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::body::Body as RouteBody;
use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

use super::{Replays, RequestScope, answer::StoredAnswer, is_replayable};
use crate::exchange::Load;

/// The longest request that is compared.
const MAX_REQUEST: usize = 4096;

/// What ends each part of a request's text: no part has one in it.
const END: &[u8] = b"\n";

thread_local! {
    /// The text of the request that is looked up.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A service of which the routes see only the requests that cannot be answered here.
#[derive(Clone)]
pub(crate) struct RecallService<A> {
    api: A,
    replays: Replays,
    scope: RequestScope,
    load: Option<Arc<Load>>,
}

/// What is known of a request.
enum Recalled {
    Answer(Arc<StoredAnswer>),
    /// Its answer may be stored under this text.
    Unknown(Bytes),
    /// It is none for this service.
    Other,
}

impl<A> RecallService<A> {
    pub(super) fn new(
        api: A,
        replays: Replays,
        scope: RequestScope,
        load: Option<Arc<Load>>,
    ) -> Self {
        Self {
            api,
            replays,
            scope,
            load,
        }
    }

    fn recall(&self, request: &Request<Incoming>, now: Instant) -> Recalled {
        if !is_replayable(request, Version::HTTP_2) {
            return Recalled::Other;
        }
        TEXT.with_borrow_mut(|text| {
            text.clear();
            write_text(text, request);
            if text.len() > MAX_REQUEST {
                return Recalled::Other;
            }
            match self.replays.find(&self.scope, text, now) {
                Some(answer) => Recalled::Answer(answer),
                None => Recalled::Unknown(Bytes::copy_from_slice(text)),
            }
        })
    }

    /// Whether the routes would refuse one more request.
    fn is_short(&self) -> bool {
        self.load.as_ref().is_some_and(|load| load.is_short())
    }
}

/// Appends all that a route can see of a request with no body: two requests have the same text only
/// if they are the same, with the same headers in the same order.
fn write_text<B>(text: &mut Vec<u8>, request: &Request<B>) {
    let uri = request.uri();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let scheme = uri.scheme_str().unwrap_or_default();
    for part in [request.method().as_str(), scheme, authority, path] {
        text.extend_from_slice(part.as_bytes());
        text.extend_from_slice(END);
    }
    for (name, value) in request.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b":");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(END);
    }
}

impl<A> Service<Request<Incoming>> for RecallService<A>
where
    A: Service<Request<Incoming>, Response = Response<RouteBody>, Error = Infallible>,
    A::Future: Send + 'static,
{
    type Response = Response<RecallBody>;
    type Error = Infallible;
    type Future = Either<
        Ready<Result<Self::Response, Infallible>>,
        BoxFuture<'static, Result<Self::Response, Infallible>>,
    >;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let started = Instant::now();
        let text = match self.recall(&request, started) {
            Recalled::Answer(answer) if !self.is_short() => {
                let response = answer.response(started).map(RecallBody::Stored);
                return Either::Left(ready(Ok(response)));
            }
            Recalled::Unknown(text) => Some(text),
            Recalled::Answer(_) | Recalled::Other => None,
        };
        let method = request.method().clone();
        let (replays, scope) = (self.replays.clone(), self.scope.clone());
        let generation = replays.generation();
        let answering = self.api.call(request);
        Either::Right(Box::pin(async move {
            let mut response = answering.await?;
            if let Some(text) = text {
                replays.store(&scope, generation, (&method, text), &mut response);
            }
            Ok(response.map(RecallBody::Routed))
        }))
    }
}

/// A body in one piece, or one that a route made.
pub(crate) enum RecallBody {
    Stored(Bytes),
    Routed(RouteBody),
}

impl Body for RecallBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Stored(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Stored(bytes) => Poll::Ready(Some(Ok(Frame::data(take(bytes))))),
            Self::Routed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stored(bytes) => bytes.is_empty(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Stored(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Routed(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::request::Builder;

    use super::*;

    fn text(request: Builder) -> Vec<u8> {
        let mut text = Vec::new();
        write_text(&mut text, &request.body(()).unwrap());
        text
    }

    #[test]
    fn only_equal_requests_have_equal_texts() {
        let get = |uri: &str| Request::get(uri).version(Version::HTTP_2);
        let one = || get("https://a.test/v2/app/manifests/v1?ns=b").header("accept", "x");
        assert_eq!(text(one()), text(one()));
        for other in [
            get("https://a.test/v2/app/manifests/v1?ns=b"),
            get("https://a.test/v2/app/manifests/v1?").header("accept", "x"),
            get("https://a.test/v2/app/manifests/v1").header("accept", "x"),
            get("https://b.test/v2/app/manifests/v1?ns=b").header("accept", "x"),
            get("http://a.test/v2/app/manifests/v1?ns=b").header("accept", "x"),
            Request::head("https://a.test/v2/app/manifests/v1?ns=b").header("accept", "x"),
            one().header("accept", "y"),
            one().header("range", "bytes=0-1"),
            get("https://a.test/v2/app/manifests/v1?ns=b").header("accept", "x "),
        ] {
            assert_ne!(text(other), text(one()));
        }
    }

    #[test]
    fn headers_in_another_order_are_another_request() {
        let with = |first: &str, second: &str| {
            let request = Request::get("https://a.test/v2/");
            text(request.header("accept", first).header("accept", second))
        };
        assert_ne!(with("x", "y"), with("y", "x"));
        assert_ne!(with("x", "y"), with("xy", ""));
    }
}
