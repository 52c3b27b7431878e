//! Clients that ask and do not read, that connect and do not ask, or that ask and take it back: each
//! has a bound, and nobody else waits for them.

use std::any::Any;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::Request;
use integration_tests::client::{Client, blob_path, raw};
use integration_tests::faults::On;
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls::{Authority, Mounted};
use integration_tests::usage::Memory;
use integration_tests::wait::{eventually, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

const IMPATIENT: &str =
    "header_timeout = \"500ms\"\nsend_timeout = \"500ms\"\nidle_timeout = \"500ms\"";

/// More than the kernel holds for a client that does not read.
const LARGE: u64 = 32 << 20;

/// An Archway with a plain listener and one with a certificate, which has stored a large blob.
struct Site {
    registry: FakeRegistry,
    archway: Archway,
    authority: Authority,
    path: String,
    _mounted: Mounted,
}

impl Site {
    async fn with(server: &str) -> Self {
        let blob = Blob::from(BigBlob::new("large", LARGE));
        let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
        let authority = Authority::new("authority.test");
        let mounted = Mounted::with(&authority.issue());
        let archway = Setup::in_front_of(&registry)
            .listener("127.0.0.1", "")
            .listener("127.0.0.2", &mounted.line())
            .table(&format!("[server]\n{server}"))
            .start()
            .await;
        archway.client().pull("team/app", "v1").await;
        Self {
            registry,
            archway,
            authority,
            path: blob_path("team/app", blob.digest()),
            _mounted: mounted,
        }
    }

    fn tls_address(&self) -> SocketAddr {
        self.archway.address_at("127.0.0.2")
    }

    /// An HTTP/2 client whose streams may have `window` bytes on their way.
    async fn http2(&self, window: u32) -> (SendRequest<Bytes>, JoinHandle<()>) {
        let stream = self.authority.connect(self.tls_address(), "h2").await;
        let client = Builder::new().initial_window_size(window).handshake(stream);
        let (sender, connection) = within("the handshake", client).await.expect("HTTP/2");
        let running = TaskTracker::new().spawn(async move {
            // How it ends does not matter, but that it does.
            let _ = connection.await;
        });
        (sender.ready().await.expect("it is open"), running)
    }

    fn request(&self, path: &str) -> Request<()> {
        let url = format!("https://{}{path}", self.tls_address());
        Request::get(url).body(()).expect("a request")
    }

    async fn cut(&self, reason: &str) -> Option<u64> {
        let name = format!("archway_connections_cut_total{{reason=\"{reason}\"}}");
        self.archway.metric(&name).await
    }

    /// Waits until only the connection that asks for it is open.
    async fn all_are_gone(&self) {
        eventually("every connection is gone", async || {
            let open = self.archway.metric("archway_connections").await?;
            (open <= 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_that_asks_and_reads_nothing_is_cut() {
    let site = Site::with(IMPATIENT).await;
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", site.path);
    let mut plain = TcpStream::connect(site.archway.address())
        .await
        .expect("it listens");
    plain
        .write_all(request.as_bytes())
        .await
        .expect("it is taken");
    let mut tls = site.authority.connect(site.tls_address(), "http/1.1").await;
    tls.write_all(request.as_bytes())
        .await
        .expect("it is taken");
    site.all_are_gone().await;
}

#[tokio::test]
async fn an_http2_client_that_asks_and_reads_nothing_is_cut_though_it_answers_pings() {
    let site = Site::with(IMPATIENT).await;
    for window in [0, 1] {
        let (mut sender, running) = site.http2(window).await;
        let (answer, _) = sender
            .send_request(site.request(&site.path), true)
            .expect("it is sent");
        let answer = within("the headers", answer).await.expect("an answer");
        within("the connection ends", running)
            .await
            .expect("it ran");
        drop(answer);
    }
    assert_eq!(site.cut("stalled").await, Some(2));
}

/// How long what a client holds may take to be all of it.
const SETTLED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_a_client_holds_that_reads_nothing_is_small() {
    const CLIENTS: u64 = 40;
    let site = Site::with("").await;
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", site.path);
    let anonymous = async || Memory::peak(site.archway.pid(), SETTLED).await.anonymous;
    let mut held = Vec::<Box<dyn Any>>::new();

    let before = anonymous().await;
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(site.archway.address())
            .await
            .expect("it listens");
        let sent = client.write_all(request.as_bytes()).await;
        sent.expect("it is taken");
        held.push(Box::new(client));
    }
    let plain = anonymous().await;
    for _ in 0..CLIENTS {
        let mut client = site.authority.connect(site.tls_address(), "http/1.1").await;
        let sent = client.write_all(request.as_bytes()).await;
        sent.expect("it is taken");
        held.push(Box::new(client));
    }
    let tls = anonymous().await;
    // Twice what `make attacks` wants of more of them in release: a few share what the first one costs.
    // It may be less than before, where something was given back meanwhile.
    let for_plain = plain.saturating_sub(before);
    assert!(for_plain <= CLIENTS * (32 << 10), "{before} {plain}");
    let for_tls = tls.saturating_sub(plain);
    assert!(for_tls <= CLIENTS * (256 << 10), "{plain} {tls}");
}

#[tokio::test]
async fn streams_that_nobody_reads_hold_two_pieces_each() {
    const STREAMS: u64 = 100;
    let site = Site::with("").await;
    let before = Memory::of(site.archway.pid()).anonymous;
    let (mut sender, _running) = site.http2(1).await;
    let mut held = Vec::new();
    for _ in 0..STREAMS {
        let request = site.request(&site.path);
        let (answer, _) = sender.send_request(request, true).expect("it is sent");
        held.push(answer);
        sender = within("room for a request", sender.ready())
            .await
            .expect("it is open");
    }
    let after = Memory::peak(site.archway.pid(), SETTLED).await.anonymous;
    let grown = after.saturating_sub(before);
    assert!(grown <= STREAMS * (128 << 10), "{before} {after}");
}

#[tokio::test]
async fn an_http2_connection_without_a_request_ends() {
    let site = Site::with(IMPATIENT).await;
    let (_silent, running) = site.http2(65535).await;
    within("before the first request", running)
        .await
        .expect("it ran");

    let (mut sender, running) = site.http2(65535).await;
    let (answer, _) = sender
        .send_request(site.request("/v2/"), true)
        .expect("it is sent");
    within("an answer", answer).await.expect("200");
    within("after the last request", running)
        .await
        .expect("it ran");
    assert_eq!(site.cut("idle").await, Some(2));
}

#[tokio::test]
async fn http2_headers_that_never_end_are_cut() {
    let site = Site::with(IMPATIENT).await;
    let mut stream = site.authority.connect(site.tls_address(), "h2").await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // HEADERS on stream 1 without END_HEADERS; its block is `:method: GET`.
    let headers = [0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82];
    let said = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &settings,
        &headers,
    ]
    .concat();
    stream.write_all(&said).await.expect("it is taken");
    let mut answer = Vec::new();
    // A reset is an end as good as any.
    let _ = within("it is cut", stream.read_to_end(&mut answer)).await;
}

#[tokio::test]
async fn an_honest_http2_client_may_wait_for_us_longer_than_we_wait_for_it() {
    let site = Site::with(IMPATIENT).await;
    let blob = Blob::from(BigBlob::new("slow to come", 100_000));
    let content = images::of_blob(&blob);
    site.registry.push("team/slow", "v1", &content);
    let gate = site
        .registry
        .faults()
        .hold_headers(On::path("/team/slow/manifests"));
    let (mut sender, running) = site.http2(65535).await;
    let request = site.request("/v2/team/slow/manifests/v1");
    let (answer, _) = sender.send_request(request, true).expect("it is sent");
    gate.arrived().await;
    for _ in 0..3 {
        let (_silent, ended) = site.http2(65535).await;
        within("one that asks for nothing ends meanwhile", ended)
            .await
            .expect("it ran");
    }
    assert!(!running.is_finished());
    gate.open();
    let answer = within("the answer", answer).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_head_longer_than_any_clients_is_refused() {
    let site = Site::with("").await;
    for length in [16, 64] {
        let padding = "x".repeat(length << 10);
        let request = format!(
            "GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: {padding}\r\n\r\n"
        );
        let answer = raw::exchange(site.archway.address(), request.as_bytes()).await;
        let expected = if length < 32 { "200" } else { "431" };
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{length} KiB");
    }
}

#[tokio::test]
async fn who_resets_requests_without_end_loses_its_connection_and_who_reads_them_does_not() {
    let site = Site::with("").await;
    let (mut resetting, running) = site.http2(65535).await;
    let (mut honest, honest_running) = site.http2(65535).await;
    for _ in 0..150 {
        let (answer, _) = honest
            .send_request(site.request("/v2/"), true)
            .expect("it is sent");
        within("an answer", answer).await.expect("200");
        honest = honest.ready().await.expect("it is open");
    }
    // Reads of a body are taken back too, each after its headers came: all of them reached us.
    for _ in 0..150 {
        let Ok((answer, _)) = resetting.send_request(site.request(&site.path), true) else {
            break;
        };
        drop(answer.await);
        match resetting.ready().await {
            Ok(ready) => resetting = ready,
            Err(_) => break,
        }
    }
    within("its connection ends", running)
        .await
        .expect("it ran");
    assert_eq!(site.cut("resets").await, Some(1));
    assert!(!honest_running.is_finished());
}

#[tokio::test]
async fn at_the_bound_an_idle_connection_makes_room_and_one_that_is_served_does_not() {
    let site = Site::with("max_connections = 2").await;
    let gate = site
        .registry
        .faults()
        .hold_headers(On::path("/other/manifests"));
    let address = site.archway.address();
    let mut served = TcpStream::connect(address).await.expect("it listens");
    let held =
        b"GET /v2/other/manifests/v1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    served.write_all(held).await.expect("it is taken");
    gate.arrived().await;
    let mut idle = TcpStream::connect(address).await.expect("it listens");
    let ping = b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
    idle.write_all(ping).await.expect("it is taken");
    let mut said = [0; 8];
    within("an answer", idle.read_exact(&mut said))
        .await
        .expect("one");

    let other = Client::from_address(&site.archway.url(), [127, 0, 0, 2].into());
    other.get("/v2/").await.expect(200);
    let mut rest = Vec::new();
    let _ = within("the idle one ends", idle.read_to_end(&mut rest)).await;
    assert_eq!(site.cut("full").await, Some(1));

    gate.open();
    let mut answer = Vec::new();
    let read = within("the served one", served.read_to_end(&mut answer)).await;
    read.expect("an orderly end");
    assert!(answer.starts_with(b"HTTP/1.1 404"));
}

#[tokio::test]
async fn while_all_wait_who_has_less_than_its_share_is_first() {
    let site = Site::with("max_connections = 2\nmax_connections_per_address = 1").await;
    let gate = site
        .registry
        .faults()
        .hold_headers(On::path("/other/manifests"));
    let address = site.archway.address();
    let held =
        b"GET /v2/other/manifests/v1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut greedy = Vec::new();
    for _ in 0..80 {
        let mut client = TcpStream::connect(address).await.expect("it listens");
        client.write_all(held).await.expect("the kernel takes it");
        greedy.push(client);
    }
    gate.arrived().await;
    // Its 78 others are more than may wait: some are closed, so that this one is seen.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 2], 0).into()).expect("an address");
    let mut modest = socket.connect(address).await.expect("it listens");
    let ping = b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    modest.write_all(ping).await.expect("the kernel takes it");
    eventually("those who wait are too many", async || {
        site.cut("refused").await.filter(|refused| *refused >= 14)
    })
    .await;
    gate.open();
    let mut answer = Vec::new();
    let read = within("an answer", modest.read_to_end(&mut answer)).await;
    read.expect("an orderly end");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn health_is_told_whoever_holds_the_admin_port() {
    let site = Site::with("").await;
    let address = site.archway.admin_address();
    let mut holding = Vec::new();
    for _ in 0..140 {
        holding.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let begun = Instant::now();
    let answer = raw::exchange(
        address,
        b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    let answer = within("health is told", answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    // Who says nothing makes room at once, not after the second that a client of the registry has.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_millis(900), "{waited:?}");
}

#[tokio::test]
async fn without_memory_a_connection_has_one_request_at_a_time_and_all_are_served() {
    let site = Site::with("memory = \"1MiB\"").await;
    eventually("every step is taken", async || {
        let steps = site.archway.metric("archway_memory_steps").await;
        steps.filter(|steps| *steps == 3)
    })
    .await;
    let (mut sender, _running) = site.http2(65535).await;
    // Of two in one flight the first is served.
    let both = [site.request("/v2/"), site.request("/v2/")].map(|request| {
        let (answer, _) = sender.send_request(request, true).expect("it is sent");
        answer
    });
    let mut served = 0;
    for answer in both {
        let answer = within("an answer", answer).await.expect("one");
        served += usize::from(answer.status() == 200);
    }
    assert!(served >= 1, "none is served");
    // Its window lets a part of it out: it stays open. Before that, the server has to note the end of
    // the two, which it does a moment after it has sent it.
    let _held = eventually("the next request is served", async || {
        let (held, _) = sender
            .send_request(site.request(&site.path), true)
            .expect("it is sent");
        let held = within("an answer", held).await.expect("one");
        (held.status() == 200).then_some(held)
    })
    .await;
    let (second, _) = sender
        .send_request(site.request("/v2/"), true)
        .expect("it is sent");
    let second = within("an answer", second).await.expect("one");
    assert_eq!(second.status(), 503);
    assert!(second.headers().contains_key("retry-after"));
    site.archway.client().get("/v2/").await.expect(200);
}

#[tokio::test]
async fn a_request_has_one_host() {
    let site = Site::with("").await;
    for (hosts, expected) in [
        ("host: localhost\r\n", "200"),
        ("", "400"),
        ("host: localhost\r\nhost: localhost\r\n", "400"),
    ] {
        let request = format!("GET /v2/ HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let answer = raw::exchange(site.archway.address(), request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{hosts:?}");
    }
}
