//! The same bytes to the replay and to hyper: what the replay takes for one whole request is never two
//! for hyper, nor the beginning of one, nor one with a body.
#![no_main]

use std::{convert::Infallible, sync::Mutex};

use http_body_util::Empty;
use hyper::{Request, Response, body::{Body, Bytes, Incoming}, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use server::fuzzing::is_one_request;

const SECOND: &str = "/the-second-request";

fuzz_target!(|bytes: &[u8]| {
    if !is_one_request(bytes) {
        return;
    }
    let followed = [bytes, format!("GET {SECOND} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()].concat();
    let seen = Mutex::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        assert!(request.body().is_end_stream(), "a body follows");
        seen.lock().unwrap().push(request.uri().to_string());
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let stream = TokioIo::new(tokio::io::join(followed.as_slice(), tokio::io::sink()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // A head that hyper refuses ends the connection: then nobody answers, and nothing is stored.
    let _ = runtime.block_on(http1::Builder::new().serve_connection(stream, service));
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() <= 2, "{seen:?}");
    if let Some(second) = seen.get(1) {
        assert_eq!(second, SECOND, "{seen:?}");
    }
});
