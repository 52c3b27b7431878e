//! Connections: none stays for good without a word, and clients that hold all of theirs do not hold
//! the operator's.

use integration_tests::client::raw;
use integration_tests::faults::On;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const IMPATIENT: &str = "[server]\nheader_timeout = \"500ms\"\nidle_timeout = \"500ms\"";

/// Impatient with who has begun to ask, and with nobody else.
const IMPATIENT_WITH_HEADS: &str = "[server]\nheader_timeout = \"500ms\"\nidle_timeout = \"1h\"";

const PING: &[u8] = b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn a_client_that_never_ends_its_request_is_cut_wherever_it_stops() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).table(IMPATIENT).start().await;
    // The first two are also how HTTP/2 begins.
    for start in [
        "P",
        "PRI * HTTP/2.0",
        "GET /v2/ HTTP/1.1\r\nhost: localhost\r\n",
    ] {
        raw::exchange(archway.address(), start.as_bytes()).await;
    }
}

/// A client that has had an answer, and keeps its connection.
async fn served(archway: &Archway, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(archway.address())
        .await
        .expect("it listens");
    ask(&mut stream, request).await;
    stream
}

async fn ask(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).await.expect("it is taken");
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&answer) {
        let read = within("an answer", stream.read(&mut piece)).await;
        let read = read.expect("a connection");
        assert!(read > 0, "cut after {answer:?}");
        answer.extend_from_slice(&piece[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

/// Whether the body is as long as the head says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().expect("a number");
    body.len() == length
}

#[tokio::test]
async fn a_client_may_be_silent_between_requests_for_longer_than_within_one() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry)
        .table(IMPATIENT_WITH_HEADS)
        .start()
        .await;
    archway.client().pull("team/app", "v1").await;
    let manifest: &[u8] =
        b"GET /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n";
    let mut silent = Vec::new();
    for request in [PING, manifest] {
        silent.push((served(&archway, request).await, request));
    }
    // Its only answer was made before, for another connection.
    silent.push((served(&archway, manifest).await, manifest));
    // Whoever has begun is cut meanwhile, with its first request and with a later one.
    for begun in [None, Some(PING)] {
        let mut begins = if let Some(request) = begun {
            served(&archway, request).await
        } else {
            let begins = TcpStream::connect(archway.address()).await;
            begins.expect("it listens")
        };
        let head = b"GET /v2/ HTTP/1.1\r\nhost: ";
        begins.write_all(head).await.expect("it is taken");
        let mut rest = Vec::new();
        let _ = within("it is cut", begins.read_to_end(&mut rest)).await;
        assert!(rest.is_empty(), "{rest:?}");
    }
    for (stream, request) in &mut silent {
        ask(stream, request).await;
    }
    let cut = "archway_connections_cut_total{reason=\"head\"}";
    assert_eq!(archway.metric(cut).await, Some(2));
}

#[tokio::test]
async fn a_client_that_is_silent_after_an_answer_given_again_is_cut() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).table(IMPATIENT).start().await;
    archway.client().pull("team/app", "v1").await;
    let request =
        b"GET /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n";
    for _ in ["made", "given again"] {
        let answer = raw::exchange(archway.address(), request).await;
        assert!(answer.ends_with(&content.root().bytes));
    }
}

#[tokio::test]
async fn a_proxy_protocol_header_with_nothing_behind_it_is_cut() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry)
        .listener("127.0.0.1", "proxy_protocol = true")
        .table("[server]\nheader_timeout = \"500ms\"\ntrusted_proxies = [\"127.0.0.1\"]")
        .start()
        .await;
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    let answer = raw::exchange(archway.address(), header).await;
    assert!(answer.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn at_the_bound_clients_wait_and_health_is_still_told() {
    let registry = FakeRegistry::start().await;
    let gate = registry.faults().hold_headers(On::path("/manifests/"));
    let archway = Setup::in_front_of(&registry)
        .table("[server]\nmax_connections = 1")
        .start()
        .await;
    let mut first = TcpStream::connect(archway.address())
        .await
        .expect("it listens");
    let held =
        b"GET /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    first.write_all(held).await.expect("it is taken");
    gate.arrived().await;

    let mut second = TcpStream::connect(archway.address())
        .await
        .expect("it listens");
    let ping = b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    second.write_all(ping).await.expect("the kernel takes it");
    for _ in 0..3 {
        archway.admin().get("/livez").await.expect(200);
    }
    let mut said = Vec::new();
    assert_eq!(
        second.try_read(&mut [0]).map_err(|error| error.kind()),
        Err(std::io::ErrorKind::WouldBlock)
    );

    gate.open();
    let read = within("the first has its answer", first.read_to_end(&mut said)).await;
    read.expect("an orderly end");
    said.clear();
    let read = within("then the second has", second.read_to_end(&mut said)).await;
    read.expect("an orderly end");
    assert!(said.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_is_in_the_log_and_counted() {
    let (registry, _content) = FakeRegistry::with_app().await;
    let gate = registry.faults().hold_headers(On::path("/manifests/"));
    let archway = Setup::in_front_of(&registry).start().await;
    let mut client = TcpStream::connect(archway.address())
        .await
        .expect("it listens");
    let request = b"GET /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    client.write_all(request).await.expect("it is taken");
    gate.arrived().await;
    drop(client);
    let line = archway
        .log()
        .request("the client that left", |line| line["status"] == 499)
        .await;
    assert_eq!(line["path"], "/v2/team/app/manifests/v1");
    assert_eq!(line["complete"], false);
    assert_eq!(
        archway.metric("archway_bodies_aborted_total").await,
        Some(1)
    );
    gate.open();
}
