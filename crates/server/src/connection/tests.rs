//! HTTP/2 over a pipe: what one request does to the others of its connection.

use std::sync::Arc;

use futures_util::stream;
use h2::{
    RecvStream,
    client::{ResponseFuture, SendRequest, handshake},
};
use hyper::service::service_fn;
use parking_lot::Mutex;
use tokio::{
    io::duplex,
    sync::{Notify, oneshot},
};
use tokio_util::task::TaskTracker;

use super::*;

/// Room for all that a test sends at once.
const PIPE: usize = 256 * 1024;

/// A client whose requests these routes answer, served as those of a listener are.
async fn client<F>(routes: impl Fn(String) -> F + Send + 'static) -> SendRequest<Bytes>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (near, far) = duplex(PIPE);
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = routes(request.uri().path().to_owned());
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let tasks = TaskTracker::new();
    tasks.spawn(http2().serve_connection(TokioIo::new(far), service));
    let (sender, connection) = handshake(near).await.unwrap();
    tasks.spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
    *sender = sender.clone().ready().await.unwrap();
    let request = Request::get(format!("https://localhost{path}"));
    let request = request.body(()).unwrap();
    sender.send_request(request, true).unwrap().0
}

async fn text(answer: ResponseFuture) -> String {
    let mut body: RecvStream = answer.await.unwrap().into_body();
    let mut text = Vec::new();
    while let Some(piece) = body.data().await {
        text.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_panic_resets_its_own_request_and_the_connection_goes_on() {
    let mut sender = client(|path| async move {
        assert_ne!(path, "/fault", "a route has a fault");
        Response::new(Body::from(path))
    })
    .await;
    for _ in 0..3 {
        let fault = ask(&mut sender, "/fault").await;
        let other = ask(&mut sender, "/other").await;
        assert!(fault.await.unwrap_err().is_reset());
        assert_eq!(text(other).await, "/other");
    }
}

#[tokio::test]
async fn an_answer_that_has_to_wait_holds_up_no_other() {
    let gate = Arc::new(Notify::new());
    let waits = Arc::clone(&gate);
    let mut sender = client(move |path| {
        let waits = Arc::clone(&waits);
        async move {
            if path == "/slow" {
                waits.notified().await;
            }
            Response::new(Body::from(path))
        }
    })
    .await;
    let slow = ask(&mut sender, "/slow").await;
    for _ in 0..3 {
        let other = ask(&mut sender, "/other").await;
        assert_eq!(text(other).await, "/other");
    }
    gate.notify_one();
    assert_eq!(text(slow).await, "/slow");
}

#[tokio::test]
async fn who_resets_a_request_makes_its_body_go() {
    let (held, gone) = oneshot::channel::<()>();
    let held = Mutex::new(Some(held));
    let mut sender = client(move |_| {
        let endless = stream::unfold(held.lock().take(), |held| async {
            Some((Ok::<_, Infallible>(Bytes::from_static(&[0; 1024])), held))
        });
        async { Response::new(Body::from_stream(endless)) }
    })
    .await;
    let answer = ask(&mut sender, "/").await.await.unwrap();
    drop(answer);
    assert!(gone.await.is_err(), "it is dropped");
}
