//! An Archway at its defaults with a large blob stored, a plain listener and one with a certificate,
//! and nginx with the same blob beside it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::Request;
use integration_tests::client::{Client, blob_path};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls::{Authority, Mounted};
use integration_tests::usage::Memory;
use integration_tests::wait::within;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::nginx::Nginx;
use crate::place::Place;

/// More than the kernel holds for a client that does not read.
const LARGE: u64 = 32 << 20;

/// Where the honest client comes from.
pub(crate) const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

const REPOSITORY: &str = "team/app";

pub(crate) struct Site {
    pub(crate) archway: Archway,
    pub(crate) nginx: Nginx,
    pub(crate) authority: Authority,
    /// What Archway held before it had done anything.
    pub(crate) fresh: Memory,
    /// The path of the large blob, at both servers.
    pub(crate) path: String,
    _registry: FakeRegistry,
    _mounted: Mounted,
}

impl Site {
    pub(crate) async fn start(place: &Place) -> Self {
        let blob = Blob::from(BigBlob::new("large", LARGE));
        let registry = FakeRegistry::with(REPOSITORY, "v1", &images::of_blob(&blob)).await;
        let authority = Authority::new("authority.test");
        let mounted = Mounted::with(&authority.issue());
        let setup = Setup::in_front_of(&registry)
            .listener("127.0.0.1", "")
            .listener("127.0.0.2", &mounted.line());
        let archway = place.start(setup).await;
        let fresh = Memory::of(archway.pid());
        archway.client().pull(REPOSITORY, "v1").await;
        let path = blob_path(REPOSITORY, blob.digest());
        let nginx = Nginx::start(place, &path, &blob, &mounted).await;
        Self {
            archway,
            nginx,
            authority,
            fresh,
            path,
            _registry: registry,
            _mounted: mounted,
        }
    }

    /// Archway's listener with a certificate.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.archway.address_at("127.0.0.2")
    }

    /// The slowest of some pulls of an honest client elsewhere, each by a connection of its own.
    pub(crate) async fn honest_pull(&self) -> Duration {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let client = Client::from_address(&self.archway.url(), HONEST);
            let begun = Instant::now();
            client.manifest(REPOSITORY, "v1").await.expect(200);
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    }

    /// Waits until no client of the listeners is connected.
    pub(crate) async fn all_are_gone(&self) {
        loop {
            // The connection that asks is one.
            let open = self.archway.metric("archway_connections").await;
            if open.expect("a gauge that is always there") <= 1 {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// An HTTP/2 client whose streams may have `window` bytes on their way. It answers pings.
pub(crate) async fn http2(
    authority: &Authority,
    address: SocketAddr,
    window: u32,
) -> SendRequest<Bytes> {
    let stream = authority.connect(address, "h2").await;
    let client = Builder::new().initial_window_size(window).handshake(stream);
    let (sender, connection) = within("the handshake", client).await.expect("HTTP/2");
    TaskTracker::new().spawn(async move {
        // How it ends does not matter here.
        let _ = connection.await;
    });
    sender.ready().await.expect("it is open")
}

/// A GET of `path` for an HTTP/2 connection to `address`.
pub(crate) fn request(address: SocketAddr, path: &str) -> Request<()> {
    let url = format!("https://{address}{path}");
    Request::get(url).body(()).expect("a request")
}
