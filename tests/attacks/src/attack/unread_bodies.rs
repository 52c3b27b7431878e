//! Clients that ask and read nothing, that ask for nothing, or whose question does not end. Each kind
//! is measured alone; then all wait for their end together.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use integration_tests::usage::Memory;
use integration_tests::wait::within_for;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::TaskTracker;

use crate::place::Place;
use crate::site::{Site, http2};
use crate::table::{Row, grown_kib_each};

const CLIENTS: usize = 200;

/// Clients are all held once memory has not grown for this long. It is waited for twice, and a client is cut
/// after ten seconds at the earliest.
const HELD: Duration = Duration::from_secs(3);

/// How many times of what nginx holds for each.
const OF_NGINX: f64 = 1.5;

/// After how long a head that does not end has another byte.
const NEXT_BYTE: Duration = Duration::from_secs(1);

/// Within which every one of them has to be cut.
const CUT: Duration = Duration::from_secs(90);

/// Small, so that the server has to hold what is not taken.
const RECEIVE_BUFFER: u32 = 8 << 10;

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Tls,
    IdleHttp2,
    EndlessHead,
}

/// A client that is there until it is dropped.
type Client = Box<dyn Any>;

/// Clients of one kind at one server.
struct Crowd {
    /// What the server holds for each, in KiB.
    each: f64,
    /// When the first one came.
    since: Instant,
    _clients: Vec<Client>,
}

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let kinds = [Kind::Plain, Kind::Tls, Kind::IdleHttp2, Kind::EndlessHead];
    join_all(kinds.map(|kind| attack(&place, kind))).await
}

async fn attack(place: &Place, kind: Kind) -> Row {
    let quiet = place.quiet.lock().await;
    let site = Site::start(place).await;
    let at_nginx = kind.at_nginx(&site);
    // Its clients leave with the end of this statement.
    let nginx = crowd(&site, kind, at_nginx, site.nginx.process())
        .await
        .each;
    let at_archway = kind.at_archway(&site);
    let archway = crowd(&site, kind, at_archway, site.archway.pid()).await;
    let honest = site.honest_pull().await;
    drop(quiet);
    within_for(2 * CUT, "all are cut", site.all_are_gone()).await;
    let cut = archway.since.elapsed();
    // Less than a page for all of them together cannot be told from nothing.
    let times = archway.each / nginx.max(4.0 / CLIENTS as f64);
    Row::new(format!("{CLIENTS} {}", kind.name()))
        .at_most(kind.held(), archway.each, kind.bound(), "KiB")
        .at_most("which is", times, OF_NGINX, "× nginx")
        .at_most(
            "honest client elsewhere",
            honest.as_secs_f64() * 1e3,
            100.0,
            "ms",
        )
        .at_most("all cut after", cut.as_secs_f64(), CUT.as_secs_f64(), "s")
        .beside(format!("each +{nginx:.1} KiB"))
}

/// Lets all of them come.
async fn crowd(site: &Site, kind: Kind, address: SocketAddr, process: u32) -> Crowd {
    // What the first clients of all cost is nobody's share: they are there before, and stay.
    let mut clients = join_all((0..CLIENTS / 10).map(|_| kind.open(site, address))).await;
    let before = Memory::most(process, HELD).await.anonymous;
    let since = Instant::now();
    clients.extend(join_all((0..CLIENTS).map(|_| kind.open(site, address))).await);
    let held = Memory::most(process, HELD).await.anonymous;
    Crowd {
        each: grown_kib_each(before, held, CLIENTS),
        since,
        _clients: clients,
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "clients that ask for 32 MiB and read nothing, plain",
            Self::Tls => "clients that ask for 32 MiB and read nothing, TLS",
            Self::IdleHttp2 => "HTTP/2 connections without a request",
            Self::EndlessHead => "heads of 30 KiB that do not end",
        }
    }

    /// What is measured of each.
    fn held(self) -> &'static str {
        match self {
            Self::Plain | Self::Tls | Self::IdleHttp2 => "each +",
            Self::EndlessHead => "each, with the 30 KiB of its head, +",
        }
    }

    /// In KiB for each client.
    fn bound(self) -> f64 {
        match self {
            Self::Plain => 16.0,
            Self::Tls | Self::IdleHttp2 => 128.0,
            // What is sent has to be held.
            Self::EndlessHead => 30.0 + 16.0,
        }
    }

    fn at_nginx(self, site: &Site) -> SocketAddr {
        match self {
            Self::Plain | Self::EndlessHead => site.nginx.plain,
            Self::Tls | Self::IdleHttp2 => site.nginx.tls,
        }
    }

    fn at_archway(self, site: &Site) -> SocketAddr {
        match self {
            Self::Plain | Self::EndlessHead => site.archway.address(),
            Self::Tls | Self::IdleHttp2 => site.tls(),
        }
    }

    async fn open(self, site: &Site, address: SocketAddr) -> Client {
        let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", site.path);
        match self {
            Self::Plain => {
                let mut stream = connect(address).await;
                let sent = stream.write_all(request.as_bytes()).await;
                sent.expect("the kernel takes it");
                Box::new(stream)
            }
            Self::Tls => {
                let mut stream = site.authority.connect(address, "http/1.1").await;
                let sent = stream.write_all(request.as_bytes()).await;
                sent.expect("the kernel takes it");
                Box::new(stream)
            }
            Self::IdleHttp2 => Box::new(http2(&site.authority, address, 65_535).await),
            Self::EndlessHead => Box::new(endless_head(connect(address).await)),
        }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .set_recv_buffer_size(RECEIVE_BUFFER)
        .expect("a small buffer");
    socket.connect(address).await.expect("it listens")
}

/// Sends as much of a head as both servers take, and then a byte each [`NEXT_BYTE`].
fn endless_head(mut stream: TcpStream) -> AbortOnDropHandle<()> {
    let line = format!("x: {}\r\n", "x".repeat(7500));
    let head = format!(
        "GET /v2/ HTTP/1.1\r\nhost: localhost\r\n{}y: ",
        line.repeat(4)
    );
    let writing = TaskTracker::new().spawn(async move {
        let mut more = head.into_bytes();
        while stream.write_all(&more).await.is_ok() {
            more = b"y".to_vec();
            sleep(NEXT_BYTE).await;
        }
    });
    AbortOnDropHandle::new(writing)
}
